"""How far a histogram moved between two phases, and how much of that goes with another mix of groups.

Histograms are of iterations in order of time: ``counts`` has shape (iterations, kinds), what each iteration ran, in
steps; ``pressured`` marks the second phase; ``group`` is the iteration's shape class. An iteration's steps are never
taken apart: it chose for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import RESAMPLES, SEED, lasting_block_length
from postmortem.analyses.stats.level import CONFIDENCE
from postmortem.analyses.stats.permutation import every_turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ROUNDING = 1e-12  # bits: the same divergence summed in another order may differ by so much


@dataclass(frozen=True)
class Shift:
    """``distance`` is Jensen's and Shannon's, 0 to 1, with a 95 % interval; ``p_value``: phases do not matter.

    p is None where every turn gives the same distance: one kind ran, and there is nothing to test.
    """

    distance: float
    low: float
    high: float
    p_value: float | None


@dataclass(frozen=True)
class Split:
    """The divergence (the distance squared, bits) and its part at the same shape; ``p_value`` is of no such part.

    p is None where every turn gives the same: one kind ran in each group. ``comparable`` is the share of steps whose
    group ran in both phases.
    """

    divergence: float
    comparable: float
    same_shape: float
    p_value: float | None


def entropy(counts: Array) -> float:
    """Bits a step of a histogram; 0 of one kind (or none)."""
    share = counts[counts > 0] / max(1.0, float(counts.sum()))
    return float(-(share * np.log2(share)).sum()) + 0.0


def _terms(calm: Array, now: Array) -> Array:
    """What each pair of shares adds to the divergence, bits (Lin 1991)."""
    middle = calm + now
    out = np.zeros_like(middle)
    for share in (calm, now):
        with np.errstate(divide="ignore", invalid="ignore"):
            out += np.where(share > 0, share / 2 * np.log2(2 * share / middle), 0.0)
    return out


def shift(counts: Array, pressured: NDArray[np.bool_]) -> Shift | None:
    """How far the histogram of the pressured iterations lies from that of the calm ones.

    None where either phase has fewer iterations than say something of a level.

    p: the phases are turned against the iterations in a circle, all ways; each is as likely if the phases know nothing
    of what ran. The interval resamples blocks of neighbouring iterations in each phase. Chance alone moves histograms
    apart: the observed divergence lies above the true one by about as much as the resampled ones above the observed,
    so that percentiles are shifted by twice that; the interval is widened to hold the observed one.
    """
    if min(int(pressured.sum()), int((~pressured).sum())) < SHORTEST:
        return None
    turned = _turned(counts, pressured)
    observed = max(0.0, float(turned[0]))
    rng = np.random.default_rng(SEED)
    calm, now = (_resampled(counts[of], rng) for of in (~pressured, pressured))
    drawn = _terms(calm, now).sum(axis=0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) - 2 * (drawn.mean() - observed)
    low, high = (float(np.clip(end, 0, 1)) ** 0.5 for end in (min(low, observed), max(high, observed)))
    return Shift(observed**0.5, low, high, _p_value(turned))


def _p_value(turned: Array) -> float | None:
    """The share of turns that come as far as the first, which moves nothing; None where all are alike."""
    if np.ptp(turned) <= ROUNDING:
        return None
    return float(np.count_nonzero(turned >= turned[0] - ROUNDING) / turned.size)


def _turned(counts: Array, pressured: NDArray[np.bool_]) -> Array:
    """The divergence, bits, for each turn of the phases; entry 0 is the observed one."""
    all_steps = counts.sum(axis=1)
    now_steps = every_turn(all_steps, pressured)
    calm_steps = all_steps.sum() - now_steps
    out = np.zeros(all_steps.size)
    for kind in counts.T:
        now = every_turn(kind, pressured)
        out += _terms((kind.sum() - now) / calm_steps, now / now_steps)
    return out


def _resampled(counts: Array, rng: np.random.Generator) -> Array:
    """Shares of each kind in samples of blocks of neighbours; shape (kinds, RESAMPLES)."""
    n, kinds = counts.shape
    length = lasting_block_length(counts / counts.sum(axis=1, keepdims=True))
    starts = rng.integers(0, n - length + 1, size=(RESAMPLES, -(-n // length)))
    drawn = np.empty((kinds, RESAMPLES))
    for k in range(kinds):
        run = np.concatenate([[0.0], np.cumsum(counts[:, k])])
        drawn[k] = (run[starts + length] - run[starts]).sum(axis=1)
    shares: Array = drawn / drawn.sum(axis=0)
    return shares


def split(counts: Array, group: NDArray[np.int64], pressured: NDArray[np.bool_]) -> Split | None:
    """How much of the divergence is at the same shape; the rest goes with another mix of shapes.

    None where either phase has fewer iterations than say something of a level.

    Told as information: the divergence is what a step's tactic tells of its phase, both phases as likely (Lin 1991);
    the part at the same shape is what the tactic tells of it once the shape is known. The rest is below 0 where the
    mix of shapes hides what changed inside them. p: the phases are turned inside each group, each by the same part of
    its length, so that every phase keeps its mix of shapes and what changes in all groups at once stays together.
    """
    if min(int(pressured.sum()), int((~pressured).sum())) < SHORTEST:
        return None
    parts = [(counts[group == g], pressured[group == g]) for g in np.unique(group)]
    both = [(every, held) for every, held in parts if held.any() and not held.all()]
    longest = max([len(held) for _, held in both], default=1)
    turns = np.arange(min(longest, RESAMPLES + 1)) / min(longest, RESAMPLES + 1)
    totals = [every.sum(axis=0)[:, None] for every, _ in parts]
    now = [_now(every, held, turns) for every, held in parts]
    now_steps = sum((part.sum(axis=0) for part in now), np.zeros(turns.size))
    calm_steps = counts.sum() - now_steps
    within = np.zeros(turns.size)
    for total, part in zip(totals, now, strict=True):
        calm, held_now = (total - part) / calm_steps, part / now_steps
        within += _terms(calm, held_now).sum(axis=0) - _terms(calm.sum(axis=0), held_now.sum(axis=0))
    calm_all, now_all = counts[~pressured].sum(axis=0), counts[pressured].sum(axis=0)
    whole = float(_terms(calm_all / calm_all.sum(), now_all / now_all.sum()).sum())
    comparable = sum(float(every.sum()) for every, _ in both) / float(counts.sum())
    return Split(whole, comparable, max(0.0, float(within[0])), _p_value(within))


def _now(counts: Array, pressured: NDArray[np.bool_], turns: Array) -> Array:
    """Pressured steps of each kind where the phases are turned by these parts of the length; shape (kinds, turns)."""
    places = (turns * pressured.size).astype(np.int64)
    return np.array([every_turn(kind, pressured)[places] for kind in counts.T])
