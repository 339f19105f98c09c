"""State collapse: whether answers leave their references beyond some load, and at which.
One row a replica, measure of load (concurrency, queue_ms, free_mb) and outcome: churn (an iteration in which most steps
of a known plan ran another than their references) or flip (one in which a token first differs), where both iterations
with and without it are five or more. The threshold is the best cut between the two (Youden's index; of several the
one at least load), with its 95 % interval.
p_value: outcomes turned round in time against the load, one-sided towards more load (less free memory), corrected for
all that was looked at (Holm). It can't tell which measure drives it: loads rise together; nor load from what else came
with time, where it grew all along the recording.

column: replica VARCHAR - — replica
column: load VARCHAR - — concurrency (requests), queue_ms (ms) or free_mb (MiB)
column: outcome VARCHAR - — churn or flip
column: iterations BIGINT iterations — looked at
column: threshold DOUBLE - — load beyond which it happens, in the measure's unit; free_mb: below which
column: low DOUBLE - — lower end of its interval
column: high DOUBLE - — upper end
column: share_beyond DOUBLE share — of iterations beyond the threshold in which it happened
column: share_within DOUBLE share — of the others
column: separation DOUBLE - — share of those in which it happened that lie beyond, less that of the others; at most 1
column: p_value DOUBLE - — of outcomes that know nothing of the load; a gradual rise is told as well, see load_curve
needs: s_records(req_id, step, iteration, token_id)
uses: load_iterations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.loads import LOADS
from postmortem.analyses.stats.correction import holm
from postmortem.analyses.threshold import threshold
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

# What happened; NULL where no step tells.
_KNOWN = pl.when(pl.col("planned") > 0).then(pl.col("planned"))
OUTCOMES = {"churn": 2 * pl.col("churned") > _KNOWN, "flip": pl.col("flips") > 0}


def find(catalogue: Catalogue) -> list[Row]:
    """Every measure and outcome of each replica, then the correction over all of them."""
    rows = list(_each(catalogue.run("load_iterations")))
    corrected = holm([row["p_value"] for row in rows])
    return [{**row, "p_value": p} for row, p in zip(rows, corrected, strict=True)]


def _each(iterations: pl.DataFrame) -> Iterator[Row]:
    for (replica,), mine in iterations.group_by("replica", maintain_order=True):
        for load, sign in LOADS.items():
            for outcome, happened in OUTCOMES.items():
                known = mine.filter(pl.col(load).is_not_null() & happened.is_not_null())
                cut = threshold(
                    sign * known[load].cast(pl.Float64).to_numpy(), known.select(happened).to_series().to_numpy()
                )
                if cut is not None:
                    at, *ends = (sign * level + 0.0 for level in (cut.at, cut.low, cut.high))  # no -0
                    yield {
                        "replica": replica, "load": load, "outcome": outcome, "iterations": known.height,
                        "threshold": at, "low": min(ends), "high": max(ends), "share_beyond": cut.above,
                        "share_within": cut.below, "separation": cut.separation, "p_value": cut.p_value,
                    }  # fmt: skip


FINDING = Finding(__name__, find)
