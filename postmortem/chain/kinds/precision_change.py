"""Another precision path than the reference's, at the flip or before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.kind import Kind, Outcome, RuledOut, Unseen
from postmortem.chain.other_plan import by_name, link_of, steps_of

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, effect: Link | None) -> Outcome:
    """Steps up to the flip whose precision_path differs from the reference's at the same step."""
    if effect is None or case.flip is None:
        return RuledOut("there is no flip")
    if case.input.same is False:
        return RuledOut("the two saw different inputs: their plans need not agree")
    steps = steps_of(case, "precision_path")
    if isinstance(steps, Unseen):
        return steps
    if steps.other.is_empty():
        named = by_name(*(steps.known[f"precision_path_{side}"][-1] for side in ("reference", "recorded")))
        return RuledOut(f"all {steps.known.height} steps up to the flip ran the reference's precision{named}")
    return link_of(case, steps, kind=KIND.name, column="precision_path", noun="precision", pairs="flip_by_precision")


KIND = Kind(
    name="precision_change",
    role="effect",
    says="another precision path than the reference's at this step or an earlier one",
    seen_in=("s records",),
    leads_to=("token_flip",),
    refuted_by="every step up to the flip ran the reference's precision",
    detect=detect,
)
