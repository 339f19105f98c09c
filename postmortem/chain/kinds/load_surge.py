"""Arrivals outran service: the queue grew and the batch's composition moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.base.units import number, with_unit
from postmortem.chain.grade import HALF
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut
from postmortem.chain.surged import surged
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Before a batch that rose: more arrivals, or longer waits.

    Where iterations stretched first, longer waits follow from that; only arrivals that bring half of the rise
    themselves are a surge then.
    """
    if effect is None:
        return RuledOut("there is no effect")
    if effect.facts.get("direction") != "rise":
        return RuledOut(
            f"the batch was cut, from {number(effect.baseline or 0)} to "
            f"{number(effect.value or 0)}: more load would have raised it"
        )
    outcome = surged(case, effect, KIND.name)
    up = upstream(case, effect)
    brought = isinstance(outcome, Found) and (outcome.share or 0.0) >= HALF
    if not brought and up is not None and up.significant and up.found is not None:
        return RuledOut(
            f"iterations stretched first: {with_unit(up.found.ratio[0], 'ratio')} from iteration {up.window.first}"
        )
    return outcome


KIND = Kind(
    name="load_surge",
    role="root",
    says="arrivals outran service: queue up, batch composition moved, no straggler, no slow fabric",
    seen_in=("s records", "x records"),
    leads_to=("batch_change",),
    refuted_by="the batch was cut, or iterations stretched before the queue grew",
    detect=detect,
)
