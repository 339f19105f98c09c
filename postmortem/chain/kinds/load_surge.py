"""Arrivals outran service: the queue grew and the batch's composition moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.base.units import number, percent, with_unit
from postmortem.chain.filled import filled
from postmortem.chain.grade import HALF
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.surged import surged
from postmortem.chain.taken_over import kept_small
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.filled import Filled
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Before a batch that rose: more arrivals, or longer waits. Before one that was cut: arrivals that had filled it.

    Where iterations stretched first, longer waits follow from that; only arrivals that bring half of the rise
    themselves are a surge then. So it is where the batch was cut: waits tell of the cut as well.
    """
    if effect is None:
        return RuledOut("there is no effect")
    full = filled(case, effect)
    if effect.facts.get("direction") == "drop":
        return _before_a_cut(case, effect, full)
    if full is not None and full.carries and _brought(outcome := surged(case, effect, KIND.name, full)):
        return outcome  # what came in had been held back by a cut that the surge had led to
    outcome = surged(case, effect, KIND.name)
    up = upstream(case, effect)
    if not _brought(outcome) and up is not None and up.found is not None and up.significant and up.may_raise(effect):
        return RuledOut(
            f"iterations stretched first: {with_unit(up.found.ratio[0], 'ratio')} from iteration {up.window.first}"
        )
    return outcome


def _brought(outcome: Outcome) -> bool:
    return isinstance(outcome, Found) and (outcome.share or 0.0) >= HALF


def _before_a_cut(case: Case, effect: Link, full: Filled | None) -> Outcome:
    """More load raises a batch; it leads to a cut where the fuller batch took longer than the scheduler bears."""
    cut = f"the batch was cut, from {number(effect.baseline or 0)} to {number(effect.value or 0)}"
    if full is None:
        return RuledOut(f"{cut}: more load would have raised it")
    if not full.carries and full.may_carry:
        return Unseen(
            f"whether batches of {full.top} take that long by themselves: when calm, about {full.usual} ran",
            f"calm iterations of batches of {full.top}: a recording that begins earlier, or the same load served again",
        )
    if not full.carries:
        gone = f"{percent(full.share[0])} of that goes at the usual size, p = {number(full.p_value)}"
        return RuledOut(f"{cut}, after {full.says}: {gone}")
    outcome = surged(case, effect, KIND.name, full)
    if isinstance(outcome, Found) and not _brought(outcome):
        return RuledOut(f"{cut}, after {full.says}; arrivals do not account for that: {outcome.link.summary}")
    if isinstance(outcome, Found) and (other := kept_small(case, effect, full.longer_ms)) is not None:
        return RuledOut(f"{cut}, after {full.says}; {other}")
    return outcome


KIND = Kind(
    name="load_surge",
    role="root",
    says="arrivals outran service: queue up, batch composition moved, no straggler, no slow fabric",
    seen_in=("s records", "x records"),
    leads_to=("batch_change",),
    refuted_by="the batch was cut without having filled, or iterations stretched before the queue grew",
    detect=detect,
)
