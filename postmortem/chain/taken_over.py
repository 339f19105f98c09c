"""A batch that was still small when what had cut it was over: a rank, or the fabric, had taken its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.lateness import lateness
from postmortem.analyses.stats.changepoint import SHORTEST, change_points
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stretch import NEAREST
from postmortem.base.units import with_unit
from postmortem.chain.grade import HALF
from postmortem.chain.upstream import FARTHEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.analyses.rank_times import RankTimes
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def taken_over(case: Case, effect: Link) -> str | None:
    """What held collectives up and was over before the flip, with what did since; None where that did not happen.

    ``effect`` is the link of the cut. Of what held collectives up most just after it, a rank or the transfer,
    half was gone just before the flip, and another had risen by half of that at least: it may have kept the batch small
    by itself. The p-values of both changes are corrected for as many parts as there are. Of more iterations than
    FARTHEST the last are looked at.
    """
    rows = _rows(case, effect)
    if rows is None:
        return None
    times, before, run = rows

    def parts(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.column_stack([times.lead_ms[rows], times.transfer_ms[rows].min(axis=1)])

    beyond = np.maximum(0.0, parts(run) - np.median(parts(before), axis=0))
    first, last = (np.median(beyond[some], axis=0) for some in (slice(SHORTEST), slice(-SHORTEST, None)))
    ended, began = int(np.argmax(first)), int(np.argmax(last - first))
    fell, rose = float(first[ended] - last[ended]), float(last[began] - first[began])
    if fell < HALF * first[ended] or rose < HALF * fell:
        return None
    every = change_points(beyond)
    changes = [every[part] for part in (ended, began)]
    if any(c is None or c.p_value > ALPHA for c in changes):
        return None
    over, since = (int(times.iterations[run[c.index]]) for c in changes if c is not None)
    what, other = ("transfers" if part == len(times.ranks) else f"rank {times.ranks[part]}" for part in (ended, began))
    took = f"{other} took {with_unit(rose, 'ms')} more from iteration {since} on, and the batch stayed small"
    return f"{what} took {with_unit(fell, 'ms')} less from iteration {over} on: what had cut the batch was over; {took}"


def kept_small(case: Case, effect: Link, longer_ms: float) -> str | None:
    """Which rank held up the iterations of a batch that had been cut for having filled; None where none did.

    The fuller batch had taken ``longer_ms`` more. A rank that took half of that more than when calm, from the cut to
    the flip, may have kept the batch small by itself: what had filled it was over.
    """
    rows = _rows(case, effect)
    if rows is None:
        return None
    times, before, run = rows
    latest = lateness(times.compute_ms[run[-NEAREST:]], times.compute_ms[before])[0]
    if not latest.low_ms > 0 or latest.excess_ms < HALF * longer_ms:
        return None
    took = f"rank {times.ranks[latest.column]} took {with_unit(latest.excess_ms, 'ms')} more from the cut to the flip"
    return f"{took}, the fuller batch {with_unit(longer_ms, 'ms')} before: that rank may have kept it small"


def _rows(case: Case, effect: Link) -> tuple[RankTimes, NDArray[np.int64], NDArray[np.int64]] | None:
    """Every rank's times, with the rows before what led to a cut, and those from the cut to the flip; None without."""
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
    run = np.flatnonzero((times.iterations >= effect.iteration) & (times.iterations <= facts["flipped"]))[-FARTHEST:]
    return (times, before, run) if before.size and run.size else None
