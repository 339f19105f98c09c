"""Collectives slower on all ranks although all arrive together."""

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
    """Transfer time, from the last arrival to the end: the part of a collective that no late rank explains."""
    if effect is None:
        return RuledOut("there is no effect")
    up = upstream(case, effect)
    if up is None or up.ranks is None or up.rows is None or up.found is None:
        return Unseen(
            "how long transfers took once all ranks had arrived",
            "comm_ms and sync_ms of every rank, or collective ranges or kernels of every rank",
        )
    transfer = np.median(up.ranks.transfer_ms[up.rows], axis=1)
    now, calm = transfer[up.found.now], transfer[up.found.calm]
    ratio, low, high = median_effect(now, calm, "ratio")
    total = up.total_ms[up.found.now]
    share, share_low, share_high = share_removed(
        total, total - np.maximum(0, now - np.median(calm)), up.total_ms[up.found.calm]
    )
    if not low > 1:
        return RuledOut(f"once all ranks had arrived, transfers took {with_unit(ratio, 'ratio')} their calm time")
    if share_high < HALF:
        return RuledOut(
            f"transfers took {with_unit(ratio, 'ratio')} their calm time, {100 * share:.0f} "
            f"% of the iterations' inflation at most {100 * share_high:.0f} %"
        )
    window = up.window
    tests = (
        order(window.first, effect.iteration),
        size(ratio, low, high, "ratio", 1),
        specificity(up.found.change.p_value, "one change of level among blocks of shuffled iterations"),
        mechanism(True, "the same collectives of the same iterations"),
        counterfactual(
            share, share_low, share_high, "with transfers at their calm median, of the iterations' inflation"
        ),
    )
    start, end = case.times_of(window)
    link = Link(
        kind=KIND.name,
        summary=(
            f"transfers between ranks took {with_unit(ratio, 'ratio')} their calm median although all arrived together"
        ),
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
        ),
    )
    return Found(link, share)


KIND = Kind(
    name="fabric_congestion",
    role="root",
    says="collectives slower on all ranks although all arrive together",
    seen_in=("kernels", "NCCL logs", "s records"),
    leads_to=("collective_inflation",),
    refuted_by="once all ranks have arrived, transfers take their calm time",
    detect=detect,
)
