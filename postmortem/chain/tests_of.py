"""The five tests as small builders, so that every kind words and orders them alike."""

from __future__ import annotations

import math

from postmortem.analyses.stats.level import ALPHA
from postmortem.base.units import number, percent, percents, with_unit
from postmortem.chain.grade import HALF
from postmortem.chain.model import Test


def order(cause: int | None, effect: int | None, unit: str = "iteration") -> Test:
    """The cause begins no later than its effect. Iteration numbers need no clock: one engine counts them."""
    if cause is None or effect is None:
        return Test("order", None, "not both are dated")
    said = f"begins at {unit} {cause}, the effect at {unit} {effect}"
    return Test("order", cause <= effect, said, float(effect - cause), f"{unit}s")


def size(effect: float, low: float, high: float, unit: str, none: float) -> Test:
    """The effect's 95 % interval lies above ``none`` (0 for a difference, 1 for a ratio)."""
    if math.isnan(effect):
        return Test("size", None, "nothing to compare with")
    said = f"{with_unit(effect, unit)}, 95 % interval {number(low)} to {number(high)}"
    finite = math.isfinite(effect)
    return Test(
        "size",
        low > none,
        said,
        effect if finite else None,
        unit,
        low if math.isfinite(low) else None,
        high if math.isfinite(high) else None,
    )


def specificity(p_value: float, how: str) -> Test:
    """It does not stand there by chance."""
    return Test("specificity", p_value <= ALPHA, f"p = {number(p_value)} ({how})", p_value, "p")


def mechanism(holds: bool | None, says: str) -> Test:
    """Ids join, not times alone."""
    return Test("mechanism", holds, says)


def counterfactual(share: float, low: float, high: float, says: str) -> Test:
    """Taken out, at least half of the effect goes."""
    if math.isnan(share):
        return Test("counterfactual", None, "cannot be computed: there is no effect to take away")
    said = f"{says}: {percent(share)} goes (95 % interval {percents(low, high)})"
    return Test("counterfactual", share >= HALF, said, share, "share", low, high)
