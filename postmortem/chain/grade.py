"""From a link's tests to its grade, by the rules of the contract."""

from __future__ import annotations

from dataclasses import replace

from postmortem.analyses.stats.level import ALPHA
from postmortem.base.units import number
from postmortem.chain.model import Grade, Link, Test

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


def corrected(link: Link, tried: int) -> Link:
    """The link's p-value after Bonferroni, for as many kinds as were tried as causes of one effect, graded again."""
    if link.p_value is None or tried == 1:
        return link
    p_value = min(1.0, link.p_value * tried)
    says = f"p = {number(p_value)} after correction for {tried} kinds tried"
    tests = tuple(
        replace(t, holds=p_value <= ALPHA, figure=p_value, says=f"{says}; alone {t.says}")
        if t.name == "specificity"
        else t
        for t in link.tests
    )
    return replace(link, p_value=p_value, tests=tests, grade=grade(tests))
