"""What strict isolation cost: batch freedom, queueing and crossings between regimes, against shared mode.
One row a replica that ran under strict isolation and measure. Its own shared iterations are the baseline; where it had
too few, the shared ones of the other replicas: then there is no interval and no p_value, since iterations of one
replica do not tell how replicas differ anyway. Intervals are 95 % (blocks of iterations); they are too narrow where a
measure lasts: at a correlation of neighbours of 0.8, 75 to 85 of 100 hold the truth over 150 iterations. p_value: of no
dependence on it (rank correlation, one series turned against the other), corrected for the number of measures and
replicas (Holm), so never below that over the iterations. It can't tell isolation from whatever else changed with it,
such as load.

column: replica VARCHAR - — replica
column: measure VARCHAR - — what is compared
column: unit VARCHAR - — unit of the next five
column: strict DOUBLE - — under strict isolation: the median, the mean of counts and shares
column: shared DOUBLE - — in shared mode
column: difference DOUBLE - — strict less shared
column: low DOUBLE - — lower end of its 95 % interval; NULL against other replicas, as the next two
column: high DOUBLE - — upper end
column: p_value DOUBLE - — of a measure that does not depend on the posture
column: strict_iterations BIGINT iterations — compared
column: shared_iterations BIGINT iterations — compared with
column: against VARCHAR - — whose shared iterations: itself or other replicas
needs: s_records(replica, iteration, isolation_mode)
uses: isolation_iterations
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from postmortem.analyses.contrast import contrast
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.correction import holm
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

MEASURES: tuple[tuple[str, str, pl.Expr, Literal["median", "mean"]], ...] = (
    ("batch size", "sequences", pl.col("batch_size"), "median"),
    ("tenants in a batch", "tenants", pl.col("tenants"), "mean"),
    ("sequences stepped", "sequences/s", pl.col("sequences_per_s"), "median"),
    ("time between a request's tokens", "ms", pl.col("token_gap_ms"), "median"),
    ("wait for the first token's step", "ms", pl.col("first_wait_ms"), "mean"),
    ("queue p95", "ms", pl.col("queue_p95_ms"), "median"),
    ("iterations not in the regime normal, isolation aside", "share", pl.col("pressed_by") != "normal", "mean"),
    ("crossings between regimes, isolation aside", "crossings/iteration", pl.col("crossed"), "mean"),
)


def find(catalogue: Catalogue) -> list[Row]:
    """Every replica's measures, then the correction over all of them."""
    rows = catalogue.run("isolation_iterations")
    strict = rows.filter(pl.col("isolation_mode") == "strict")
    replicas = sorted(strict["replica"].unique().to_list())
    found = [row for replica in replicas for row in _cost(rows, replica)]
    tested = [row for row in found if row["p_value"] is not None]
    for row, p in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_value"] = p
    return found


def _cost(rows: pl.DataFrame, replica: str) -> Iterator[Row]:
    mine = rows.filter(pl.col("replica") == replica)
    against = "itself"
    if mine.filter(pl.col("isolation_mode") != "strict").height < SHORTEST:
        others = rows.filter((pl.col("replica") != replica) & (pl.col("isolation_mode") != "strict"))
        mine, against = pl.concat([others, mine.filter(pl.col("isolation_mode") == "strict")]), "other replicas"
    held = (mine["isolation_mode"] == "strict").to_numpy()
    for measure, unit, value, of in MEASURES:
        values = mine.select(value.cast(pl.Float64).fill_null(float("nan"))).to_series().to_numpy()
        found = contrast(values.astype(np.float64), held, of)
        if found is not None:
            alone = against == "itself"
            yield {
                "replica": replica,
                "measure": measure,
                "unit": unit,
                "strict": found.held,
                "shared": found.otherwise,
                "difference": found.difference,
                "low": found.low if alone else None,
                "high": found.high if alone else None,
                "p_value": found.p_value if alone else None,
                "strict_iterations": found.n_held,
                "shared_iterations": found.n_otherwise,
                "against": against,
            }


FINDING = Finding(__name__, find)
