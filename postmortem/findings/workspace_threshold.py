"""Below how much free workspace a tactic was no longer chosen, at one shape.
One row a replica, rank, shape class (see tactic_mix) and tactic that ran there five times or more, did not as often,
and ran where more workspace was free; where that never varied there is no row. Where one figure tells the two apart
(separable), the interval is what was seen: from the most workspace with which it was not chosen to the least with
which it was. Else it is 95 % of the best cuts in resampled blocks of iterations. p_value: choices turned round in time
against the workspace (sum of ranks, one-sided), corrected for all tactics, classes and ranks looked at (Holm),
so never below their number over the iterations: of many ranks a short recording shows nothing.
It can't tell how much a tactic asks for, nor shapes that differ within a class and want other tactics and workspace
(fragment=1 tells the numbers of tokens apart), nor workspace from what ran short with it: the planned tactic
(expected_algo_id) and the reason (fallback_reason) do, see rank_tactics.

param: replica VARCHAR - = NULL — only this replica; NULL: all
param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (see tactic_mix)
column: replica VARCHAR - — replica
column: rank INTEGER - — rank; NULL: the engine's own view
column: shape_class VARCHAR - — shape class; NULL: no shape recorded
column: algo_id VARCHAR - — the tactic that wants workspace
column: kernel_variant VARCHAR - — its kernel
column: instead VARCHAR - — the tactic (algo_id, else kernel) that most often ran in its place
column: threshold_mb DOUBLE MiB — free workspace below which it was no longer chosen
column: low_mb DOUBLE MiB — lower end of its interval
column: high_mb DOUBLE MiB — upper end
column: separable BOOLEAN - — whether workspace alone tells when it was chosen and when not
column: separation DOUBLE - — share of its iterations above the threshold, less that of the others: 1 where separable
column: chosen_above DOUBLE share — of iterations above the threshold that ran it
column: chosen_below DOUBLE share — of those below
column: p_value DOUBLE - — of choices that do not know of the workspace
column: iterations_chosen BIGINT iterations — that ran it
column: iterations_otherwise BIGINT iterations — of the same shape that did not
needs: s_records(replica, iteration, algo_id, workspace_free_mb)
uses: rank_tactics
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from postmortem.analyses.stats.correction import holm
from postmortem.analyses.threshold import threshold
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.analyses.threshold import Threshold
    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

WHERE = ("replica", "rank", "shape_class")
TACTIC = ("algo_id", "kernel_variant")


def find(catalogue: Catalogue, **params: Any) -> list[Row]:
    """Every tactic at every rank and shape; the correction over all of them; then those that want workspace."""
    rows = catalogue.run("rank_tactics", **params).filter(pl.col("workspace_free_mb").is_not_null())
    tried = list(_each(rows))
    corrected = holm([cut.p_value for _, cut in tried])
    return [{**row, "p_value": p} for (row, cut), p in zip(tried, corrected, strict=True) if cut.rises]


def _each(rows: pl.DataFrame) -> Iterator[tuple[Row, Threshold]]:
    for where, mine in rows.sort(*WHERE, "iteration").group_by(WHERE, maintain_order=True):
        free = mine["workspace_free_mb"].to_numpy()
        for tactic in mine.select(TACTIC).unique().sort(TACTIC).rows():
            ran = mine.select(
                pl.all_horizontal(pl.col(name).eq_missing(v) for name, v in zip(TACTIC, tactic, strict=True))
            )
            chosen = ran.to_series().to_numpy()
            cut = threshold(free, chosen)
            if cut is None:
                continue
            others = mine.filter(~ran.to_series()).select(pl.coalesce(TACTIC).mode().sort().first()).item()
            yield {
                **dict(zip(WHERE, where, strict=True)), **dict(zip(TACTIC, tactic, strict=True)), "instead": others,
                "threshold_mb": cut.at, "low_mb": cut.low, "high_mb": cut.high, "separable": cut.separation == 1,
                "separation": cut.separation, "chosen_above": cut.above, "chosen_below": cut.below,
                "iterations_chosen": int(chosen.sum()), "iterations_otherwise": int((~chosen).sum()),
            }, cut  # fmt: skip


FINDING = Finding(__name__, find)
