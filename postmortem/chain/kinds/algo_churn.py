"""Another tactic than the reference's, at the flip or before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.chain.grade import grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.other_plan import by_name, link_of, steps_of
from postmortem.chain.tests_of import mechanism, order

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Steps up to the flip whose tactic differs from the reference's at the same step."""
    if effect is None or case.flip is None:
        return RuledOut("there is no flip")
    if case.input.same is False:
        return RuledOut("the two saw different inputs: their plans need not agree")
    steps = steps_of(case, "algo_id")
    if isinstance(steps, Unseen):
        return steps
    if steps.other.is_empty():
        return _while_prefilling(case, steps.known)
    last = steps.other.row(-1, named=True)
    ran, usual = last["precision_path"], last["precision_path_reference"]
    if ran is not None and usual is not None and ran != usual:
        return RuledOut(f"step {last['step']} ran another tactic because it ran {ran}, its reference {usual}")
    return link_of(case, steps, kind=KIND.name, column="algo_id", noun="tactic", pairs="flip_by_tactic")


def _while_prefilling(case: Case, known: pl.DataFrame) -> Outcome:
    """No decode step differs: did the prompt's own iterations, from admission to the first token?

    Which of them computed this prompt is not recorded, so that ids do not join.
    """
    calm = str(known["algo_id_reference"][0])
    case = case.on(known["replica"][0])
    kept = _beside_its_steps(case, known)
    admitted = case.frame("requests", req_id=case.req_id).row(0, named=True)["admitted_ns"]
    first_ns = known["ts_ns"][0] if known["step"][0] == 0 else None
    if admitted is None or first_ns is None:
        return kept
    before = case.iterations.filter(
        pl.col("start_ns").is_between(admitted, first_ns - 1) & pl.col("algo_id").is_not_null()
    )
    other = before.filter(pl.col("algo_id") != calm)
    if other.is_empty():
        return kept
    last = other.row(-1, named=True)
    tests = (
        order(last["iteration"], known["iteration"][0]),
        Test(
            "size",
            None,
            f"{other.height} of {before.height} iterations between "
            "its admission and its first token ran another tactic",
            float(other.height),
            "iterations",
        ),
        mechanism(None, "which iterations computed its prompt is not recorded"),
    )
    link = Link(
        kind=KIND.name,
        summary=(
            f"every step ran tactic {calm}, but {other.height} of "
            f"{before.height} iterations before its first token did not"
        ),
        grade=grade(tests),
        replica=case.replica,
        start_ns=other["start_ns"][0],
        end_ns=last["end_ns"],
        iteration=last["iteration"],
        value=float(other.height),
        baseline=0.0,
        unit="iterations",
        tests=tests,
        evidence=(case.evidence("requests", req_id=case.req_id), case.evidence("iterations", replica=case.replica)),
        facts={"tactic": last["algo_id"], "reference_tactic": calm, "first_iteration": other["iteration"][0]},
    )
    return Found(link)


def _beside_its_steps(case: Case, known: pl.DataFrame) -> Outcome:
    """Every step ran the reference's tactic: ruled out, unless its keys and values are known to have come otherwise.

    From the prefix cache, which another request had filled; or computed anew, where it was put aside.
    """
    mine, theirs = (
        case.frame("requests", req_id=req_id).row(0, named=True)["prefix"] for req_id in (case.req_id, case.reference)
    )
    if mine is not None and theirs is not None and mine != theirs:
        what = (
            f"which tactic computed its prompt: it took {mine} of it from the prefix cache, {case.reference} {theirs}"
        )
        return Unseen(what, "replays of both without the prefix cache")
    own = known.filter(pl.col("replica").eq_missing(case.replica) & pl.col("iteration").is_not_null())
    own = own.select("step", "iteration", usual="algo_id_reference", gap=pl.col("iteration").diff().shift(-1))
    # more than between most of its steps: where stages take turns, no request has a step in each iteration
    aside = own.filter((pl.col("step").diff().shift(-1) == 1) & (pl.col("gap") > pl.col("gap").median()))
    for step, iteration, usual, gap in aside.iter_rows():
        ran = case.iterations.filter(pl.col("iteration").is_between(iteration + 1, iteration + gap - 1))["algo_id"]
        other = int((ran != usual).sum())
        if other:
            return Unseen(
                f"whether it was computed anew when it had been put aside after step {step}: "
                f"{other} of {ran.len()} iterations until its next ran another tactic",
                "recompute_tokens in its s records",
            )
    named = by_name(*(known[f"algo_id_{side}"][-1] for side in ("reference", "recorded")))
    return RuledOut(f"all {known.height} steps up to the flip ran the reference's tactic{named}")


KIND = Kind(
    name="algo_churn",
    role="effect",
    says="another tactic than the reference's at this step or an earlier one",
    seen_in=("s records", "kernels"),
    leads_to=("token_flip",),
    refuted_by="every step up to the flip ran the reference's tactic",
    detect=detect,
)
