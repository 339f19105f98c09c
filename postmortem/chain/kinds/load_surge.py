"""Arrivals outran service: the queue grew and the batch's composition moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

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
    before = case.iterations.filter(pl.col("iteration") <= effect.facts["stop"]).tail(FARTHEST)
    seen = [s for s in (_arrivals(case, before), _waits(before)) if s is not None]
    if not seen:
        return Unseen(
            "how many requests arrived before the batch rose, and how long they waited",
            "admitted_ns in x records, or queue_ms in s records",
        )
    rises = [(s, c) for s in seen if (c := change_point(s.values)) is not None and c.rises]
    if not rises:
        return RuledOut(f"{' and '.join(s.noun for s in seen)} did not grow before the batch rose")
    sign, found = min(rises, key=lambda r: r[1].p_value)
    p_value = min(1.0, found.p_value * len(seen))
    if p_value > ALPHA:
        return RuledOut(f"{sign.noun} grew no more before the batch rose than by chance (p = {number(p_value)})")
    now, calm = sign.values[found.index :], sign.values[: found.index]
    more, low, high = _mean_effect(now, calm) if sign.counts else median_effect(now, calm, "difference")
    level = float(now.mean()), float(calm.mean())
    if not sign.counts:
        level = median(now), median(calm)
    rows = before.filter(pl.col("iteration").is_in(sign.iterations))
    first = int(sign.iterations[found.index])
    tests: tuple[Test, ...] = (
        order(first, effect.iteration),
        size(more, low, high, sign.unit, 0),
        specificity(p_value, f"one change of level among blocks of shuffled iterations, {len(seen)} signs looked at"),
        mechanism(True, "the requests of the replica that formed this batch"),
    )
    share = None
    if sign.counts:  # of the batch's rise: how many came beyond the calm rate
        rise = effect.facts["after"] - effect.facts["before"]
        came = min(1.0, max(0.0, (now - calm.mean()).sum() / rise))
        share = float(came)
        tests += (
            Test("counterfactual", share >= HALF, f"{number(float(now.sum()))} requests came, "
                 f"{number(float(calm.mean() * now.size))} at the calm rate; the batch rose by {rise}", share, "share"),
        )  # fmt: skip
    link = Link(
        kind=KIND.name,
        summary=sign.says.format(more=number(more), now=number(level[0]), calm=number(level[1])),
        grade=grade(tests),
        replica=case.replica,
        start_ns=rows["start_ns"][found.index],
        end_ns=effect.start_ns,
        iteration=first,
        value=level[0],
        baseline=level[1],
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
    unit: str
    counts: bool
    iterations: NDArray[np.int64]
    values: NDArray[np.float64]


def _arrivals(case: Case, before: pl.DataFrame) -> Sign | None:
    """Requests admitted in each iteration; None where x records tell no times."""
    admitted = case.frame("requests").filter(pl.col("replica") == case.replica)["admitted_ns"].drop_nulls().sort()
    starts = before["start_ns"]
    if admitted.is_empty() or starts.null_count() or before.height < 2:  # noqa: PLR2004
        return None
    at = np.searchsorted(admitted.to_numpy(), starts.to_numpy())
    # what came while the iteration before ran joins this one; the first has no before
    return Sign(
        "arrivals",
        "arrivals outran service: {now} requests came an iteration, {calm} before",
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
        "ms",
        False,
        told["iteration"].to_numpy(),
        told["queue_ms"].to_numpy(),
    )


def _mean_effect(now: NDArray[np.float64], calm: NDArray[np.float64]) -> tuple[float, float, float]:
    """Difference of two Poisson rates with its 95 % interval (normal approximation of the two counts)."""
    more = float(now.mean() - calm.mean())
    half = 1.96 * float(np.sqrt(now.sum() / now.size**2 + calm.sum() / calm.size**2))
    return more, more - half, more + half


KIND = Kind(
    name="load_surge",
    role="root",
    says="arrivals outran service: queue up, batch composition moved, no straggler, no slow fabric",
    seen_in=("s records", "x records"),
    leads_to=("batch_change",),
    refuted_by="the batch was cut, or iterations stretched before the queue grew",
    detect=detect,
)
