"""The stability budget of each text: how thin its margins are, and how likely another plan flips one of them.
One row a replay group (requests that provably saw one text): the reference's margins over its first steps. Any move
below the smallest margin flips nothing. risk_any is of all steps run under another plan, by the moves seen between
different plans in all groups; its 95 % interval draws those groups anew. It can't tell moves of plans not yet seen.

param: early INTEGER steps = NULL — only so many first steps; NULL: all
column: reference VARCHAR - — the group's reference, which names it
column: requests BIGINT requests — compared with it
column: flipped BIGINT requests — of them, that flipped
column: steps BIGINT steps — of the reference with a margin
column: smallest DOUBLE logits — smallest margin: no move below it flips a token
column: smallest_step BIGINT - — the step that has it
column: median_margin DOUBLE logits — median margin
column: within_noise BIGINT steps — with a margin no larger than the largest move seen between different plans
column: risk_any DOUBLE - — that one of the steps flips where all run under another plan; NULL: no such move was seen
column: risk_low DOUBLE - — lower end of its 95 % interval
column: risk_high DOUBLE - — upper end
needs: s_records(req_id, step, margin, algo_id)
uses: margin_moves, reference_margins
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.flip_risk import chance, resampled_noise
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue


def find(catalogue: Catalogue, early: int | None) -> pl.DataFrame:
    """The riskiest text first."""
    moves = catalogue.run("margin_moves")
    between = moves.filter(pl.col("other_plan"))
    noises = [np.sort(between["moved"].drop_nulls().abs().to_numpy())]
    noises += list(resampled_noise(between)) if noises[0].size else []
    flips = moves.group_by("reference").agg(
        requests=pl.col("req_id").n_unique(), flipped=pl.col("req_id").filter("flipped").n_unique()
    )
    steps = catalogue.run("reference_margins").filter(pl.lit(early is None) | (pl.col("step") < (early or 0)))
    if steps.is_empty():
        return steps.clear().select(pl.lit(None).alias(c.name) for c in FINDING.header.columns).clear()
    steps = steps.sort("reference", "step")
    margins = steps["margin"].to_numpy()
    first = np.flatnonzero(steps["reference"].to_numpy() != np.roll(steps["reference"].to_numpy(), 1))
    first = np.union1d([0], first)  # of each reference's steps; a lone one is its own neighbour
    # 1 - the product of (1 - P) over the steps of each
    risks = np.array([1 - np.multiply.reduceat(1 - chance(margins, noise), first) for noise in noises])
    low, high = np.quantile(risks[1:], [0.025, 0.975], axis=0) if len(noises) > 1 else risks[[0, 0]]
    most = float(noises[0][-1]) if noises[0].size else -1.0
    own = steps.group_by("reference", maintain_order=True).agg(
        steps=pl.len(),
        smallest=pl.col("margin").min(),
        smallest_step=pl.col("step").get(pl.col("margin").arg_min()),
        median_margin=pl.col("margin").median(),
        within_noise=(pl.col("margin") <= most).sum(),
    )
    columns = {"risk_any": risks[0], "risk_low": low, "risk_high": high}
    found = own.with_columns(pl.Series(name, v).fill_nan(None) for name, v in columns.items())
    found = found.join(flips, on="reference", how="left").with_columns(pl.col("requests", "flipped").fill_null(0))
    return found.sort("risk_any", "smallest", "reference", descending=[True, False, False], nulls_last=True)


FINDING = Finding(__name__, find)
