"""KV residency at one shape: L2 hit rate, long-scoreboard stalls and step time, iteration by iteration.
One row a rank and pair of the three. Only what varies at the same shape counts: the same batch, and KV lengths whose
sum is the same within a tenth. rho is the rank correlation inside shapes; explained its square, the share of the spread
of step-time ranks that goes with the other. spread_ms is how far steps of one shape lie from their shape's median.
Intervals are 95 % (blocks of iterations); they are too narrow where either series lasts: at a correlation of neighbours
of 0.8, 85 of 100 hold the truth over 150 iterations. p_value: one series, as it lies within its shapes, turned against
the other, corrected for the number of ranks and pairs (Holm), so never below that over the iterations: of many ranks a
short recording shows nothing. It can't tell which of two moved the other, nor that from a drift of both all along the
recording, nor samples that fall between iterations.

column: replica VARCHAR - — replica
column: rank INTEGER - — rank
column: pair VARCHAR - — what goes with what
column: iterations BIGINT iterations — with both, at a shape that stands there five times or more
column: shapes BIGINT - — shapes
column: rho DOUBLE - — rank correlation at one shape
column: low DOUBLE - — lower end of its 95 % interval
column: high DOUBLE - — upper end
column: p_value DOUBLE - — of no such correlation
column: explained DOUBLE share — of the spread of step-time ranks; NULL where step time is not in the pair
column: explained_low DOUBLE share — lower end of its 95 % interval
column: explained_high DOUBLE share — upper end
column: spread_ms DOUBLE ms — median distance of a step from its shape's median (MAD); NULL as above
column: spread_pct DOUBLE % — of the median step
needs: gpu_metrics(metric, t_ns, value)
needs: sources(rank)
needs: s_records(replica, iteration, batch_size)
uses: rank_residency, rank_iterations, iterations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.association import correlation
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.correction import holm
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

# Classes of KV length a doubling: 2^(1/8) is 1.09, so that lengths of one class differ by less than a tenth.
PER_DOUBLING = 8
PAIRS = (
    ("L2 hit rate, long-scoreboard share", "l2_hit", "long_scoreboard"),
    ("L2 hit rate, step time", "l2_hit", "step_ms"),
    ("long-scoreboard share, step time", "long_scoreboard", "step_ms"),
)


def find(catalogue: Catalogue) -> list[Row]:
    """Every rank's pairs, then the correction over all of them."""
    rows = _states(catalogue)
    ranks = rows.sort("replica", "rank", "iteration").group_by("replica", "rank", maintain_order=True)
    found = [row for (replica, rank), mine in ranks for row in _pairs(str(replica), rank, mine)]
    corrected = holm([row["p_value"] for row in found])
    return [{**row, "p_value": p} for row, p in zip(found, corrected, strict=True)]


def _states(catalogue: Catalogue) -> pl.DataFrame:
    """Both metrics, the rank's own time (collectives left out) and the shape, of each rank and iteration."""
    metrics = catalogue.run("rank_residency")
    times = catalogue.run("rank_iterations").select(
        "replica", "rank", "iteration", ((pl.col("compute_ns") + pl.col("idle_ns")) / 1e6).alias("step_ms")
    )
    lengths = catalogue.view("kv_lengths").select("replica", "iteration", "kv_tokens")
    shapes = catalogue.run("iterations").select("replica", "iteration", "batch_size")
    shapes = shapes.join(lengths, on=["replica", "iteration"], how="left")
    tokens = pl.col("kv_tokens").cast(pl.Float64).clip(0.5)  # of no token at all: a class of its own, below that of one
    length = (PER_DOUBLING * tokens.log(2)).floor().cast(pl.Int64).fill_null(-1)
    shapes = shapes.filter(pl.col("batch_size").is_not_null()).select(
        "replica", "iteration", pl.struct("batch_size", length.alias("length")).rank("dense").alias("shape")
    )
    joined = metrics.join(shapes, on=["replica", "iteration"])
    return joined.join(times, on=["replica", "rank", "iteration"], how="left")


def _pairs(replica: str, rank: object, mine: pl.DataFrame) -> Iterator[Row]:
    for pair, one, other in PAIRS:
        both = mine.filter(pl.col(one).is_not_null() & pl.col(other).is_not_null())
        shape = both["shape"].cast(pl.Int64).to_numpy()
        found = correlation(both[one].to_numpy(), both[other].to_numpy(), shape)
        if found is None:
            continue
        timed = other == "step_ms"
        least = 0.0 if found.low <= 0 <= found.high else min(found.low**2, found.high**2)
        stood = both.filter(pl.len().over("shape") >= SHORTEST) if timed else both  # as correlation keeps them
        spread = _spread(stood) if timed else None
        yield {
            "replica": replica,
            "rank": rank,
            "pair": pair,
            "iterations": found.n,
            "shapes": found.groups,
            "rho": found.rho,
            "low": found.low,
            "high": found.high,
            "p_value": found.p_value,
            "explained": found.rho**2 if timed else None,
            "explained_low": least if timed else None,
            "explained_high": max(found.low**2, found.high**2) if timed else None,
            "spread_ms": spread,
            "spread_pct": 100 * spread / float(np.median(stood["step_ms"])) if spread is not None else None,
        }


def _spread(both: pl.DataFrame) -> float:
    """Median distance of step times from the median of their shape, ms."""
    apart = both.select(pl.col("step_ms") - pl.col("step_ms").median().over("shape")).to_series().to_numpy()
    return float(np.median(np.abs(apart)))


FINDING = Finding(__name__, find)
