"""Collectives took longer than their own calm median, and the iterations with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.inflation import inflated
from postmortem.chain.kind import Kind, Outcome, RuledOut, Unseen
from postmortem.chain.taken_over import taken_over
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Time in collectives before the batch changed: the longest that any rank spent, waiting included."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.comm_ms is None:
        return Unseen(
            "how long collectives took before the batch changed",
            "comm_ms and sync_ms in s records, or NVTX collective ranges",
        )
    if (over := taken_over(case, effect)) is not None:
        return RuledOut(over)
    return inflated(
        case,
        effect,
        up,
        kind=KIND.name,
        part="time in collectives",
        part_ms=up.comm_ms,
        summary="collectives took {ratio} their calm median for {n} iterations",
        queries=("rank_iterations", "collectives", "iterations"),
        facts={"stop": effect.facts["stop"], "tactic": effect.facts["tactic"]},
    )


KIND = Kind(
    name="collective_inflation",
    role="effect",
    says="collectives take longer than their own calm median, because of waiting or of the fabric",
    seen_in=("kernels", "NVTX", "s records"),
    leads_to=("batch_change",),
    refuted_by="collectives take their calm time while iterations stretch",
    detect=detect,
)
