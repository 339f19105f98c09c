"""The isolation posture changed what may share a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.base.units import percent
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, specificity

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Whether isolation_mode changed at, or just before, the iteration at which the batch did."""
    if effect is None:
        return RuledOut("there is no effect")
    rows = case.iterations.filter(pl.col("isolation_mode").is_not_null())
    if rows.is_empty():
        return Unseen("the isolation posture when the batch changed", "isolation_mode in s records")
    modes, numbers = rows["isolation_mode"].to_list(), rows["iteration"].to_list()
    upto = [i for i, n in enumerate(numbers) if n <= effect.facts["stop"]]
    changes = [i for i in upto if i > 0 and modes[i] != modes[i - 1]]
    if not changes:
        return RuledOut(f"isolation was {modes[upto[-1]] if upto else modes[0]} all along")
    at = changes[-1]
    sizes = rows["batch_size"].to_list()
    moved = [i for i in range(1, len(sizes)) if sizes[i] != sizes[i - 1]]
    switched = [i for i in range(1, len(modes)) if modes[i] != modes[i - 1]]
    both = len(set(moved) & set(switched))
    p_value = fisher_greater(
        both, len(switched) - both, len(moved) - both, len(sizes) - 1 - len(moved) - len(switched) + both
    )
    if at not in moved:
        return RuledOut(
            f"isolation became {modes[at]} at iteration {numbers[at]}, where the batch stayed at {sizes[at]}"
        )
    under = [size for size, mode in zip(sizes, modes, strict=True) if mode == modes[at]]
    without = [size for size, mode in zip(sizes, modes, strict=True) if mode == modes[at - 1]]
    if numbers[at] == effect.facts["stop"]:  # the very iteration: what the batch was tells what it would have stayed
        without = [sizes[at - 1]]
    change = effect.facts["before"] - effect.facts["after"]
    if effect.facts["backlog"]:  # what it kept out came in afterwards
        change = -change
    share = max(0.0, min(1.0, (float(np.median(without)) - float(np.median(under))) / change)) if change else 0.0
    medians = f"{np.median(without):.0f} under {modes[at - 1]}, {np.median(under):.0f} in the median under {modes[at]}"
    said = f"the batch is {medians}: {percent(share)} of the change"
    waited = effect.facts["waited"]
    if numbers[at] == effect.facts["stop"] and waited > share * abs(change):
        share = min(1.0, waited / abs(change))
        said = f"nobody waited before iteration {numbers[at]}, up to {waited} since: {percent(share)} of the change"
    tests = (
        order(numbers[at], effect.facts["stop"]),
        Test(
            "size",
            sizes[at] != sizes[at - 1],
            f"from {sizes[at - 1]} to {sizes[at]} sequences in that iteration",
            float(sizes[at] - sizes[at - 1]),
            "sequences",
        ),
        specificity(p_value, f"{both} of {len(switched)} changes of isolation fall on a change of batch"),
        mechanism(
            True, f"isolation became {modes[at]} in iteration {numbers[at]}, and still was in {effect.facts['stop']}"
        ),
        Test("counterfactual", share >= HALF, said, share, "share"),
    )
    link = Link(
        kind=KIND.name,
        summary=f"isolation became {modes[at]} at iteration {numbers[at]}",
        grade=grade(tests),
        replica=case.replica,
        start_ns=rows["start_ns"][at],
        end_ns=effect.start_ns,
        iteration=numbers[at],
        value=float(sizes[at]),
        baseline=float(sizes[at - 1]),
        unit="sequences",
        p_value=p_value,
        tests=tests,
        evidence=(case.evidence("iterations", replica=case.replica),),
    )
    return Found(link, share)


KIND = Kind(
    name="isolation_change",
    role="root",
    says="isolation posture changed what may share a batch",
    seen_in=("s records", "NVTX"),
    leads_to=("batch_change",),
    refuted_by="isolation_mode is the same before and after the batch changed",
    detect=detect,
)
