"""How far the tactics under pressure lie from the calm ones, and how much of that another mix of shapes explains.
One row a replica (shape_class NULL) and one a shape class of it; phases, classes and parameters are tactic_mix's. The
distance is Jensen's and Shannon's between the two histograms of steps: 0 the same, 1 nothing in common. Its square, the
divergence, is split: same_shape is what changed inside shape classes, by_shape what goes with another mix of them
(below 0 where the mix hides a change). Null of the p-values: the phases know nothing of the tactics (of a class, and
same_shape: once the shape is known), so that phases turned round in time against the iterations are as likely as the
recorded ones. Iterations are the units, since each chose one tactic for all requests in it: its steps are never taken
apart, and a request's own steps stay neighbours. Corrected (Holm) over replicas, or over all classes. Intervals are
95 % (blocks of iterations); they are too narrow where a tactic came and went only a few times: trust the p-value then.
Where shapes and tactics both come in runs, same_shape_p_value is too small: of 100 with nothing in it 14 are below 0.05
where neighbours correlate by 0.8 and a shape holds for eight iterations.
It can't tell what else changed with the phase, nor shapes that differ within a class (fragment=1 tells the numbers of
tokens apart), nor steps without an iteration.

param: replica VARCHAR - = NULL — only this replica; NULL: all
param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (see tactic_mix)
param: first_iteration BIGINT - = NULL — pressured from this iteration on; NULL: by the regime, or open
param: last_iteration BIGINT - = NULL — pressured up to this iteration; NULL: by the regime, or open
column: replica VARCHAR - — replica
column: shape_class VARCHAR - — shape class; NULL: the whole replica
column: calm_iterations BIGINT iterations — calm
column: pressured_iterations BIGINT iterations — pressured
column: calm_steps BIGINT steps — of requests, in the calm iterations
column: pressured_steps BIGINT steps — in the pressured iterations
column: calm_entropy DOUBLE bits — of the calm histogram: 0 where one tactic ran; NULL: no step
column: pressured_entropy DOUBLE bits — of the pressured one
column: distance DOUBLE - — between the two, 0 to 1; NULL: fewer than five iterations in either phase
column: low DOUBLE - — lower end of its 95 % interval
column: high DOUBLE - — upper end
column: p_value DOUBLE - — of phases that do not matter to the tactics; NULL: one tactic ran, nothing to test
column: divergence DOUBLE bits — the distance squared, over iterations of known shape; NULL of a class, as the next four
column: comparable DOUBLE share — of those iterations' steps that are in shape classes which ran in both phases
column: by_shape DOUBLE bits — of that, what goes with another mix of shape classes
column: same_shape DOUBLE bits — of that, what changed inside shape classes
column: same_shape_p_value DOUBLE - — of phases that do not matter once the shape is known; NULL: one tactic a class
column: says VARCHAR - — the row in a sentence
needs: s_records(replica, iteration, algo_id)
uses: iteration_tactics
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from postmortem.analyses.histograms import ROUNDING, entropy, shift, split
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.correction import holm
from postmortem.analyses.stats.level import ALPHA
from postmortem.base.units import number, percent
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

OF_WHOLE = ("divergence", "comparable", "by_shape", "same_shape", "same_shape_p_value")


def find(catalogue: Catalogue, **params: Any) -> list[Row]:
    """Every replica and its classes, then the corrections, then the sentences."""
    rows = catalogue.run("iteration_tactics", **params).filter(pl.col("phase").is_not_null())
    replicas = rows.group_by("replica", maintain_order=True)
    found = [row for (replica,), mine in replicas for row in _rows(str(replica), mine)]
    _correct(found, "p_value", lambda row: row["shape_class"] is None)
    _correct(found, "p_value", lambda row: row["shape_class"] is not None)
    _correct(found, "same_shape_p_value", lambda row: row["shape_class"] is None)
    return [{**row, "says": _says(row)} for row in found]


def _correct(rows: list[Row], column: str, of: Callable[[Row], bool]) -> None:
    tried = [row for row in rows if of(row) and row[column] is not None]
    for row, p in zip(tried, holm([row[column] for row in tried]), strict=True):
        row[column] = p


def _rows(replica: str, mine: pl.DataFrame) -> Iterator[Row]:
    wide = mine.with_columns(pl.struct("algo_id", "kernel_variant").rank("dense").alias("tactic")).pivot(
        "tactic", index=["iteration", "phase", "shape_class"], values="steps", aggregate_function="sum"
    )
    counts = wide.drop("iteration", "phase", "shape_class").fill_null(0).to_numpy().astype(np.float64)
    pressured = (wide["phase"] == "pressured").to_numpy()
    known = wide["shape_class"].is_not_null().to_numpy()
    group = wide["shape_class"].rank("dense").drop_nulls().to_numpy().astype(np.int64)
    parts = split(counts[known], group, pressured[known])
    yield {
        **_row(replica, None, counts, pressured),
        "divergence": parts.divergence if parts else None,
        "comparable": parts.comparable if parts else None,
        "by_shape": parts.divergence - parts.same_shape if parts else None,
        "same_shape": parts.same_shape if parts else None,
        "same_shape_p_value": parts.p_value if parts else None,
    }
    for name in wide["shape_class"].drop_nulls().unique().sort():
        own = (wide["shape_class"] == name).fill_null(False).to_numpy()
        yield {**_row(replica, name, counts[own], pressured[own]), **dict.fromkeys(OF_WHOLE)}


def _row(replica: str, name: str | None, counts: NDArray[np.float64], pressured: NDArray[np.bool_]) -> Row:
    calm, now = counts[~pressured], counts[pressured]
    found = shift(counts, pressured)
    return {
        "replica": replica,
        "shape_class": name,
        "calm_iterations": len(calm),
        "pressured_iterations": len(now),
        "calm_steps": int(calm.sum()),
        "pressured_steps": int(now.sum()),
        "calm_entropy": entropy(calm.sum(axis=0)) if len(calm) else None,
        "pressured_entropy": entropy(now.sum(axis=0)) if len(now) else None,
        "distance": found.distance if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "p_value": found.p_value if found else None,
    }


def _says(row: Row) -> str:
    """What the row's figures say, and no more."""
    if row["distance"] is None:
        few = "pressured" if row["pressured_iterations"] < SHORTEST else "calm"
        return f"nothing to compare: fewer than {SHORTEST} iterations were {few}"
    if row["distance"] ** 2 > ROUNDING:
        low, high = number(row["low"]), number(row["high"])
        moved = f"tactics moved by {number(row['distance'])} ({low} to {high}), {_chance(row['p_value'])}"
    else:
        moved = "tactics did not move"
        if not (row["same_shape"] or 0) > ROUNDING:
            return moved
    if row["shape_class"] is not None:
        return moved
    if row["same_shape"] is None:
        return f"{moved}; by shape or not cannot be told: shapes were not recorded"
    if row["comparable"] == 0:
        return f"{moved}; no shape ran in both phases: what moved at one shape cannot be told"
    if row["same_shape"] <= ROUNDING:
        compared = f"at those that ran in both phases ({percent(row['comparable'])} of steps) nothing moved"
        return f"{moved}; all of it goes with other shapes: {compared}"
    proof = _chance(row["same_shape_p_value"])
    if row["same_shape"] > 1.005 * row["divergence"]:  # else it reads as all of it
        hidden = f"{row['same_shape']:.2g} against {row['divergence']:.2g} bits, {proof}"
        return f"{moved}; more at the same shape ({hidden}): the mix of shapes hides some of it"
    by_shape = row["divergence"] - row["same_shape"]
    share = 1.0 if by_shape <= ROUNDING else row["same_shape"] / row["divergence"]
    return f"{moved}; {percent(share)} of it at the same shape ({proof}), {percent(1 - share)} with other shapes"


def _chance(p_value: float | None) -> str:
    if p_value is None:
        return "which no turn could tell from chance"
    return f"p {p_value:.2g}" + (": no more than chance alone may show" if p_value > ALPHA else "")


FINDING = Finding(__name__, find)
