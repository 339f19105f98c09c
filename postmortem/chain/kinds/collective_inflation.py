"""Collectives took longer than their own calm median, and the iterations with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.counterfactual import share_removed
from postmortem.analyses.stats.intervals import median_effect
from postmortem.base.units import with_unit
from postmortem.chain.grade import grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Time in collectives before the batch changed, against the calm iterations of the same shape."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.comm_ms is None:
        return Unseen(
            "how long collectives took before the batch changed",
            "comm_ms and sync_ms in s records, or NVTX collective ranges",
        )
    if up.found is None:
        return RuledOut(f"iterations did not get longer before iteration {effect.iteration}")
    if not up.significant:
        said = with_unit(up.found.ratio[0], "ratio")
        return RuledOut(
            f"iterations before {effect.iteration} took {said} of earlier "
            f"ones: within chance (p = {up.found.change.p_value:.2g})"
        )
    now, calm = up.comm_ms[up.found.now], up.comm_ms[up.found.calm]
    ratio, low, high = median_effect(now, calm, "ratio")
    if not low > 1:
        return RuledOut(
            f"collectives took {with_unit(ratio, 'ratio')} their calm time "
            f"while iterations took {with_unit(up.found.ratio[0], 'ratio')}"
        )
    total, total_calm = up.total_ms[up.found.now], up.total_ms[up.found.calm]
    without = total - np.maximum(0, now - np.median(calm))
    share, share_low, share_high = share_removed(total, without, total_calm)
    window = up.window
    tests = (
        order(window.first, effect.iteration),
        size(ratio, low, high, "ratio", 1),
        specificity(up.found.change.p_value, "one change of level among blocks of shuffled iterations"),
        mechanism(
            window.stop == effect.iteration,
            f"iterations {window.first} to {window.stop - 1} run straight into the change at {effect.iteration}",
        ),
        counterfactual(
            share, share_low, share_high, "with collectives at their calm median, of the iterations' inflation"
        ),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=f"collectives took {with_unit(ratio, 'ratio')} their calm median for {up.found.now.size} iterations",
        grade=grade(tests),
        replica=case.replica,
        start_ns=start,
        end_ns=end,
        iteration=window.first,
        value=float(np.median(now)),
        baseline=float(np.median(calm)),
        unit="ms",
        p_value=up.found.change.p_value,
        tests=tests,
        evidence=(
            case.evidence("rank_iterations", replica=case.replica),
            case.evidence("collectives", replica=case.replica),
            case.evidence("iterations", replica=case.replica),
        ),
        facts={
            "ratio": ratio,
            "share": share,
            "times_from": up.source,
            "window": [window.first, window.stop],
            "stop": effect.facts["stop"],
            "tactic": effect.facts["tactic"],
        },
    )
    return Found(link, share)


KIND = Kind(
    name="collective_inflation",
    role="effect",
    says="collectives take longer than their own calm median, because of waiting or of the fabric",
    seen_in=("kernels", "NVTX", "s records"),
    leads_to=("batch_change",),
    refuted_by="collectives take their calm time while iterations stretch",
    detect=detect,
)
