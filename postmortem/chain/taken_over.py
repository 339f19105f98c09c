"""A batch that was still small when what had cut it was over: another rank, or the fabric, had taken its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.lateness import lead_of_others
from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stretch import NEAREST
from postmortem.base.units import with_unit
from postmortem.chain.grade import HALF

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def taken_over(case: Case, effect: Link) -> str | None:
    """What held collectives up and was over before the flip, with what did since; None where that did not happen.

    ``effect`` is the link of the cut. Of what held collectives up most in the iterations after it, a rank's lateness or
    the transfer, half went before the flip, and another rose by half of that at least: it may have kept the batch small
    by itself. The p-values are corrected for as many parts as there are.
    """
    times, facts = case.rank_times, effect.facts
    if (
        times is None
        or times.absent
        or len(times.ranks) < 2
        or effect.iteration is None
        or facts["direction"] != "drop"
    ):
        return None
    before = np.flatnonzero(times.iterations < facts["stop"])[-NEAREST:]
    run = np.flatnonzero((times.iterations >= effect.iteration) & (times.iterations <= facts["flipped"]))[-NEAREST:]
    if not before.size or not run.size:
        return None

    def parts(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.column_stack([lead_of_others(times.compute_ms[rows]), times.transfer_ms[rows].min(axis=1)])

    beyond = np.maximum(0.0, parts(run) - np.median(parts(before), axis=0))
    names = [*(f"rank {rank}" for rank in times.ranks), "transfers"]
    steps = []
    for name, part in zip(names, beyond.T, strict=True):
        found = change_point(part)
        if found is not None and found.p_value * len(names) <= ALPHA:
            since = found.index
            steps.append((median(part[since:]) - median(part[:since]), name, since))
    if len(steps) < 2:
        return None
    (fall, ended, over), (rise, began, since) = min(steps), max(steps)
    held_up = np.median(beyond[:over], axis=0)
    most = float(held_up.max())
    if names[int(held_up.argmax())] != ended or -fall < HALF * most or rise < HALF * -fall:
        return None
    first, then = (int(times.iterations[run[at]]) for at in (over, since))
    took = f"{began} took {with_unit(rise, 'ms')} more from iteration {then} on, and the batch stayed small"
    return (
        f"{ended} took {with_unit(-fall, 'ms')} less from iteration {first} on: what had cut the batch was over; {took}"
    )
