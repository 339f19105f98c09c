"""How likely a token flips at its margin, and whether that came true: the reliability of P(flip | margin, plan).
One row a kind of step (under the reference's plan, or another) and band of predicted probability. The prediction is
made from moves of other replay groups between the same two plans, so that nothing judges itself; where it holds, it
lies in the interval of what was observed (Wilson, 95 %). It can't tell steps that run plans no other group ran.

column: other_plan BOOLEAN - — whether the step ran another tactic or precision than its reference's
column: risk_from DOUBLE - — band of predicted probability: above this
column: risk_to DOUBLE - — up to this
column: margin_from DOUBLE logits — smallest reference margin in it
column: margin_to DOUBLE logits — largest
column: steps BIGINT steps — of it
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

from postmortem.analyses.flip_risk import wilson, with_risk
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

# None of the moves seen was that large; then a quarter of an order of ten each. P cannot exceed one half.
BANDS = (-1.0, 0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 0.5)


def find(catalogue: Catalogue) -> list[Row]:
    """Steps under the same plan first, the surest band first."""
    moves = with_risk(catalogue.run("margin_moves")).filter(pl.col("risk").is_not_null())
    return [
        row
        for (other,), part in moves.sort("other_plan").group_by("other_plan", maintain_order=True)
        for row in _bands(bool(other), part)
    ]


def _bands(other: bool, moves: pl.DataFrame) -> Iterator[Row]:
    for low, high in pairwise(BANDS):
        inside = moves.filter((pl.col("risk") > low) & (pl.col("risk") <= high))
        if inside.is_empty():
            continue
        flips = int(inside["flipped"].sum())
        observed_low, observed_high = wilson(flips, inside.height)
        yield {
            "other_plan": other, "risk_from": max(0.0, low), "risk_to": high,
            "margin_from": inside["reference_margin"].min(), "margin_to": inside["reference_margin"].max(),
            "steps": inside.height, "predicted": inside["risk"].mean(), "flips": flips,
            "observed": flips / inside.height, "observed_low": observed_low, "observed_high": observed_high,
        }  # fmt: skip


FINDING = Finding(__name__, find)
