"""Since when steps took longer than the reading of their KV cache explains, and how far their length goes with it.
One row a replica. A step's length is compared with its floor (kv_bandwidth): what a millisecond of floor costs is
learnt from the steps before their length changed its level, and taken off; what then rises is not the cache's growth.
Where nothing rose, first_iteration is NULL. It can't tell reading KV from whatever else grows with a batch's tokens.

column: replica VARCHAR - — replica
column: steps BIGINT steps — with a floor and a measured time
column: floor_ms DOUBLE ms — median floor
column: measured_ms DOUBLE ms — median step without its collectives
column: memory_bound DOUBLE share — of steps whose floor is at least 60 % of their length
column: rho DOUBLE - — rank correlation of floor and length, step by step; NULL: too few, or neither varies
column: rho_low DOUBLE - — lower end of its 95 % interval
column: rho_high DOUBLE - — upper end
column: rho_p_value DOUBLE - — of no such correlation, one series turned against the other
column: first_iteration BIGINT - — since when steps are slower than their bytes explain; NULL: at no time
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
from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stretch import at_one_size, stretch
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

BINS = 20  # sizes at which the slope is learnt: a median of a twentieth of the steps each


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
        "first_iteration": None,
        "beyond_ms": None,
        "beyond_low": None,
        "beyond_high": None,
        "p_value": None,
    }
    flat = _beyond_bytes(measured, floor)
    rise = stretch(flat)
    if rise is not None and rise.change.p_value <= ALPHA:
        more, low, high = median_effect(flat[rise.now], flat[rise.calm], "difference")
        row |= {
            "first_iteration": int(steps["iteration"].to_numpy()[rise.now[0]]),
            "beyond_ms": more,
            "beyond_low": low,
            "beyond_high": high,
            "p_value": rise.change.p_value,
        }
    return row


def _beyond_bytes(measured: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Step lengths as they would be at one floor, by the slope of the steps before their length changed its level."""
    change = change_point(measured)
    calm = change.index if change is not None and change.rises else measured.size
    edges = np.quantile(floor[:calm], np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, floor, side="right") - 1, 0, BINS - 1)
    middle = np.array([np.median(floor[:calm][place[:calm] == k]) if (place[:calm] == k).any() else np.nan
                       for k in range(BINS)])  # fmt: skip
    sizes = middle[place]
    return at_one_size(measured, sizes, calm)


FINDING = Finding(__name__, find)
