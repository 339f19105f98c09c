"""Collectives slower on all ranks although all arrive together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.inflation import inflated
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Transfer time, from the last arrival to the end: the part of a collective that no late rank explains."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.ranks is None or up.transfer_ms is None:
        return Unseen(
            "how long transfers took once all ranks had arrived",
            "ts_ns, comm_ms and sync_ms of every rank, or collective ranges or kernels of every rank",
        )
    found = inflated(
        case,
        effect,
        up,
        kind=KIND.name,
        part="transfer between ranks that had all arrived",
        part_ms=up.transfer_ms,
        as_ran=up.as_ran["transfer"],
        summary="transfers between ranks took {ratio} their calm median although all had arrived",
        queries=("rank_iterations", "collectives"),
    )
    if up.ranks.absent and isinstance(found, Found):  # calm with it, transfers were calm without the wait for it too
        return Unseen(
            f"whether transfers were slow or an absent rank was waited for: {up.ranks.here} are here",
            "s records, or collective ranges or kernels, of every rank",
        )
    return found


KIND = Kind(
    name="fabric_congestion",
    role="root",
    says="collectives slower on all ranks although all arrive together",
    seen_in=("kernels", "NCCL logs", "s records"),
    leads_to=("collective_inflation",),
    refuted_by="once all ranks have arrived, transfers take their calm time",
    detect=detect,
)
