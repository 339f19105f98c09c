"""The iteration takes longer, and no collective accounts for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.counterfactual import share_removed
from postmortem.analyses.stats.intervals import median_effect
from postmortem.base.units import with_unit
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link
from postmortem.chain.tests_of import counterfactual, mechanism, order, size, specificity
from postmortem.chain.upstream import upstream

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Compute of even the fastest rank, against the calm iterations of the same shape."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None:
        return Unseen(
            "how long iterations took before the batch changed", "gpu_ms in s records, or NVTX iteration ranges"
        )
    if up.found is None or not up.significant:
        return RuledOut(f"iterations before {effect.iteration} took no longer than when calm")
    series = up.total_ms if up.compute_ms is None else up.compute_ms
    now, calm = series[up.found.now], series[up.found.calm]
    ratio, low, high = median_effect(now, calm, "ratio")
    if not low > 1:
        return RuledOut(
            f"compute took {with_unit(ratio, 'ratio')} its calm time on every "
            f"rank while iterations took {with_unit(up.found.ratio[0], 'ratio')}"
        )
    total = up.total_ms[up.found.now]
    share, share_low, share_high = share_removed(
        total, total - np.maximum(0, now - np.median(calm)), up.total_ms[up.found.calm]
    )
    if share_high < HALF:
        return RuledOut(
            f"compute took {with_unit(ratio, 'ratio')} its calm time "
            f"on every rank: {100 * share:.0f} % of the inflation"
        )
    window = up.window
    every = "on every rank alike" if up.ranks is not None and len(up.ranks.ranks) > 1 else "as the engine saw it"
    tests = (
        order(window.first, effect.iteration),
        size(ratio, low, high, "ratio", 1),
        specificity(up.found.change.p_value, "one change of level among blocks of shuffled iterations"),
        mechanism(
            True, f"iterations {window.first} to {window.stop - 1} run straight into the change at {effect.iteration}"
        ),
        counterfactual(share, share_low, share_high, "with compute at its calm median, of the iterations' inflation"),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=(
            f"iterations took {with_unit(ratio, 'ratio')} their calm "
            f"compute time, {every}, for {up.found.now.size} iterations"
        ),
        grade=grade(tests),
        replica=case.replica,
        rank=up.ranks.ranks[0] if up.ranks is not None and len(up.ranks.ranks) == 1 else None,
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
            case.evidence("iterations", replica=case.replica),
        ),
        facts={
            "window": [window.first, window.stop],
            "calm": up.calm_window,
            "times_from": up.source,
            "excess_ms": float(np.median(now) - np.median(calm)),
        },
    )
    return Found(link, share)


KIND = Kind(
    name="step_stretch",
    role="effect",
    says="the iteration takes longer, and no collective accounts for it",
    seen_in=("s records", "NVTX"),
    leads_to=("batch_change",),
    refuted_by="compute took its calm time on some rank",
    detect=detect,
)
