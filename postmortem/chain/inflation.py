"""A part of the iteration (collectives, transfers, compute) that took longer than when calm, and what it explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from postmortem.analyses.counterfactual import as_when_calm, share_removed
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stretch import by_batch, size_doubt
from postmortem.base.units import number, percent, percents, with_unit
from postmortem.base.window import Window
from postmortem.chain.filled import filled
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link
from postmortem.chain.surged import surged
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case
    from postmortem.chain.upstream import Upstream


def inflated(
    case: Case,
    effect: Link,
    up: Upstream,
    *,
    kind: str,
    part: str,
    part_ms: NDArray[np.float64],
    summary: str,
    queries: tuple[str, ...],
    as_ran: NDArray[np.float64] | None = None,
    rank: int | None = None,
    facts: dict[str, Any] | None = None,
) -> Outcome:
    """The part's time in the stretched iterations against the calm ones, and its share of the inflation.

    ``part_ms`` is in step with ``up.iterations``; ``summary`` may name {ratio} and {n}. Ruled out
    where the part took its calm time, or where its share may as well be nothing; unseen where too few ran to tell, or
    where a far larger batch may have taken as long by itself: so it is held for ``as_ran``, the part at no one size.
    """
    if (other := _other_reason(effect)) is not None:
        return other
    if up.found is None and up.iterations.size < 2 * SHORTEST:
        told = f"too few are here to tell ({up.iterations.size})"
        return Unseen(
            f"whether iterations before {effect.facts['stop']} took longer: {told}",
            "a recording that begins earlier, with gpu_ms in every iteration's s record",
        )
    if up.unknown and not up.significant:
        return Unseen(
            f"whether iterations before {effect.facts['stop']} took longer by more than the prompts that they computed",
            "calm iterations that compute as many prompts: a recording that begins earlier",
        )
    if up.found is None or not up.significant:
        took = "took no longer" if up.found is None else f"took {with_unit(up.found.ratio[0], 'ratio')} of earlier ones"
        if up.found is not None and up.found.change.p_value <= ALPHA and up.calm_again is not None:
            return RuledOut(f"iterations had their calm length again from {up.calm_again} on")
        by_size = up.found is not None and size_doubt(up.total_ms, up.batch, up.found.calm, up.found.now) != (0, 0)
        chance = "within chance, and what batches of another size may take" if by_size else "within chance"
        return RuledOut(f"iterations before {effect.facts['stop']} {took}: {chance}")
    if (more := _more_than_length(case, effect, up, up.found.ratio[2])) is not None:
        return more
    now, calm = part_ms[up.found.now], part_ms[up.found.calm]
    unit, none = "ratio", 1.0
    effect_size, low, high = median_effect(now, calm, "ratio")
    longer = with_unit(effect_size, "ratio")
    said = f"{part} took {longer} of its calm time"
    if not np.isfinite([effect_size, low, high]).all():  # no time at all when calm: nothing is so many times that
        unit, none = "ms", 0.0
        effect_size, low, high = median_effect(now, calm, "difference")
        longer = f"{with_unit(effect_size, 'ms')} more than"
        said = f"{part} took {longer} its calm time"
    least, most = size_doubt(part_ms, up.batch, up.found.calm, up.found.now)
    scale = median(calm) if unit == "ratio" else 1.0
    low, high = low - most / scale, high - least / scale
    if not low > none:
        sure = f"95 % interval {with_unit(low, unit)} to {with_unit(high, unit)}"
        return RuledOut(f"{said} ({sure}); iterations {with_unit(up.found.ratio[0], 'ratio')}")
    if as_ran is not None and by_batch(as_ran, up.batch, up.found.now, up.found.calm):
        usual, larger = (number(np.nanmedian(up.batch[some])) for some in (up.found.calm, up.found.now))
        return Unseen(
            f"whether {part} took longer than it takes in batches of {larger}: when calm, {usual} ran",
            f"calm iterations of batches of {larger}: a recording that begins earlier, or the same load served again",
        )
    total = up.total_ms[up.found.now]
    without = total - np.maximum(0, now - np.median(calm))
    share, share_low, share_high = share_removed(total, without, up.total_ms[up.found.calm])
    if not share_low > 0:
        part_of = f"{percent(share)} of the iterations' inflation ({percents(share_low, share_high)})"
        return RuledOut(f"{said}: {part_of}")
    window = Window(_begun(up.iterations[up.found.now], now, calm), up.window.stop)
    tests = (
        order(window.first, effect.facts["stop"]),
        size(effect_size, low, high, unit, none),
        specificity(up.found.change.p_value, "one change of level among blocks of shuffled iterations"),
        mechanism(
            window.stop == effect.facts["stop"],
            f"iterations {window.first} to {window.stop - 1} run straight into the change at {effect.facts['stop']}",
        ),
        counterfactual(share, share_low, share_high, f"with {part} at its calm median, of the iterations' inflation"),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=kind,
        summary=summary.format(ratio=longer, n=int((up.iterations[up.found.now] >= window.first).sum())),
        grade=grade(tests),
        replica=case.replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=window.first,
        value=float(np.median(now)),
        baseline=float(np.median(calm)),
        unit="ms",
        p_value=up.found.change.p_value,
        tests=tests,
        evidence=tuple(case.evidence(query, replica=case.replica) for query in queries),
        facts={
            "ratio": effect_size if unit == "ratio" else None,
            "share": share,
            "excess_ms": float(np.median(now) - np.median(calm)),
            "window": [up.window.first, up.window.stop],
            "calm": up.calm_window,
            "times_from": up.source,
            **(facts or {}),
        },
    )
    return Found(link, share, whole=as_when_calm(without, up.total_ms[up.found.calm]))


def _begun(iterations: NDArray[np.int64], now: NDArray[np.float64], calm: NDArray[np.float64]) -> int:
    """The first of the iterations in which the part was nearer to what it took now than to what it took when calm.

    Their own first is where iterations got longer best: an iteration or two off, as it is for a late rank.
    """
    return int(iterations[np.flatnonzero(now > (np.median(now) + np.median(calm)) / 2)[0]])


def _other_reason(effect: Link) -> RuledOut | None:
    """What changed the batch where it was not the length of iterations."""
    if effect.facts.get("ebb"):
        return RuledOut("nobody was kept waiting: the batch shrank for want of requests, not by longer iterations")
    if posture := effect.facts.get("posture"):
        return RuledOut(f"isolation became {posture} in that very iteration, {effect.facts['stop']}")
    if effect.facts.get("turns"):
        return RuledOut(
            f"batches took turns: one of {effect.facts['before']} ran for a single iteration between others"
        )
    return None


def _more_than_length(case: Case, effect: Link, up: Upstream, longest: float) -> RuledOut | None:
    """Where more came, or more ran at once, than iterations ``longest`` times as long account for."""
    if effect.facts.get("direction") == "rise" and not effect.facts.get("backlog"):
        load = surged(case, effect, "load_surge")
        if isinstance(load, Found) and (load.share or 0.0) >= HALF:
            return RuledOut(f"the batch rose with what came: {percent(load.share or 0.0)} of the rise")
        if not up.may_raise(effect):
            before, rise = effect.facts["before"], effect.facts["after"] - effect.facts["before"]
            return RuledOut(
                f"iterations at most {with_unit(longest, 'ratio')} as long raise a batch of {before} "
                f"by {number(before * (longest - 1))}, not by {rise}"
            )
    full = filled(case, effect)
    if full is not None and full.carries:
        return RuledOut(f"{full.says}: {percent(full.share[0])} of that goes at the usual size")
    return None
