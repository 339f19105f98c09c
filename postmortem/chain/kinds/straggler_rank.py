"""One rank that arrives late at collectives, time and again; the others wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.analyses.counterfactual import share_removed, without_excess
from postmortem.analyses.lateness import lateness
from postmortem.base.units import with_unit
from postmortem.chain.grade import ALPHA, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Each rank's compute beyond the others', its calm skew taken off; the latest rank, if it is late at all."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.ranks is None or up.rows is None or up.found is None:
        return Unseen(
            "which rank the others waited for",
            "s records of every rank (rank, iteration, gpu_ms, comm_ms, sync_ms), or NVTX ranges of every rank",
        )
    times, rows = up.ranks, up.rows
    if len(times.ranks) < 2:
        return RuledOut("only one rank ran")
    now_rows, calm_rows = rows[up.found.now], rows[up.found.calm]
    ranked = lateness(times.compute_ms[now_rows], times.compute_ms[calm_rows])
    worst = ranked[0]
    rank = times.ranks[worst.column]
    if worst.p_value > ALPHA or worst.low_ms <= 0:
        return RuledOut(
            f"no rank stands out: rank {rank} is {with_unit(worst.excess_ms, 'ms')} "
            f"later than when calm (p = {worst.p_value:.2g})"
        )
    replayed = without_excess(times.compute_ms[now_rows], times.transfer_ms[now_rows], worst.column, worst.calm_ms)
    share, low, high = share_removed(up.total_ms[up.found.now], replayed, up.total_ms[up.found.calm])
    window = up.window
    tests = (
        order(window.first, effect.iteration),
        size(worst.excess_ms, worst.low_ms, worst.high_ms, "ms", 0),
        specificity(worst.p_value, f"iterations shuffled in blocks, corrected for {len(times.ranks)} ranks"),
        mechanism(
            True,
            f"the same iterations and collectives: last in {100 * worst.last_share:.0f} "
            f"% of them, {100 * worst.last_share_calm:.0f} % when calm",
        ),
        counterfactual(share, low, high, f"with rank {rank} as fast as the others, of the iterations' inflation"),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=(
            f"rank {rank} kept the others waiting: {with_unit(worst.excess_ms, 'ms')} later an iteration than when calm"
        ),
        grade=grade(tests),
        replica=case.replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=window.first,
        value=worst.excess_ms + worst.calm_ms,
        baseline=worst.calm_ms,
        unit="ms",
        p_value=worst.p_value,
        tests=tests,
        evidence=(
            case.evidence("rank_iterations", replica=case.replica),
            case.evidence("collectives", replica=case.replica),
        ),
        facts={
            "excess_ms": worst.excess_ms,
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
