"""Requests that were near a flip and did not flip: a step under another plan, its margin within the noise.
One row a request whose every token is its reference's and which ran a step under another tactic or precision, there
with a margin no larger than moves were seen to be between those two plans in other requests. The riskiest step is
shown. It can't tell requests without a reference, nor pairs of plans that no other request ran.

column: req_id VARCHAR - — request
column: reference VARCHAR - — request that it is compared with
column: step BIGINT - — its riskiest step
column: replica VARCHAR - — replica
column: iteration BIGINT - — iteration that ran it
column: tactic VARCHAR - — algo_id that ran
column: reference_tactic VARCHAR - — algo_id that the reference ran
column: margin DOUBLE logits — its margin there
column: reference_margin DOUBLE logits — the reference's margin
column: noise DOUBLE logits — largest move between these plans in other requests
column: risk DOUBLE - — P(flip) at that step, see flip_risk
column: steps BIGINT steps — of the request within the noise under another plan
column: risk_any DOUBLE - — that one of all its steps under another plan flips
needs: s_records(req_id, step, margin, algo_id)
uses: margin_moves
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.flip_risk import with_risk
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue


def find(catalogue: Catalogue) -> pl.DataFrame:
    """The riskiest request first."""
    moves = catalogue.run("margin_moves")
    kept = ~pl.col("flipped").any().over("req_id")
    other = with_risk(moves).filter(pl.col("other_plan") & pl.col("risk").is_not_null())
    other = other.join(moves.filter(kept).select("req_id").unique(), on="req_id", how="semi")
    whole = other.group_by("req_id").agg(risk_any=1 - (1 - pl.col("risk")).product())
    near = other.filter(pl.col("reference_margin") <= pl.col("noise")).with_columns(steps=pl.len().over("req_id"))
    closest = near.sort("risk", "step", descending=[True, False]).unique("req_id", keep="first", maintain_order=True)
    return closest.join(whole, on="req_id").sort("risk_any", "req_id", descending=[True, False])


FINDING = Finding(__name__, find)
