"""What a rank paid while replication and checkpoint pins overlapped, against its other iterations.
One row a rank with such a window (pin_overlaps) and measure. Means for counts, medians for times and memory; intervals
are 95 % (blocks of iterations); they are too narrow where a measure lasts: at a correlation of neighbours of 0.8, 75 to
85 of 100 hold the truth over 150 iterations. p_value: that the measure does not go with the overlap (rank correlation,
one series turned against the other), corrected for the number of ranks and measures (Holm), so never below that over
the iterations: of many ranks a short recording shows nothing. It can't tell the pins from what else came with them.

column: replica VARCHAR - — replica
column: rank INTEGER - — rank; NULL: the engine's own view
column: measure VARCHAR - — what is compared
column: unit VARCHAR - — unit of the next five
column: overlapping DOUBLE - — while both pins were held
column: otherwise DOUBLE - — in the other iterations
column: difference DOUBLE - — the one less the other
column: low DOUBLE - — lower end of its 95 % interval
column: high DOUBLE - — upper end
column: p_value DOUBLE - — of a measure that does not depend on the overlap
column: iterations BIGINT iterations — with both pins held
column: iterations_otherwise BIGINT iterations — compared with
needs: s_records(replica, iteration, isr_pinned_mb, ckpt_pinned_mb)
uses: pin_overlaps
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from postmortem.analyses.contrast import contrast
from postmortem.analyses.stats.correction import holm
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

_POOL = pl.when(pl.col("kv_pool_total_mb") > 0).then(pl.col("kv_pool_total_mb"))
_PINS = pl.col("isr_pinned_mb").fill_null(0) + pl.col("ckpt_pinned_mb").fill_null(0)
MEASURES: tuple[tuple[str, str, pl.Expr, Literal["median", "mean"]], ...] = (
    ("free share of the pool, pins taken off", "%", 100 * (pl.col("vram_free_mb") - _PINS) / _POOL, "median"),
    ("evicted", "blocks/iteration", pl.col("kv_evicted_blocks"), "mean"),
    ("recomputed", "tokens/iteration", pl.col("recompute_tokens"), "mean"),
    ("step without collectives", "ms", pl.col("own_ms"), "median"),
)


def find(catalogue: Catalogue) -> list[Row]:
    """Every rank's measures, then the correction over all of them."""
    rows = catalogue.view("pinned_states").sort("replica", "rank", "iteration")
    ranks = rows.group_by("replica", "rank", maintain_order=True)
    found = [row for (replica, rank), mine in ranks for row in _cost(str(replica), rank, mine)]
    corrected = holm([row["p_value"] for row in found])
    return [{**row, "p_value": p} for row, p in zip(found, corrected, strict=True)]


def _cost(replica: str, rank: object, mine: pl.DataFrame) -> Iterator[Row]:
    held = mine["window_ns"].is_not_null().to_numpy()
    for measure, unit, value, of in MEASURES:
        values = mine.select(value.cast(pl.Float64).fill_null(float("nan"))).to_series().to_numpy()
        found = contrast(values, held, of)
        if found is not None:
            yield {
                "replica": replica,
                "rank": rank,
                "measure": measure,
                "unit": unit,
                "overlapping": found.held,
                "otherwise": found.otherwise,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
                "iterations": found.n_held,
                "iterations_otherwise": found.n_otherwise,
            }


FINDING = Finding(__name__, find)
