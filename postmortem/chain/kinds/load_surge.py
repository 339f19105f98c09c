"""Arrivals outran service: the queue grew and the batch's composition moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.median_mad import median
from postmortem.base.units import number, with_unit
from postmortem.chain.grade import ALPHA, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, size, specificity
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Queue time before a batch that rose; iterations that stretched first point elsewhere."""
    if effect is None:
        return RuledOut("there is no effect")
    if effect.facts.get("direction") != "rise":
        return RuledOut(
            f"the batch was cut, from {number(effect.baseline or 0)} to "
            f"{number(effect.value or 0)}: more load would have raised it"
        )
    before = case.iterations.filter((pl.col("iteration") <= effect.facts["stop"]) & pl.col("queue_ms").is_not_null())
    if before.is_empty():
        return Unseen("how long requests waited before the batch rose", "queue_ms in s records")
    up = upstream(case, effect)
    if up is not None and up.significant and up.found is not None:
        return RuledOut(
            f"iterations stretched first: {with_unit(up.found.ratio[0], 'ratio')} from iteration {up.window.first}"
        )
    queue = before["queue_ms"].to_numpy()
    found = change_point(queue)
    if found is None or not found.rises or found.p_value > ALPHA:
        return RuledOut("the queue did not grow before the batch rose")
    numbers = before["iteration"].to_list()
    more, low, high = median_effect(queue[found.index :], queue[: found.index], "difference")
    first = numbers[found.index]
    tests: tuple[Test, ...] = (
        order(first, effect.iteration),
        size(more, low, high, "ms", 0),
        specificity(found.p_value, "one change of level among blocks of shuffled iterations"),
        mechanism(True, "the queue of the replica that formed this batch"),
    )
    link = Link(
        kind=KIND.name,
        summary=f"arrivals outran service: requests waited {with_unit(more, 'ms')} longer",
        grade=grade(tests),
        replica=case.replica,
        start_ns=before["start_ns"][found.index],
        end_ns=effect.start_ns,
        iteration=first,
        value=median(queue[found.index :]),
        baseline=median(queue[: found.index]),
        unit="ms",
        p_value=found.p_value,
        tests=tests,
        evidence=(case.evidence("iterations", replica=case.replica),),
    )
    return Found(link)


KIND = Kind(
    name="load_surge",
    role="root",
    says="arrivals outran service: queue up, batch composition moved, no straggler, no slow fabric",
    seen_in=("s records", "x records"),
    leads_to=("batch_change",),
    refuted_by="the batch was cut, or iterations stretched before the queue grew",
    detect=detect,
)
