"""How likely a token flips, from its margin and from how far margins were seen to move between the two plans.

A move is what the reference's margin loses when another plan runs the step (query margin_moves). Which of two replays
is called the reference is arbitrary, so a move of d stands for one of -d as well, and

    P(flip | margin m) = P(move > m) + P(move = m) / 2 = (#{|d| > m} + #{|d| = m} / 2) / 2n

over the n moves seen; at m = d the two tokens are even, and either may win. A move of nothing flips nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.intervals import RESAMPLES, SEED
from postmortem.analyses.stats.level import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANS = ("tactic", "precision", "reference_tactic", "reference_precision")
# How a step ran: as its reference's and all before it, or so after one that did not (its keys and values stay), or not.
SAME, AFTER, OTHER = "same", "after_other", "other"
TAIL = (1 - CONFIDENCE) / 2
SEEN, LOWER, UPPER = slice(1), slice(1, 1 + RESAMPLES), slice(1 + RESAMPLES, None)  # what Noise draws, see there
UNSEEN = -float(np.log(TAIL))  # as many may be to come where none was seen (Hanley and Lippman-Hand 1983, at 97.5 %)
Z = 1.959964  # the normal distribution's 97.5 %
DISTINCT = 512  # distinct moves kept apart; where there are more, they are rounded to DIGITS binary digits
DIGITS = 8  # as bfloat16 keeps: a move changes by at most 0.4 %
HALVINGS = 40, 12  # of the span in which a factor and its ends are looked for, 30 powers of 2 or so: ends to 1 %


def reaching(margin: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many moves reach over each margin, what is even counted half; ``noise``: absolute moves, ascending."""
    below, upto = (np.searchsorted(noise, margin, side) for side in ("left", "right"))
    found: NDArray[np.float64] = noise.size - upto + np.where(margin > 0, upto - below, 0) / 2
    return found


def chance(margin: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(flip) at each margin; ``noise``: absolute moves in ascending order. NaN where there are none."""
    return reaching(margin, noise) / (2 * noise.size) if noise.size else np.full(margin.size, np.nan)


def with_risk(moves: pl.DataFrame, share: float = 0.99) -> pl.DataFrame:
    """``moves`` (as margin_moves has them) with ``ran``, ``risk``: P(flip) at the reference's margin, and ``noise``.

    Both are by the moves of all other replay groups, so that no request tells its own risk: of steps that ran alike
    (SAME, AFTER or OTHER) under the same two plans, whichever was the reference's. ``noise``, logits, is the least that
    ``share`` of them do not exceed. NULL where no other group has any; ``others`` is how many there are.
    """
    own, theirs = (
        pl.concat_str(PLANS[:2], separator="/", ignore_nulls=True),
        pl.concat_str(PLANS[2:], separator="/", ignore_nulls=True),
    )
    rows = moves.with_columns(
        pair=pl.concat_list(own, theirs).list.sort().list.join(" | "),
        ran=pl.when("other_plan").then(pl.lit(OTHER)).when("after_other").then(pl.lit(AFTER)).otherwise(pl.lit(SAME)),
    )
    parts = [part for _, part in rows.group_by("pair", "ran", maintain_order=True)]
    return pl.concat([_judged(part, share) for part in (*parts, rows.clear())]).drop("pair")


def _judged(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    margin = rows["reference_margin"].to_numpy()
    moved, told = rows["moved"].abs().to_numpy(), rows["moved"].is_not_null().to_numpy()
    seen = np.sort(moved[told])
    risk, noise = np.full(rows.height, np.nan), np.full(rows.height, np.nan)
    others = np.zeros(rows.height, np.int64)
    group = rows["reference"].rank("dense").to_numpy()
    order = np.argsort(group, kind="stable")
    for here in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        own = np.sort(moved[here][told[here]])
        others[here] = left = seen.size - own.size
        if left:
            risk[here] = (reaching(margin[here], seen) - reaching(margin[here], own)) / (2 * left)
            noise[here] = nth_without(seen, own, max(0, int(np.ceil(share * left)) - 1))
    return rows.with_columns(
        risk=pl.Series(risk).fill_nan(None), noise=pl.Series(noise).fill_nan(None), others=pl.Series(others)
    )


def nth_without(seen: NDArray[np.float64], own: NDArray[np.float64], n: int) -> float:
    """The n-th, from 0, of ``seen`` when ``own``, some of them, are taken out; both ascending."""
    left_before = np.searchsorted(seen, own) - np.searchsorted(own, own)
    return float(seen[n + np.searchsorted(left_before, n, side="right")])


def wilson(hits: int, of: int) -> tuple[float, float]:
    """A 95 % interval of a share (Wilson 1927); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, Z * Z / of
    centre, half = share + square / 2, Z * float(np.sqrt(share * (1 - share) / of + square / (4 * of)))
    return float(max(0.0, (centre - half) / (1 + square))), float(min(1.0, (centre + half) / (1 + square)))


class Noise:
    """Absolute moves of several replay groups: as they are, and drawn anew RESAMPLES times, for the ends of intervals.

    Groups are drawn whole, since the steps of one text are no independent cases. For an upper end, UNSEEN more moves,
    larger than all, are put in. So more than 9 of 10 intervals hold the truth; of ten texts whose noise differs by
    factors of three, 3 of 4 do, far out. A step stands at a *place* among the distinct moves, between two or on one:
    only that decides its P(flip), in every draw.
    """

    def __init__(self, moves: pl.DataFrame) -> None:
        """``moves``: ``reference`` and ``moved``, at least one that is not NULL."""
        told = moves.filter(pl.col("moved").is_not_null())
        size = told["moved"].abs().to_numpy()
        if np.unique(size).size > DISTINCT:
            part, power = np.frexp(size)
            size = np.ldexp(np.rint(part * 2**DIGITS), power - DIGITS)
        self.values, value = np.unique(size, return_inverse=True)
        group = told["reference"].rank("dense").to_numpy() - 1
        groups = int(group.max()) + 1
        counts = np.zeros((groups, self.values.size))
        np.add.at(counts, (group, value), 1)
        drawn = np.random.default_rng(SEED).multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)
        weighed = np.vstack([np.ones(groups), drawn]) @ counts
        # tail[:, j]: moves of the j-th distinct size or larger
        tail = np.hstack([np.cumsum(weighed[:, ::-1], axis=1)[:, ::-1], np.zeros((RESAMPLES + 1, 1))])
        place = np.arange(2 * self.values.size + 1)
        reach, seen = (tail[:, place // 2] + tail[:, (place + 1) // 2]) / 2, tail[:, :1]
        #: P(flip) of each place: shape (1 + 2 * RESAMPLES, places), in the order of SEEN, LOWER, UPPER.
        self.risk: NDArray[np.float64] = np.vstack(
            [reach / (2 * seen), (reach[1:] + UNSEEN) / (2 * (seen[1:] + UNSEEN))]
        )
        self.kept: NDArray[np.float64] = np.log1p(-self.risk)  # logarithm of P(no flip)

    def places(self, margin: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.int64]:
        """Where each margin stands when all moves are ``factor`` times as large; shape (margins,)."""
        scaled = margin / factor
        below, upto = (np.searchsorted(self.values, scaled, side) for side in ("left", "right"))
        return np.where(margin > 0, below, upto) + upto


# Value, lower and upper end of its 95 % interval, each one a family.
Figure = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True)
class Budget:
    """Margins, logits, with the text (from 0, ascending) that each is of, and the family (likewise) of each text."""

    margin: NDArray[np.float64]
    text: NDArray[np.int64]
    family: NDArray[np.int64]

    def _counts(self, noise: Noise, factor: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many steps of each text stand at each place, moves taken ``factor`` (one a family) times as large."""
        width = noise.risk.shape[1]
        at = self.text * width + noise.places(self.margin, factor[self.family][self.text])
        return np.bincount(at, minlength=self.family.size * width).reshape(self.family.size, width).astype(np.float64)

    def _by_family(self, of_texts: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.add.reduceat(of_texts, np.flatnonzero(np.diff(self.family, prepend=-1)), axis=0)
        return total

    def per_step(self, noise: Noise) -> Figure:
        """Mean P(flip) of each family's steps."""
        counts = self._by_family(self._counts(noise, np.ones(self.family[-1] + 1)))
        return _with_ends(counts @ noise.risk.T / counts.sum(axis=1, keepdims=True))

    def any_step(self, noise: Noise) -> Figure:
        """P that one of a text's steps flips, the mean of each family's texts."""
        return _with_ends(self._any(noise, np.ones(self.family[-1] + 1), slice(None)))

    def _any(self, noise: Noise, factor: NDArray[np.float64], draws: slice) -> NDArray[np.float64]:
        each = 0.0 - np.expm1(self._counts(noise, factor) @ noise.kept[draws].T)  # 0 and not -0 where nothing flips
        return self._by_family(each) / np.bincount(self.family)[:, None]

    def tolerated(self, noise: Noise, allowed: float) -> Figure:
        """How many times as large as seen moves may be until any_step exceeds ``allowed``.

        0 where it does so however small they are (a margin is 0), infinite where it never does.
        """
        most, ends = HALVINGS
        return (
            self._between(noise, allowed, SEEN, 0.5, most)[0],  # the middle of one draw
            self._between(noise, allowed, UPPER, 1 - TAIL, ends)[0],
            self._between(noise, allowed, LOWER, TAIL, ends)[1],
        )

    def _between(
        self, noise: Noise, allowed: float, draws: slice, quantile: float, halvings: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two factors, a quantile of any_step allowed at one and not at the other.

        any_step grows with the factor: its quantile over draws is the factor's, counted from the other end.
        """

        def holds(power: NDArray[np.float64]) -> NDArray[np.bool_]:
            risk = np.quantile(self._any(noise, np.exp2(power), draws), quantile, axis=1)
            return np.asarray(risk <= allowed)

        margins, sizes = (v[v > 0] if (v > 0).any() else np.ones(1) for v in (self.margin, noise.values))
        # at low no move reaches over a margin that is not 0, at high all do
        low = np.full(self.family[-1] + 1, np.log2(margins.min() / sizes.max()) - 1)
        high = np.full(low.size, np.log2(margins.max() / sizes.min()) + 1)
        none, every = ~holds(low), holds(high)
        for _ in range(halvings):
            middle = (low + high) / 2
            kept = holds(middle)
            low, high = np.where(kept, middle, low), np.where(kept, high, middle)
        low, high = (np.select([none, every], [0.0, np.inf], np.exp2(power)) for power in (low, high))
        return low, high


def _with_ends(drawn: NDArray[np.float64]) -> Figure:
    return (drawn[:, 0], np.quantile(drawn[:, LOWER], TAIL, axis=1), np.quantile(drawn[:, UPPER], 1 - TAIL, axis=1))
