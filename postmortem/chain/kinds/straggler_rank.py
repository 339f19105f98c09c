"""One rank arrives late at collectives, time and again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.counterfactual import as_when_calm, share_removed, without_excess
from postmortem.analyses.lateness import Lateness, lateness
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stretch import NEAREST
from postmortem.base.units import number, percent, with_unit
from postmortem.base.window import Window
from postmortem.chain.grade import grade
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
            "s records of every rank (rank, iteration, ts_ns, gpu_ms, comm_ms, sync_ms), or NVTX ranges of every rank",
        )
    times, now, calm = up.ranks, up.rows[up.found.now], up.rows[up.found.calm]
    unseen = Unseen(
        f"whether an absent rank kept the others waiting: {times.here} are here",
        "s records, or collective ranges or kernels, of every rank",
    )
    if len(times.ranks) < 2:
        return unseen if times.absent else RuledOut("only one rank ran")
    ranked, late = _late(case, effect, times, now, calm)
    if not late and times.absent:
        return unseen
    if not late:
        worst = ranked[0]
        return RuledOut(
            f"no rank stands out: rank {times.ranks[worst.column]} is {with_unit(worst.excess_ms, 'ms')} "
            f"later than when calm (p = {number(worst.p_value)})"
        )
    seen = [(one, spell) for one in late if (spell := _spell(times, now, calm, one)) is not None]
    if not seen:
        return RuledOut(f"rank {times.ranks[late[0].column]} was late only after the batch had changed")
    late = [one for one, _ in seen]
    shares, wholes, every = _shares(times, now, up.total_ms[up.found.now], up.total_ms[up.found.calm], late)
    found = []
    for (one, spell), share, whole in zip(seen, shares, wholes, strict=True):
        link = _found(case, effect, up, one, spell, share, len(late))
        found.append(replace(link, together=(every[1], every[2]), whole=whole))
    found.sort(key=lambda f: -(f.share or 0.0))
    return replace(found[0], others=tuple(found[1:]))


def _late(
    case: Case, effect: Link, times: RankTimes, now: NDArray[np.int64], calm: NDArray[np.int64]
) -> tuple[list[Lateness], list[Lateness]]:
    """All ranks, the latest first, and those that are late beyond chance before the batch changed.

    Where these iterations alone show nobody, a second look takes those that follow with them: a rank that made the
    batch change mostly stays late up to the flip, and they lie upstream of it too. Its p-values are corrected for two
    looks.
    """
    stop, flip = effect.facts["stop"], case.flip
    # one that moved flipped in an iteration of another engine
    flipped = flip.iteration if flip and flip.iteration is not None and flip.replica == case.replica else 0
    after = np.flatnonzero((times.iterations >= stop) & (times.iterations <= flipped))[:NEAREST]
    ranked: list[Lateness] = []
    for looks, rows in enumerate((now, np.concatenate([now, after])), 1):
        ranked = lateness(times.compute_ms[rows], times.compute_ms[calm])
        ranked = [replace(one, p_value=min(1.0, looks * one.p_value)) for one in ranked]
        late = [one for one in ranked if one.p_value <= ALPHA and one.low_ms > 0]
        if late or not after.size:
            return ranked, late
    return ranked, []


@dataclass(frozen=True)
class _Spell:
    """One rank's late iterations before the batch changed: from which on, and how late, ms beyond its calm lead."""

    first: int
    excess: tuple[float, float, float]


def _spell(times: RankTimes, now: NDArray[np.int64], calm: NDArray[np.int64], one: Lateness) -> _Spell | None:
    """From the first iteration in which the rank was nearer to its late lead than to its calm one; None: none was.

    The stretch's own beginning is where iterations got longer, for whatever reason.
    """
    lead, usual = (times.lead_ms[rows, one.column] for rows in (now, calm))
    late = np.flatnonzero(lead > one.calm_ms + one.excess_ms / 2)
    if not late.size:
        return None
    excess = median_effect(lead[late[0] :], usual, "difference")
    return _Spell(int(times.iterations[now[late[0]]]), excess) if excess[1] > 0 else None


def _shares(
    times: RankTimes,
    now: NDArray[np.int64],
    total: NDArray[np.float64],
    calm: NDArray[np.float64],
    late: list[Lateness],
) -> tuple[list[tuple[float, float, float]], list[bool], tuple[float, float, float]]:
    """How much of the inflation each late rank answers for, whether all, and all of them together: (share, low, high).

    Where several are late in the same iterations, taking one out leaves the others in the way. A rank's
    share is then the mean of what goes with it alone and of what goes with it last, all others out
    already: Shapley's value for two, and the mean of its two extremes for more.
    """

    def replayed(ranks: list[Lateness]) -> NDArray[np.float64]:
        compute, transfer = times.compute_ms[now], times.transfer_ms[now]
        columns = {one.column: one.calm_ms for one in ranks}
        # what goes is taken off the time at one plan: a batch that grew meanwhile is no rank's doing
        goes = without_excess(compute, transfer, {}) - without_excess(compute, transfer, columns)
        left: NDArray[np.float64] = total - goes
        return left

    def gone(ranks: list[Lateness]) -> tuple[float, float, float]:
        return share_removed(total, replayed(ranks), calm)

    every = gone(late)
    wholes = [as_when_calm(replayed([one]), calm) for one in late]
    if len(late) == 1:
        return [every], wholes, every
    shares = []
    for one in late:
        alone, rest = gone([one]), gone([other for other in late if other is not one])
        # the bounds go together: all are of the same resampled iterations
        share, *bounds = ((alone[k] + every[k] - rest[k]) / 2 for k in range(3))
        shares.append((share, min(share, *bounds), max(share, *bounds)))
    return shares, wholes, every


def _found(
    case: Case, effect: Link, up: Upstream, one: Lateness, spell: _Spell, shares: tuple[float, float, float], ranks: int
) -> Found:
    assert up.ranks is not None  # noqa: S101  asked only where ranks were recorded
    rank, window = up.ranks.ranks[one.column], Window(spell.first, up.window.stop)
    share, low, high = shares
    excess, excess_low, excess_high = spell.excess
    together = f" (one of {ranks} late ranks)" if ranks > 1 else ""
    tests = (
        order(window.first, effect.facts["stop"]),
        size(excess, excess_low, excess_high, "ms", 0),
        specificity(one.p_value, f"iterations shuffled in blocks, corrected for {len(up.ranks.ranks)} ranks"),
        mechanism(
            True,
            f"the same iterations and collectives: last in {percent(one.last_share)} "
            f"of them up to the flip, {percent(one.last_share_calm)} when calm",
        ),
        counterfactual(
            share, low, high, f"with rank {rank}{together} as fast as the others, of the iterations' inflation"
        ),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=(
            f"rank {rank}{together} kept the others waiting: "
            f"{with_unit(excess, 'ms')} later an iteration than when calm"
        ),
        grade=grade(tests),
        replica=case.replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=window.first,
        value=excess + one.calm_ms,
        baseline=one.calm_ms,
        unit="ms",
        p_value=one.p_value,
        tests=tests,
        evidence=(
            case.evidence("rank_iterations", replica=case.replica),
            case.evidence("collectives", replica=case.replica),
        ),
        facts={
            "excess_ms": excess,
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
