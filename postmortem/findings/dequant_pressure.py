"""Whether a rank dequantised more the less memory it had free.
One row a rank with both recorded over enough iterations, and which varied: rank correlation of dequantise/requantise
cycles with free memory (pins taken off), iteration by iteration. Below 0: more cycles where memory was short. Intervals
are 95 % (blocks of iterations); they are too narrow where either lasts: at a correlation of neighbours of 0.8, 85 of
100 hold the truth over 150 iterations. p_value: that they do not go together (one series turned against the other),
corrected for the number of ranks (Holm), so never below ranks over iterations: of many ranks a short recording shows
nothing. It can't tell which of the two moved the other, nor that from a drift of both all along the recording.

column: replica VARCHAR - — replica
column: rank INTEGER - — rank; NULL: the engine's own view
column: iterations BIGINT iterations — with both recorded
column: rho DOUBLE - — rank correlation
column: low DOUBLE - — lower end of its 95 % interval
column: high DOUBLE - — upper end
column: p_value DOUBLE - — of no such correlation
column: cycles_short DOUBLE cycles/iteration — mean in the half of the iterations with less free memory
column: cycles_ample DOUBLE cycles/iteration — mean in the other half
column: free_mb DOUBLE MiB — median free memory, pins taken off: where the halves meet
needs: s_records(replica, iteration, dequant_cycles, vram_free_mb)
uses: rank_state
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.association import correlation
from postmortem.analyses.stats.correction import holm
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

_FREE = pl.col("vram_free_mb") - pl.col("isr_pinned_mb").fill_null(0) - pl.col("ckpt_pinned_mb").fill_null(0)


def find(catalogue: Catalogue) -> list[Row]:
    """Every rank's correlation, then the correction over all of them."""
    rows = catalogue.run("rank_state").with_columns(_FREE.alias("free_mb"))
    rows = rows.filter(pl.col("free_mb").is_not_null() & pl.col("dequant_cycles").is_not_null())
    found = list(_each(rows))
    corrected = holm([row["p_value"] for row in found])
    return [{**row, "p_value": p} for row, p in zip(found, corrected, strict=True)]


def _each(rows: pl.DataFrame) -> Iterator[Row]:
    for (replica, rank), mine in rows.sort("replica", "rank", "iteration").group_by(
        "replica", "rank", maintain_order=True
    ):
        cycles, free = (mine[name].cast(pl.Float64).to_numpy() for name in ("dequant_cycles", "free_mb"))
        found = correlation(cycles, free)
        if found is None:
            continue
        _, tie, times = np.unique(free, return_inverse=True, return_counts=True)
        cycles = (np.bincount(tie, cycles) / times)[tie]  # a tie may lie in both halves: it counts by its mean there
        short = np.argsort(np.argsort(free, kind="stable")) < free.size // 2
        yield {
            "replica": replica,
            "rank": rank,
            "iterations": found.n,
            "rho": found.rho,
            "low": found.low,
            "high": found.high,
            "p_value": found.p_value,
            "cycles_short": float(cycles[short].mean()),
            "cycles_ample": float(cycles[~short].mean()),
            "free_mb": float(np.median(free)),
        }


FINDING = Finding(__name__, find)
