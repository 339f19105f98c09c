"""Arrivals outran service: the queue grew and the batch's composition moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.arrivals import rate_difference, surge
from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.median_mad import median
from postmortem.base.units import number, with_unit
from postmortem.chain.grade import ALPHA, HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, size, specificity
from postmortem.chain.upstream import FARTHEST, upstream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Before a batch that rose: longer waits, or more arrivals; iterations that stretched first point elsewhere."""
    if effect is None:
        return RuledOut("there is no effect")
    if effect.facts.get("direction") != "rise":
        return RuledOut(
            f"the batch was cut, from {number(effect.baseline or 0)} to "
            f"{number(effect.value or 0)}: more load would have raised it"
        )
    up = upstream(case, effect)
    if up is not None and up.significant and up.found is not None:
        return RuledOut(
            f"iterations stretched first: {with_unit(up.found.ratio[0], 'ratio')} from iteration {up.window.first}"
        )
    changed = effect.facts["changed"]
    before = case.iterations.filter(pl.col("iteration") <= changed).tail(FARTHEST)
    seen = [s for s in (_arrivals(case, before), _waits(before)) if s is not None]
    if not seen:
        return Unseen(
            "how many requests arrived before the batch rose, and how long they waited",
            "admitted_ns in x records, or queue_ms in s records",
        )
    looked = [(s, found) for s in seen if (found := _grew(s)) is not None]
    if not looked:
        return RuledOut(f"{' and '.join(s.noun for s in seen)} did not grow before the batch rose")
    sign, (index, p_value) = min(looked, key=lambda r: r[1][1])
    p_value = min(1.0, p_value * len(seen))
    if p_value > ALPHA:
        return RuledOut(f"{sign.noun} grew no more before the batch rose than by chance (p = {number(p_value)})")
    now, calm = sign.values[index:], sign.values[:index]
    if sign.counts:
        level, calm_level = float(now.mean()), float(calm.mean())
        more, low, high = rate_difference(now, calm)
    else:
        level, calm_level = median(now), median(calm)
        more, low, high = median_effect(now, calm, "difference")
    first = int(sign.iterations[index])
    rows = before.filter(pl.col("iteration") >= first)
    tests: tuple[Test, ...] = (
        order(first, changed),
        size(more, low, high, sign.unit, 0),
        specificity(p_value, f"{sign.how}, {len(seen)} signs looked at"),
        mechanism(True, "the requests of the replica that formed this batch"),
    )
    share = None
    rise = effect.facts["after"] - (rows["batch_size"][0] or 0)
    if sign.counts and rise > 0:
        share = float(min(1.0, (now.sum() - calm_level * now.size) / rise))
        said = (
            f"{number(float(now.sum()))} requests came, {number(calm_level * now.size)} at the calm rate; "
            f"the batch rose by {rise}"
        )
        tests += (Test("counterfactual", share >= HALF, said, share, "share"),)
    link = Link(
        kind=KIND.name,
        summary=sign.says.format(more=number(more), now=number(level), calm=number(calm_level)),
        grade=grade(tests),
        replica=case.replica,
        start_ns=rows["start_ns"][0],
        end_ns=effect.start_ns,
        iteration=first,
        value=level,
        baseline=calm_level,
        unit=sign.unit,
        p_value=p_value,
        tests=tests,
        evidence=(case.evidence("iterations", replica=case.replica), case.evidence("requests")),
    )
    return Found(link, share)


@dataclass(frozen=True)
class Sign:
    """One sign of load, an iteration a value. ``counts``: many are 0, so that means tell more than medians."""

    noun: str
    says: str
    how: str
    unit: str
    counts: bool
    iterations: NDArray[np.int64]
    values: NDArray[np.float64]


def _arrivals(case: Case, before: pl.DataFrame) -> Sign | None:
    """Requests admitted in each iteration; None where x records tell no times."""
    admitted = case.frame("requests").filter(pl.col("replica") == case.replica)["admitted_ns"].drop_nulls().sort()
    starts = before["start_ns"]
    if admitted.is_empty() or starts.null_count() or before.height < 2:
        return None
    at = np.searchsorted(admitted.to_numpy(), starts.to_numpy(), side="right")
    # what came while the iteration before ran joins this one; the first has no before
    return Sign(
        "arrivals",
        "arrivals outran service: {now} requests came an iteration, {calm} before",
        "as many by chance at the calm rate, corrected for the lengths of stretch looked at",
        "requests",
        True,
        before["iteration"].to_numpy()[1:],
        np.diff(at).astype(np.float64),
    )


def _waits(before: pl.DataFrame) -> Sign | None:
    """Median wait of the requests of each iteration; None where it is not recorded."""
    told = before.filter(pl.col("queue_ms").is_not_null())
    if told.is_empty():
        return None
    return Sign(
        "the queue",
        "arrivals outran service: requests waited {more} ms longer",
        "one change of level among blocks of shuffled iterations",
        "ms",
        False,
        told["iteration"].to_numpy(),
        told["queue_ms"].to_numpy(),
    )


def _grew(sign: Sign) -> tuple[int, float] | None:
    """Where the sign rose to its level at the end, and its p-value; None where it did not."""
    if sign.counts:
        return surge(sign.values)
    found = change_point(sign.values)
    return (found.index, found.p_value) if found is not None and found.rises else None


KIND = Kind(
    name="load_surge",
    role="root",
    says="arrivals outran service: queue up, batch composition moved, no straggler, no slow fabric",
    seen_in=("s records", "x records"),
    leads_to=("batch_change",),
    refuted_by="the batch was cut, or iterations stretched before the queue grew",
    detect=detect,
)
