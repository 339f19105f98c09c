"""More requests than before: by arrivals, or by how long they waited, up to where a batch had risen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.arrivals import rate_difference, surge
from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.base.units import NS_PER_MS, NS_PER_S, number, with_unit
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity
from postmortem.chain.upstream import FARTHEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case
    from postmortem.chain.filled import Filled


def surged(case: Case, effect: Link, kind: str, full: Filled | None = None) -> Outcome:
    """Whether more came before the batch rose than the calm rate would bring; worked out once for all who ask.

    ``effect`` is the link of the batch change: a rise, or the cut of a batch that was ``full``.
    """
    facts = *(effect.facts[f] for f in ("changed", "reached", "after")), effect.iteration, full
    return case.worked_out("surged", lambda: _surged(case, effect, kind, full), *facts)


def _surged(case: Case, effect: Link, kind: str, full: Filled | None) -> Outcome:
    if full is None:
        changed, reached, top = (effect.facts[f] for f in ("changed", "reached", "after"))
    else:
        changed, reached, top = full.came, full.came, full.top
    before = case.iterations.filter(pl.col("iteration") <= reached).tail(FARTHEST)
    seen = [s for s in (_arrivals(case, before), _waits(before)) if s is not None]
    if not seen:
        return Unseen(
            "how many requests arrived before the batch rose, and how long they waited",
            "admitted_ns in x records, by the clock of the s records, or queue_ms in s records",
        )
    looked = [(s, found) for s in seen if (found := _grew(s)) is not None]
    best = min(looked, key=lambda r: r[1][1], default=None)
    p_value = 1.0 if best is None else min(1.0, best[1][1] * len(seen))
    if p_value > ALPHA and not any(s.counts for s in seen):
        return Unseen(
            "how many requests arrived before the batch rose: where it has room for them, no queue tells",
            "admitted_ns in x records, by the clock of the s records",
        )
    if best is None:
        return RuledOut(f"{' and '.join(s.noun for s in seen)} did not grow before the batch rose")
    sign, (index, _) = best
    if p_value > ALPHA:
        return RuledOut(f"{sign.noun} grew no more before the batch rose than by chance (p = {number(p_value)})")
    now, calm = sign.values[index:], sign.values[:index]
    came = usual = within = 0.0
    if sign.counts:
        lasted, lasted_calm = sign.exposure[index:], sign.exposure[:index]
        came, within = float(now.sum()), float(lasted.sum())
        level, calm_level = came / within, float(calm.sum() / lasted_calm.sum())
        usual = calm_level * within
        more, low, high = rate_difference(now, calm, lasted, lasted_calm)
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
    sizes = before.filter(pl.col("iteration") < first)["batch_size"].drop_nulls()
    rise = top - (full.usual if full is not None else sizes[-1] if sizes.len() else top)  # the first joined it already
    if sign.counts and rise > 0:
        share = min(1.0, (came - usual) / rise)
        said = f"{number(came)} requests came, {number(usual)} at the calm rate; the batch rose by {rise}"
        if full is None:
            tests += (Test("counterfactual", share >= HALF, said, share, "share"),)
        else:  # what would not have come would not have taken longer
            low, high = (min(1.0, share * bound) for bound in full.share[1:])
            share = min(1.0, share * full.share[0])
            tests += (counterfactual(share, low, high, f"{said}; of what its iterations took longer"),)
    took = with_unit(within, "s") if within >= 1 else with_unit(1e3 * within, "ms")
    says = sign.says.format(more=number(more), came=number(came), usual=number(usual), within=took)
    link = Link(
        kind=kind,
        summary=says if full is None else f"{says}; {full.says}",
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
    """One sign of load, an iteration a value. ``counts`` are told by ``exposure``, the seconds each iteration took:
    a longer iteration sees more arrivals without any surge."""

    noun: str
    says: str
    how: str
    unit: str
    counts: bool
    iterations: NDArray[np.int64]
    values: NDArray[np.float64]
    exposure: NDArray[np.float64]


def _arrivals(case: Case, before: pl.DataFrame) -> Sign | None:
    """Requests admitted in each iteration; None where x records tell no times, or tell them by another clock."""
    own = case.frame("requests").filter((pl.col("replica") == case.replica) & pl.col("admitted_ns").is_not_null())
    admitted, starts = own["admitted_ns"].sort(), before["start_ns"]
    if admitted.is_empty() or starts.null_count() or before.height < 2:
        return None
    # by one clock nobody is admitted after having run; by a millisecond some are, as in the view waits
    after = (own["admitted_ns"] - own["first_ns"] > NS_PER_MS).drop_nulls()
    if after.sum() > after.len() / 2:
        return None
    at = np.searchsorted(admitted.to_numpy(), starts.to_numpy(), side="right")
    # what came while the iteration before ran joins this one; the first has no before
    return Sign(
        "arrivals",
        "arrivals outran service: {came} requests came within {within}, {usual} at the calm rate",
        "as many by chance at the calm rate, corrected for the lengths of stretch looked at",
        "requests a second",
        True,
        before["iteration"].to_numpy()[1:],
        np.diff(at).astype(np.float64),
        np.maximum(np.diff(starts.to_numpy()) / NS_PER_S, 1e-9),
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
        np.ones(told.height),
    )


def _grew(sign: Sign) -> tuple[int, float] | None:
    """Where the sign rose to its level at the end, and its p-value; None where it did not."""
    if sign.counts:
        return surge(sign.values, sign.exposure)
    found = change_point(sign.values)
    return (found.index, found.p_value) if found is not None and found.rises else None
