"""Requests that were near a flip and did not: a step under another plan, or after one, its margin within the noise.
One row a request whose every token is its reference's and which ran such a step, where its margin or the reference's
was no larger than nearly all moves of other requests between those two plans. The riskiest step is shown. It can't tell
requests without a reference, nor pairs of plans that no other request ran.

param: quantile DOUBLE - = 0.99 — share of the other requests' moves that the noise covers
column: req_id VARCHAR - — request
column: reference VARCHAR - — request that it is compared with
column: step BIGINT - — its riskiest step
column: replica VARCHAR - — replica
column: iteration BIGINT - — iteration that ran it
column: ran VARCHAR - — other: another tactic or precision than the reference's; after_other: an earlier step did
column: tactic VARCHAR - — algo_id that ran
column: reference_tactic VARCHAR - — algo_id that the reference ran
column: margin DOUBLE logits — its margin there
column: reference_margin DOUBLE logits — the reference's margin
column: noise DOUBLE logits — that the given share of moves between these plans did not exceed, in other requests
column: risk DOUBLE - — P(flip) at that step, by the reference's margin, see flip_risk
column: steps BIGINT steps — of the request within the noise
column: risk_any DOUBLE - — that one of all its steps under another plan, or after one, flips
needs: s_records(req_id, step, margin, algo_id)
uses: margin_moves
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.flip_risk import SAME, with_risk
from postmortem.base.errors import QueryError
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue


def find(catalogue: Catalogue, quantile: float) -> pl.DataFrame:
    """The riskiest request first. Raises QueryError where ``quantile`` is no share."""
    if not 0 <= quantile <= 1:
        raise QueryError("near_flips: parameter quantile", f"is {quantile}", "give a share, from 0 to 1")
    moves = with_risk(catalogue.kept("margin_moves"), quantile)
    kept = catalogue.view("compared").filter(~pl.col("flipped"))  # whether or not a flip has a margin
    other = moves.join(kept, on="req_id", how="semi").filter(pl.col("ran") != SAME, pl.col("risk").is_not_null())
    whole = other.group_by("req_id").agg(risk_any=1 - (1 - pl.col("risk")).product())
    least = pl.min_horizontal("margin", "reference_margin")  # which of two replays is the reference is arbitrary
    near = other.filter(least <= pl.col("noise")).with_columns(least=least, steps=pl.len().over("req_id"))
    closest = near.sort("risk", "least", "step", descending=[True, False, False])
    closest = closest.unique("req_id", keep="first", maintain_order=True)
    return closest.join(whole, on="req_id").sort("risk_any", "req_id", descending=[True, False])


FINDING = Finding(__name__, find)
