"""The scheduler changed the batch, and with it the shape that tactics are chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.analyses.stretches import departure, ramp
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, specificity

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Where the stretch of the other tactic begins: did the batch change there?"""
    if effect is None:
        return RuledOut("there is no effect")
    known = case.iterations.filter(pl.col("batch_size").is_not_null() & pl.col("algo_id").is_not_null())
    numbers = known["iteration"].to_list()
    if effect.iteration not in numbers:
        return Unseen("how large the batch was at the flip", "iteration, batch_size and algo_id in s records")
    planned = case.steps.filter(pl.col("iteration") == effect.iteration)["expected_algo_id"].drop_nulls()
    if planned.len() and planned[0] == effect.facts.get("reference_tactic"):
        return RuledOut(
            f"at iteration {effect.iteration} the plan for this batch was {planned[0]}, the reference's tactic"
        )
    calm = effect.facts.get("reference_tactic")
    tactics, sizes = known["algo_id"].to_list(), known["batch_size"].to_list()
    here = numbers.index(effect.iteration)
    left = departure(tactics, here, calm)
    began = ramp(sizes, left)
    if left == 0:
        return Unseen(f"the iterations before {numbers[0]}, when the other tactic already ran", "a longer recording")
    if sizes[left] == sizes[left - 1]:
        return RuledOut(f"the batch stayed at {sizes[left]} when the tactic changed at iteration {numbers[left]}")
    before, stretch = sizes[began - 1], sizes[began : here + 1]
    drop = sizes[left] < sizes[left - 1]
    after = min(stretch) if drop else max(stretch)
    size, tactic = np.asarray(sizes), np.asarray(tactics)
    moved, switched = size[1:] != size[:-1], tactic[1:] != tactic[:-1]
    a, b = int((moved & switched).sum()), int((moved & ~switched).sum())
    c, d = int((~moved & switched).sum()), int((~moved & ~switched).sum())
    as_before = tactic[size == before]
    stays = float((as_before == calm).mean())
    tests = (
        order(numbers[began], effect.iteration),
        Test("size", after != before, f"from {before} to {after} sequences", float(after - before), "sequences"),
        specificity(fisher_greater(a, b, c, d), f"{a} of {a + c} changes of tactic fall on a change of batch"),
        mechanism(
            True, f"iteration {numbers[left]} is the first of the stretch in which {case.req_id} ran the other tactic"
        ),
        Test(
            "counterfactual",
            stays >= HALF,
            f"at batch {before}, {100 * stays:.0f} % of {as_before.size} iterations ran tactic {calm}",
            stays,
            "share",
        ),
    )
    direction = "drop" if drop else "rise"
    start, end = known["start_ns"][began], known["start_ns"][here]
    verb = "cut the batch" if drop else "raised the batch"
    link = Link(
        kind=KIND.name,
        summary=f"the scheduler {verb} from {before} to {after} at iteration {numbers[began]}",
        grade=grade(tests),
        replica=case.replica,
        start_ns=start,
        end_ns=end,
        iteration=numbers[began],
        value=float(after),
        baseline=float(before),
        unit="sequences",
        p_value=tests[2].figure,
        tests=tests,
        evidence=(case.evidence("iterations", replica=case.replica),),
        facts={
            "direction": direction,
            "before": before,
            "after": after,
            "tactic": calm,
            "stop": numbers[began],
            "changed": numbers[left],
        },
    )
    return Found(link, stays)


KIND = Kind(
    name="batch_change",
    role="effect",
    says="the scheduler changed the batch: direction drop, rise or membership",
    seen_in=("s records", "NVTX"),
    leads_to=("algo_churn",),
    refuted_by="the batch is the same before and after the tactic changed",
    detect=detect,
)
