"""One rank arrives late at collectives, time and again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.counterfactual import share_removed, without_excess
from postmortem.analyses.lateness import Lateness, lateness
from postmortem.base.units import with_unit
from postmortem.chain.grade import ALPHA, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity
from postmortem.chain.upstream import Upstream, upstream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.analyses.rank_times import RankTimes
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Each rank's compute beyond the others', its calm skew taken off; those that are late at all, the latest first."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.ranks is None or up.rows is None or up.found is None:
        return Unseen(
            "which rank the others waited for",
            "s records of every rank (rank, iteration, gpu_ms, comm_ms, sync_ms), or NVTX ranges of every rank",
        )
    times, now, calm = up.ranks, up.rows[up.found.now], up.rows[up.found.calm]
    if len(times.ranks) < 2:
        return RuledOut("only one rank ran")
    ranked = lateness(times.compute_ms[now], times.compute_ms[calm])
    late = [one for one in ranked if one.p_value <= ALPHA and one.low_ms > 0]
    if not late:
        worst = ranked[0]
        return RuledOut(
            f"no rank stands out: rank {times.ranks[worst.column]} is {with_unit(worst.excess_ms, 'ms')} "
            f"later than when calm (p = {worst.p_value:.2g})"
        )
    shares = _shares(times, now, up.total_ms[up.found.now], up.total_ms[up.found.calm], late)
    found = [_found(case, effect, up, one, share, late) for one, share in zip(late, shares, strict=True)]
    found.sort(key=lambda f: -(f.share or 0.0))
    return replace(found[0], others=tuple(found[1:]))


def _shares(
    times: RankTimes,
    now: NDArray[np.int64],
    total: NDArray[np.float64],
    calm: NDArray[np.float64],
    late: list[Lateness],
) -> list[tuple[float, float, float]]:
    """How much of the inflation each late rank answers for: (share, low, high).

    Where several are late in the same iterations, taking one out leaves the others in the way. A rank's
    share is then the mean of what goes with it alone and of what goes with it last, all others out
    already: Shapley's value for two, and the mean of its two extremes for more.
    """

    def gone(ranks: list[Lateness]) -> tuple[float, float, float]:
        compute, transfer = times.compute_ms[now], times.transfer_ms[now]
        columns = {one.column: one.calm_ms for one in ranks}
        return share_removed(total, without_excess(compute, transfer, columns), calm)

    every = gone(late)
    if len(late) == 1:
        return [every]
    shares = []
    for one in late:
        alone, rest = gone([one]), gone([other for other in late if other is not one])
        # the bounds go together: all are of the same resampled iterations
        share, *bounds = ((alone[k] + every[k] - rest[k]) / 2 for k in range(3))
        shares.append((share, min(share, *bounds), max(share, *bounds)))
    return shares


def _found(
    case: Case, effect: Link, up: Upstream, one: Lateness, shares: tuple[float, float, float], late: list[Lateness]
) -> Found:
    assert up.ranks is not None  # noqa: S101  asked only where ranks were recorded
    ranks = up.ranks.ranks
    rank, window = ranks[one.column], up.window
    share, low, high = shares
    together = f" (one of {len(late)} late ranks)" if len(late) > 1 else ""
    tests = (
        order(window.first, effect.iteration),
        size(one.excess_ms, one.low_ms, one.high_ms, "ms", 0),
        specificity(one.p_value, f"iterations shuffled in blocks, corrected for {len(ranks)} ranks"),
        mechanism(
            True,
            f"the same iterations and collectives: last in {100 * one.last_share:.0f} "
            f"% of them, {100 * one.last_share_calm:.0f} % when calm",
        ),
        counterfactual(
            share, low, high, f"with rank {rank}{together} as fast as the others, of the iterations' inflation"
        ),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=(
            f"rank {rank} kept the others waiting: {with_unit(one.excess_ms, 'ms')} later an iteration than when calm"
        ),
        grade=grade(tests),
        replica=case.replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=window.first,
        value=one.excess_ms + one.calm_ms,
        baseline=one.calm_ms,
        unit="ms",
        p_value=one.p_value,
        tests=tests,
        evidence=(
            case.evidence("rank_iterations", replica=case.replica),
            case.evidence("collectives", replica=case.replica),
        ),
        facts={
            "excess_ms": one.excess_ms,
            "window": [window.first, window.stop],
            "calm": up.calm_window,
            "times_from": up.source,
            "stop": effect.facts["stop"],
            "tactic": effect.facts["tactic"],
        },
    )
    return Found(link, share)


KIND = Kind(
    name="straggler_rank",
    role="effect",
    says="one rank arrives late at collectives, time and again; it has the shortest collectives, the others wait",
    seen_in=("kernels", "NVTX", "s records"),
    leads_to=("collective_inflation",),
    refuted_by="arrivals are exchangeable between ranks, or the rank was as late when calm",
    detect=detect,
)
