"""Counts an iteration: whether more came at the end than the rate before would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.level import ALPHA, DEVIATIONS
from postmortem.analyses.stats.permutation import RESAMPLES, p_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 20  # iterations that a calm rate is learnt from: its error is then below a quarter of the count's deviation
LONGEST = 1_000  # of more iterations, neighbours are added up: a thousand places tell where a rate changed
SEED = 20_260_104  # fixed: the same bundle gives the same p


def surge(counts: NDArray[np.float64], exposure: NDArray[np.float64] | None = None) -> tuple[int, float] | None:
    """The stretch at the end that holds most more arrivals than its share: (its first index, p).

    ``exposure`` is how long each iteration lasted (in any unit; all alike where None): rates are by it.
    Kulldorff's scan statistic (1997): the likelihood ratio of two rates against one, the largest over all
    stretches at the end that leave FEWEST iterations to learn a calm rate from. Its p-value is by the same of
    as many arrivals thrown at random, iterations as likely as they are long. Where calm counts vary more than
    Poisson ones do, the statistic is divided by how much (Pearson's dispersion). None where nothing rose.

    That a recording begins with nothing admitted may be its clearest rise, and the one that mattered stand at its end:
    so the stretch is split again as long as the later rise is the larger one. Its p-value is corrected for the splits.
    """
    lasted = np.ones(counts.size) if exposure is None else exposure
    found = _surge(counts, lasted)
    if found is None:
        return None
    first, p_value, looks = *found, 1
    while True:
        looks += 1
        later = _surge(counts[first:], lasted[first:])
        if later is None or later[1] * looks > ALPHA:
            return first, p_value
        middle, end = slice(first, first + later[0]), slice(first + later[0], None)
        whole, calm = slice(first, None), slice(0, first)
        rates = [float(counts[part].sum() / lasted[part].sum()) for part in (end, middle, whole, calm)]
        if rates[0] - rates[1] <= rates[2] - rates[3]:
            return first, p_value
        first, p_value = first + later[0], min(1.0, later[1] * looks)


def _surge(counts: NDArray[np.float64], lasted: NDArray[np.float64]) -> tuple[int, float] | None:
    """The clearest one: (its first index, p)."""
    width = -(-counts.size // LONGEST)
    spare = counts.size % width  # where the number is no multiple, the oldest go
    came, during = (v[spare:].reshape(-1, width).sum(axis=1) for v in (counts, lasted))
    most = came.size - max(1, -(-FEWEST // width))
    total = round(float(came.sum()))
    if most < 1 or not total:
        return None
    ratios = _ratios(came[None, :], during, most)[0]
    best = int(np.argmax(ratios))
    if ratios[best] <= 0:
        return None
    first = came.size - best - 1
    usual = came[:first].sum() / during[:first].sum() * during[:first]
    wider = float(np.mean((came[:first] - usual) ** 2 / usual)) if usual.sum() else 1.0
    thrown = np.random.default_rng(SEED).multinomial(total, during / during.sum(), size=RESAMPLES)
    drawn = _ratios(thrown.astype(np.float64), during, most).max(axis=1)
    return spare + first * width, p_of(float(ratios[best]) / max(1.0, wider), drawn)


def _ratios(came: NDArray[np.float64], during: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Log likelihood ratios of the last 1 to ``most`` places, 0 where fewer came there; shape (draws, most)."""
    total = came.sum(axis=1, keepdims=True)
    seen = np.cumsum(came[:, ::-1], axis=1)[:, :most]
    fair = total * np.cumsum(during[::-1])[:most] / during.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(seen > 0, seen * np.log(seen / fair), 0.0)
        outside = np.where(total > seen, (total - seen) * np.log((total - seen) / (total - fair)), 0.0)
    ratios: NDArray[np.float64] = np.where(seen > fair, inside + outside, 0.0)
    return ratios


def rate_difference(
    now: NDArray[np.float64], calm: NDArray[np.float64], lasted: NDArray[np.float64], lasted_calm: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Difference of two rates of arrivals: (more, low, high), 95 %, from the counts' own deviations."""
    during, before = float(lasted.sum()), float(lasted_calm.sum())
    more = float(now.sum() / during - calm.sum() / before)
    half = DEVIATIONS * float(np.sqrt(max(now.sum(), 1.0) / during**2 + max(calm.sum(), 1.0) / before**2))
    return more, more - half, more + half
