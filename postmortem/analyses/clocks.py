"""One clock against another, from moments that both saw: offset, drift, steps, and how sure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import CLIP, SHORTEST
from postmortem.analyses.stats.median_mad import NORMAL_CONSISTENCY, mad, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = 40  # Theil's and Sen's slope looks at all pairs: 780 of 40 block medians
FEWEST_BLOCKS = 8  # of fewer, an interval of the slope or an outlier among the steps says nothing


@dataclass(frozen=True)
class Segment:
    """A stretch in which a clock ran evenly: difference(t) = offset_ns + drift * (t - at_ns).

    ``spread_ns`` holds 95 % of single events around it; ``slack_ns`` is what the interval of the drift
    adds at its ends, and how unsure the other clock is; ``stepped_ns`` is the jump at its beginning, 0
    for the first; ``drift`` (ns a ns) is None where its 95 % interval holds zero.
    """

    from_ns: int
    at_ns: int
    offset_ns: float
    drift: float | None
    spread_ns: float
    slack_ns: float
    events: int
    stepped_ns: float = 0.0

    def less(self, offset_ns: float, drift: float) -> Segment:
        """The same against another clock, which runs at this difference and drift."""
        left = None if self.drift is None and drift == 0 else (self.drift or 0.0) - drift
        return replace(self, offset_ns=self.offset_ns - offset_ns, drift=left)


def fit_clock(times_ns: NDArray[np.int64], differences_ns: NDArray[np.int64]) -> list[Segment]:
    """Differences of one clock from another over time as even stretches; times ascending, both shape (events,).

    Medians throughout, so that a straggler, a lost or a doubled record doesn't pull it. A step is a
    jump between neighbouring blocks of events that stands out of all such jumps by CLIP MADs.
    """
    if times_ns.size == 0:
        return []
    # Taken from their first values: epoch times lose their last bits as floats.
    t = (times_ns - times_ns[0]).astype(np.float64)
    base = int(differences_ns[0])
    d = (differences_ns - base).astype(np.float64)
    cuts = [0, *_steps(t, d), t.size]
    found: list[Segment] = []
    for first, stop in itertools.pairwise(cuts):
        at, offset, drift, spread, slack = _line(t[first:stop], d[first:stop])
        jump = 0.0
        if found:
            last = found[-1]
            here = t[first]
            ran = last.offset_ns - base + (last.drift or 0.0) * (here - (last.at_ns - int(times_ns[0])))
            jump = offset + (drift or 0.0) * (here - at) - ran
        found.append(
            Segment(
                int(times_ns[first]),
                int(times_ns[0]) + round(at),
                base + offset,
                drift,
                spread,
                slack,
                stop - first,
                jump,
            )
        )
    return found


def _blocks(t: NDArray[np.float64], d: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of up to BLOCKS runs of events."""
    parts = np.array_split(np.arange(t.size), min(BLOCKS, max(1, t.size // SHORTEST)))
    return np.array([median(t[p]) for p in parts]), np.array([median(d[p]) for p in parts])


def _line(t: NDArray[np.float64], d: NDArray[np.float64]) -> tuple[float, float, float | None, float, float]:
    """Middle, difference there, drift where it is sure, spread, and what the drift's interval adds at the ends."""
    middle, drift, wide = (t[0] + t[-1]) / 2, None, 0.0
    bt, bd = _blocks(t, d)
    if bt.size >= FEWEST_BLOCKS:
        from scipy.stats import theilslopes  # over a second, where no drift can be told

        slope, _, low, high = theilslopes(bd, bt, 0.95)
        if low > 0 or high < 0:
            drift = float(slope)
            wide = (high - low) / 2 * (t[-1] - t[0]) / 2
    flat = d - (drift or 0.0) * (t - middle)
    offset = median(flat)
    return float(middle), offset, drift, 2 * NORMAL_CONSISTENCY * mad(flat), wide


def _steps(t: NDArray[np.float64], d: NDArray[np.float64]) -> list[int]:
    """Indices of the first events after a jump of the clock."""
    parts = np.array_split(np.arange(t.size), min(BLOCKS, max(1, t.size // SHORTEST)))
    if len(parts) < FEWEST_BLOCKS:
        return []
    bt, bd = _blocks(t, d)
    rises = np.diff(bd) / np.diff(bt)  # a drifting clock rises evenly
    centre, spread = median(rises), mad(rises)
    loose = np.flatnonzero(np.abs(rises - centre) > CLIP * spread)
    cuts: list[int] = []
    while loose.size:
        # A jump inside a block moves its median part of the way: two neighbouring rises are one jump.
        low = int(loose[0])
        high = int(loose[1]) if loose.size > 1 and loose[1] == low + 1 else low
        loose = loose[1 + (high > low) :]
        first, stop = int(parts[low][0]), int(parts[high + 1][-1]) + 1
        cut = _split(d[first:stop] - centre * t[first:stop])
        if cut is not None:
            cuts.append(first + cut)
    return cuts


def _split(level: NDArray[np.float64]) -> int | None:
    """Where a run of values falls best into two levels (least sum of distances from their medians).

    None where the two levels overlap: their distance is no more than CLIP MADs within them.
    """
    n = level.size
    places = range(SHORTEST, n - SHORTEST + 1) if n >= 2 * SHORTEST else ()
    best, least = None, np.inf
    for cut in places if n <= BLOCKS * SHORTEST else np.linspace(SHORTEST, n - SHORTEST, BLOCKS * SHORTEST, dtype=int):
        low, high = level[:cut], level[cut:]
        cost = float(np.abs(low - median(low)).sum() + np.abs(high - median(high)).sum())
        if cost < least:
            best, least = int(cut), cost
    if best is None:
        return None
    low, high = level[:best], level[best:]
    within = max(mad(low), mad(high))
    return best if abs(median(high) - median(low)) > CLIP * within else None
