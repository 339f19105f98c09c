"""How likely a token flips, from its margin and from how far margins were seen to move between the two plans.

A move is what the reference's margin loses when another plan runs the step (query margin_moves). Which of two replays
is called the reference is arbitrary, so a move of d stands for one of -d as well, and

    P(flip | margin m) = P(move > m) + P(move = m) / 2 = (#{|d| > m} + #{|d| = m} / 2) / 2n

over the n moves seen; at m = d the two tokens are even, and either may win. A move of nothing flips nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.intervals import RESAMPLES, SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FOLDS = 5  # the customary number
PLANS = ("tactic", "precision", "reference_tactic", "reference_precision")
Z = 1.959964  # the normal distribution's 97.5 %


def chance(margin: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(flip) at each margin; ``noise``: absolute moves in ascending order. NaN where there are none."""
    if not noise.size:
        return np.full(margin.size, np.nan)
    below, upto = (np.searchsorted(noise, margin, side) for side in ("left", "right"))
    even = np.where(margin > 0, upto - below, 0)
    found: NDArray[np.float64] = (noise.size - upto + even / 2) / (2 * noise.size)
    return found


def with_risk(moves: pl.DataFrame) -> pl.DataFrame:
    """``moves`` (as margin_moves has them) with ``risk``: P(flip) at the reference's margin, by others' moves.

    The moves are of the same two plans, whichever was the reference's, and of other replay groups: in FOLDS parts, so
    that no request tells its own risk. ``noise`` is the largest of them, logits; both NULL where there is none.
    """
    own, theirs = (
        pl.concat_str(PLANS[:2], separator="/", ignore_nulls=True),
        pl.concat_str(PLANS[2:], separator="/", ignore_nulls=True),
    )
    rows = moves.with_columns(
        pair=pl.concat_list(own, theirs).list.sort().list.join(" | "),
        fold=pl.col("reference").rank("dense").cast(pl.Int64) % FOLDS,
    )  # fmt: skip
    parts = [part for (pair,), part in rows.group_by("pair", maintain_order=True)]
    return pl.concat([*(_judged(part) for part in parts), _judged(rows.clear())]).drop("pair", "fold")


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    fold, margin = rows["fold"].to_numpy(), rows["reference_margin"].to_numpy()
    moved, told = rows["moved"].abs().to_numpy(), rows["moved"].is_not_null().to_numpy()
    risk, noise = np.full(rows.height, np.nan), np.full(rows.height, np.nan)
    for part in np.unique(fold):
        seen = np.sort(moved[told & (fold != part)])
        here = fold == part
        risk[here] = chance(margin[here], seen)
        noise[here] = seen[-1] if seen.size else np.nan
    return rows.with_columns(risk=pl.Series(risk).fill_nan(None), noise=pl.Series(noise).fill_nan(None))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """A 95 % interval of a share (Wilson 1927); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, Z * Z / of
    centre, half = share + square / 2, Z * float(np.sqrt(share * (1 - share) / of + square / (4 * of)))
    return float(max(0.0, (centre - half) / (1 + square))), float(min(1.0, (centre + half) / (1 + square)))


def resampled_noise(moves: pl.DataFrame) -> Iterator[NDArray[np.float64]]:
    """Absolute moves in ascending order, of replay groups drawn with replacement: RESAMPLES times.

    Groups are drawn whole, since the steps of one text are no independent cases.
    """
    groups = [
        part.abs().drop_nulls().to_numpy()
        for part in moves.group_by("reference", maintain_order=True).agg("moved")["moved"]
    ]
    rng = np.random.default_rng(SEED)
    for drawn in rng.integers(0, len(groups), size=(RESAMPLES, len(groups))):
        yield np.sort(np.concatenate([groups[k] for k in drawn]))
