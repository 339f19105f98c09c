"""How often answers leave their references at each load: the curve beside state_collapse.
One row a replica, measure of load and tenth of the iterations, from least to most load, which for free_mb is from most
to least (fewer rows where many have one load). Intervals are Wilson's, 95 %, over steps as if these were independent:
steps of one iteration are not, so take them as the narrowest that they can be. It can't tell which measure drives it:
loads rise together.

column: replica VARCHAR - — replica
column: load VARCHAR - — concurrency (requests), queue_ms (ms) or free_mb (MiB)
column: load_from DOUBLE - — least of it in the row, in the measure's unit
column: load_to DOUBLE - — most
column: iterations BIGINT iterations — of the row
column: steps BIGINT steps — compared in them
column: churn DOUBLE share — of steps of a known plan that ran another than their references; NULL: none is known
column: churn_low DOUBLE share — lower end of its interval
column: churn_high DOUBLE share — upper end
column: flips BIGINT steps — at which a token first differed
column: flip DOUBLE share — of steps at which a token first differed
column: flip_low DOUBLE share — lower end of its interval
column: flip_high DOUBLE share — upper end
needs: s_records(req_id, step, iteration, token_id)
uses: load_iterations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.flip_risk import wilson
from postmortem.analyses.loads import LOADS
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

PARTS = 10


def find(catalogue: Catalogue) -> list[Row]:
    """Every replica's curves."""
    iterations = catalogue.run("load_iterations")
    return [
        row
        for (replica,), mine in iterations.group_by("replica", maintain_order=True)
        for load in LOADS
        for row in _curve(str(replica), load, mine.filter(pl.col(load).is_not_null()))
    ]


def _curve(replica: str, load: str, rows: pl.DataFrame) -> Iterator[Row]:
    level = LOADS[load] * rows[load].cast(pl.Float64).to_numpy()
    if np.unique(level).size < 2:
        return
    # one load is one row's: each value goes where the first of its iterations falls
    first = np.searchsorted(np.sort(level), level, side="left")
    parts = rows.with_columns(part=pl.Series(first * PARTS // level.size))
    for (_,), part in parts.sort("part", "iteration").group_by("part", maintain_order=True):
        steps, planned, churned, flips = (int(part[name].sum()) for name in ("steps", "planned", "churned", "flips"))
        churn, flip = wilson(churned, planned) if planned else (None, None), wilson(flips, steps)
        yield {
            "replica": replica, "load": load, "load_from": part[load].min(), "load_to": part[load].max(),
            "iterations": part.height, "steps": steps, "churn": churned / planned if planned else None,
            "churn_low": churn[0], "churn_high": churn[1], "flips": flips, "flip": flips / steps, "flip_low": flip[0],
            "flip_high": flip[1],
        }  # fmt: skip


FINDING = Finding(__name__, find)
