"""From a link's tests to its grade, by the rules of the contract."""

from __future__ import annotations

from postmortem.chain.model import Grade, Test

# The customary level for one claim; p-values come corrected for how many were tried.
ALPHA = 0.05
# "takes at least half of the effect away": the contract's word for proven.
HALF = 0.5


def grade(tests: tuple[Test, ...]) -> Grade:
    """proven: ids join, order and size hold, and the counterfactual holds where there is one;
    supported: order, size and specificity hold; circumstantial: order alone; else missing.
    """
    held = {t.name: t.holds for t in tests}
    if held.get("mechanism") and held.get("order") and held.get("size") and held.get("counterfactual") is not False:
        return Grade.PROVEN
    if held.get("order") and held.get("size") and held.get("specificity"):
        return Grade.SUPPORTED
    if held.get("order"):
        return Grade.CIRCUMSTANTIAL
    return Grade.MISSING
