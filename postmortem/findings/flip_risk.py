"""How likely a token flips at its margin, and whether that came true: the reliability of P(flip | margin, plan).
One row a kind of step and band of predicted probability. The prediction is half the share of moves that reach over the
margin: moves of other replay groups, of steps that ran alike under the same two plans, so that nothing judges itself.
Where it holds, it lies in the interval of what was observed (Wilson, 95 %, steps as if independent: at least so wide).
It can't tell steps that run plans no other group ran.

column: ran VARCHAR - — same: its reference's plan, so far; after_other: its plan, after another; other: another
column: risk_from DOUBLE - — band of predicted probability: above this
column: risk_to DOUBLE - — up to this
column: margin_from DOUBLE logits — smallest reference margin in it
column: margin_to DOUBLE logits — largest
column: steps BIGINT steps — of it
column: moves BIGINT steps — the fewest moves that a prediction rests on: one reaching over more is 1 / (2 * moves)
column: predicted DOUBLE - — mean predicted probability
column: flips BIGINT steps — that flipped
column: observed DOUBLE - — their share
column: observed_low DOUBLE - — lower end of its 95 % interval
column: observed_high DOUBLE - — upper end
needs: s_records(req_id, step, margin, algo_id)
uses: margin_moves
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.flip_risk import AFTER, OTHER, SAME, wilson, with_risk
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

# None of the moves seen was that large; then a quarter of an order of ten each. P cannot exceed one half.
BANDS = (-1.0, 0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 0.5)


def find(catalogue: Catalogue) -> list[Row]:
    """Steps under the same plan first, the surest band first."""
    moves = with_risk(catalogue.kept("margin_moves")).filter(pl.col("risk").is_not_null())
    return [row for ran in (SAME, AFTER, OTHER) for row in _bands(ran, moves.filter(ran=ran))]


def _bands(ran: str, moves: pl.DataFrame) -> Iterator[Row]:
    for low, high in pairwise(BANDS):
        inside = moves.filter((pl.col("risk") > low) & (pl.col("risk") <= high))
        if inside.is_empty():
            continue
        flips = int(inside["flipped"].sum())
        observed_low, observed_high = wilson(flips, inside.height)
        yield {
            "ran": ran, "risk_from": max(0.0, low), "risk_to": high,
            "margin_from": inside["reference_margin"].min(), "margin_to": inside["reference_margin"].max(),
            "steps": inside.height, "moves": inside["others"].min(), "predicted": inside["risk"].mean(), "flips": flips,
            "observed": flips / inside.height, "observed_low": observed_low, "observed_high": observed_high,
        }  # fmt: skip


FINDING = Finding(__name__, find)
