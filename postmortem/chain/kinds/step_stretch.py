"""The iteration takes longer, and no collective accounts for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.inflation import inflated
from postmortem.chain.kind import Kind, Outcome, RuledOut, Unseen
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Compute of even the fastest rank, against the calm iterations of the same shape."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None:
        return Unseen(
            "how long iterations took before the batch changed", "gpu_ms in s records, or NVTX iteration ranges"
        )
    ranks = () if up.ranks is None else up.ranks.ranks
    alike = "on every rank alike" if len(ranks) > 1 else "as far as the engine or its one rank saw it"
    return inflated(
        case,
        effect,
        up,
        kind=KIND.name,
        part="compute",
        part_ms=up.total_ms if up.compute_ms is None else up.compute_ms,
        as_ran=up.as_ran["total" if up.compute_ms is None else "compute"],
        summary=f"iterations took {{ratio}} their calm compute time, {alike}, for {{n}} iterations",
        queries=("rank_iterations", "iterations"),
        rank=ranks[0] if len(ranks) == 1 else None,
    )


KIND = Kind(
    name="step_stretch",
    role="effect",
    says="the iteration takes longer, and no collective accounts for it",
    seen_in=("s records", "NVTX"),
    leads_to=("batch_change",),
    refuted_by="compute took its calm time on some rank",
    detect=detect,
)
