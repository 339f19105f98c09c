"""The stability budget of each text: how thin its margins are, and how likely another plan flips one of them.
One row a replay group (requests that provably saw one text), or a prompt family of them: the reference's margins over
its first steps. Any move below the smallest margin flips nothing. Risks are of all steps run under another plan, by the
moves seen between different plans in all groups; 95 % intervals draw those groups anew, and allow for moves larger
than all of them. It can't tell moves of plans not yet seen, nor texts of a family that were served once.

param: early INTEGER steps = NULL — only so many first steps; NULL: all
param: allowed DOUBLE - = 0.05 — risk_any that is accepted, for tolerated
param: by_family BOOLEAN - = FALSE — one row a recorded prompt family; a text without one stays by itself
column: reference VARCHAR - — the group's reference, which names it; of a family, that of the smallest margin
column: family VARCHAR - — prompt family; NULL: not recorded
column: texts BIGINT texts — replay groups in the row
column: requests BIGINT requests — compared with them
column: flipped BIGINT requests — of them, that flipped
column: steps BIGINT steps — of the references, with a margin
column: smallest DOUBLE logits — smallest margin: no move below it flips a token
column: smallest_step BIGINT - — the step that has it
column: median_margin DOUBLE logits — median margin
column: within_noise BIGINT steps — with a margin no larger than the largest move seen between different plans
column: flips_per_1000 DOUBLE steps — expected of 1000 steps under another plan; NULL: no such move was seen
column: flips_low DOUBLE steps — lower end of its 95 % interval
column: flips_high DOUBLE steps — upper end
column: risk_any DOUBLE - — that one of a text's steps flips, the mean of the texts
column: risk_low DOUBLE - — lower end of its 95 % interval
column: risk_high DOUBLE - — upper end
column: tolerated DOUBLE ratio — moves so many times as large as those seen take risk_any to what is allowed
column: tolerated_low DOUBLE ratio — lower end of its 95 % interval
column: tolerated_high DOUBLE ratio — upper end
needs: s_records(req_id, step, margin, algo_id)
uses: margin_moves, reference_margins
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.flip_risk import Budget, Noise
from postmortem.base.errors import QueryError
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue

FIGURES = (
    ("flips_per_1000", "flips_low", "flips_high"),
    ("risk_any", "risk_low", "risk_high"),
    ("tolerated", "tolerated_low", "tolerated_high"),
)


def find(catalogue: Catalogue, early: int | None, allowed: float, by_family: bool) -> pl.DataFrame:
    """The riskiest first. Raises QueryError where ``allowed`` is no share."""
    if not 0 <= allowed <= 1:
        raise QueryError("stability_budget: parameter allowed", f"is {allowed}", "give a share, from 0 to 1")
    moves = catalogue.kept("margin_moves")
    between = moves.filter(pl.col("other_plan") & pl.col("moved").is_not_null())
    noise = Noise(between) if between.height else None
    compared = catalogue.view("compared")  # whether or not a flip has a margin
    flips = compared.group_by("reference").agg(requests=pl.len(), flipped=pl.col("flipped").sum())
    steps = catalogue.run("reference_margins").filter(pl.lit(early is None) | (pl.col("step") < (early or 0)))
    grouped = pl.lit(by_family) & pl.col("prompt_family").is_not_null()
    # a name for each row's texts, and two kinds of names that never meet
    row = pl.struct(grouped, pl.when(grouped).then("prompt_family").otherwise("reference")).rank("dense") - 1
    steps = steps.with_columns(row=row).sort("row", "reference", "step")
    texts = steps.select("row", "reference").unique(maintain_order=True).join(flips, on="reference", how="left")
    compared = texts.group_by("row").agg(pl.len().alias("texts"), pl.col("requests", "flipped").sum())
    thinnest = steps.sort("margin", "reference", "step").group_by("row", maintain_order=True)
    found = thinnest.agg(
        pl.col("reference", "prompt_family").first(),
        steps=pl.len(),
        smallest=pl.col("margin").first(),
        smallest_step=pl.col("step").first(),
        median_margin=pl.col("margin").median(),
        within_noise=(pl.col("margin") <= (-1.0 if noise is None else noise.values[-1])).sum(),
    )
    found = found.join(compared, on="row").sort("row").with_columns(_risks(steps, texts, noise, allowed))
    return found.rename({"prompt_family": "family"}).sort(
        "risk_any", "smallest", "reference", descending=[True, False, False], nulls_last=True
    )


def _risks(steps: pl.DataFrame, texts: pl.DataFrame, noise: Noise | None, allowed: float) -> list[pl.Series | pl.Expr]:
    """FIGURES of each row, in order; NULL without a move."""
    if noise is None or steps.is_empty():
        return [pl.lit(None, pl.Float64).alias(name) for names in FIGURES for name in names]
    text, family = steps["reference"].rle_id(), texts["row"]
    budget = Budget(
        steps["margin"].to_numpy(), text.cast(pl.Int64).to_numpy(), family.cast(pl.Int64).to_numpy()
    )  # fmt: skip
    told = (
        tuple(1000 * part for part in budget.per_step(noise)),
        budget.any_step(noise),
        budget.tolerated(noise, allowed),
    )
    return [
        pl.Series(name, values)
        for names, figures in zip(FIGURES, told, strict=True)
        for name, values in zip(names, figures, strict=True)
    ]


FINDING = Finding(__name__, find)
