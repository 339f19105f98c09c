"""Since when steps took longer than the reading of their KV cache explains, and how far their length goes with it.
One row a replica. A step's length is compared with its floor (kv_bandwidth): what a millisecond of floor costs is
learnt from the steps before their length changed its level, and taken off; what then rises is not the cache's growth.
Compared are steps whose floor lies among those of the steps before: it can't tell what longer caches than any before
should cost. Where growth itself changed the level of step lengths, compared is 0 and nothing is said; where nothing
rose, first_iteration is NULL, too. Where neighbours go together by 0.8, p_value is too small: two of ten steady
recordings show a rise at 0.05; so do those where a millisecond of floor costs more the longer the cache is, and its
length wanders. It can't tell reading KV from whatever else grows with a batch's tokens.

column: replica VARCHAR - — replica
column: steps BIGINT steps — with a floor and a measured time
column: floor_ms DOUBLE ms — median floor
column: measured_ms DOUBLE ms — median step without its collectives
column: memory_bound DOUBLE share — of steps whose floor is at least 60 % of their length
column: rho DOUBLE - — rank correlation of floor and length, step by step; NULL: too few, or neither varies
column: rho_low DOUBLE - — lower end of its 95 % interval
column: rho_high DOUBLE - — upper end
column: rho_p_value DOUBLE - — of no such correlation, one series turned against the other
column: compared BIGINT steps — whose floor lies among those of the steps before; 0: it can't be told whether any rose
column: first_iteration BIGINT - — since when steps are slower than their bytes explain; NULL: at no time, or not told
column: beyond_ms DOUBLE ms — median from there on, beyond the calm median and beyond what more bytes explain
column: beyond_low DOUBLE ms — lower end of its 95 % interval
column: beyond_high DOUBLE ms — upper end
column: p_value DOUBLE - — of that rise, corrected for having looked everywhere
needs: s_records(replica, iteration, shape, gpu_ms)
fact: layers layers — transformer layers
fact: kv_heads heads — KV heads a layer, of the whole model
fact: head_dim elements — of one head
fact: kv_bytes bytes — of one element of the KV cache
fact: tp GPUs — tensor-parallel size
fact: hbm_gbps GB/s — memory bandwidth of one GPU
uses: kv_bandwidth
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.association import correlation
from postmortem.analyses.stats.changepoint import SHORTEST, change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stretch import ms_a_sequence, stretch
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

BINS = 20  # at most, in which the slope is learnt: a median of a twentieth of the calm steps each


def find(catalogue: Catalogue) -> list[Row]:
    """Every replica's steps against their floors."""
    rows = catalogue.run("kv_bandwidth")
    return [_row(str(replica), part) for (replica,), part in rows.group_by("replica", maintain_order=True)]


def _row(replica: str, steps: pl.DataFrame) -> Row:
    floor, measured = steps["floor_ms"].to_numpy(), steps["measured_ms"].to_numpy()
    related = correlation(floor, measured)
    row: Row = {
        "replica": replica,
        "steps": steps.height,
        "floor_ms": float(np.median(floor)),
        "measured_ms": float(np.median(measured)),
        "memory_bound": float(steps["memory_bound"].to_numpy().mean()),
        "rho": related.rho if related else None,
        "rho_low": related.low if related else None,
        "rho_high": related.high if related else None,
        "rho_p_value": related.p_value if related else None,
        "compared": 0,
        "first_iteration": None,
        "beyond_ms": None,
        "beyond_low": None,
        "beyond_high": None,
        "p_value": None,
    }
    flat, of = _beyond_bytes(measured, floor)
    row["compared"] = of.size
    rise = stretch(flat)
    if rise is not None and rise.change.p_value <= ALPHA:
        more, low, high = median_effect(flat[rise.now], flat[rise.calm], "difference")
        row |= {
            "first_iteration": int(steps["iteration"].to_numpy()[of[rise.now[0]]]),
            "beyond_ms": more,
            "beyond_low": low,
            "beyond_high": high,
            "p_value": rise.change.p_value,
        }
    return row


def _beyond_bytes(
    measured: NDArray[np.float64], floor: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Step lengths as they would be at one floor, and which steps (indices): those that calm ones tell something of.

    Calm are the steps before their length changed its level; of a floor that none of them had, they tell nothing. No
    steps where fewer than SHORTEST later ones can be compared, or the calm are too few to tell what a floor costs.
    """
    change = change_point(measured)
    calm = change.index if change is not None and change.rises else measured.size
    least, most = floor[:calm].min(), floor[:calm].max()
    within = np.flatnonzero((floor >= least) & (floor <= most))
    if calm < measured.size and np.count_nonzero(within >= calm) < SHORTEST:
        within = within[:0]
    if least == most:  # steps of one floor differ by nothing that it explains
        return measured[within], within
    slope = _ms_a_floor(measured[:calm], floor[:calm])
    if slope is None:
        return measured[:0], within[:0]
    return measured[within] - slope * (floor[within] - np.median(floor[:calm])), within


def _ms_a_floor(measured: NDArray[np.float64], floor: NDArray[np.float64]) -> float | None:
    """What a millisecond of floor costs, told from bins of floors; None of too few steps."""
    bins = min(BINS, floor.size // (2 * SHORTEST))  # so that bins that ties leave half full still say something
    if bins < 2:
        return None
    inner = np.quantile(floor, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(inner, floor, side="right")
    middle = np.array([np.median(floor[place == k]) if (place == k).any() else np.nan for k in range(bins)])
    return ms_a_sequence(measured, middle[place])


FINDING = Finding(__name__, find)
