"""Another tactic than the reference's, at the flip or before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, specificity

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, effect: Link | None) -> Outcome:
    """Steps up to the flip whose tactic differs from the reference's at the same step."""
    if effect is None or case.flip is None:
        return RuledOut("there is no flip")
    if case.input.same is False:
        return RuledOut("the two saw different inputs: their plans need not agree")
    known = case.steps.filter(pl.col("algo_id").is_not_null() & pl.col("algo_id_reference").is_not_null())
    if known.is_empty():
        return Unseen("which tactic ran at the flip, and which at the reference's", "algo_id in the s records of both")
    other = known.filter(pl.col("algo_id") != pl.col("algo_id_reference"))
    if other.is_empty():
        return _while_prefilling(case, known)
    last = other.row(-1, named=True)
    first = other.row(0, named=True)
    calm = last["algo_id_reference"]
    near = case.iterations.filter(pl.col("iteration").is_between(first["iteration"], last["iteration"]))
    left = near.filter(pl.col("algo_id").is_not_null())
    share = (left["algo_id"] != calm).mean() if left.height else None
    pairs = case.frame("flip_by_tactic").row(0, named=True)
    a, b = pairs["flipped_other_tactic"], pairs["kept_other_tactic"]
    c, d = pairs["flipped_same_tactic"], pairs["kept_same_tactic"]
    same, other_pairs = c + d, a + b
    tests: tuple[Test, ...] = (
        order(last["step"], case.flip.step, "step"),
        Test(
            "size",
            True,
            f"{other.height} of {known.height} steps up to the flip ran another tactic",
            float(other.height),
            "steps",
        ),
        _specific(a, b, c, d),
        mechanism(
            last["iteration"] is not None,
            f"request {case.req_id} itself ran {last['algo_id']} at step {last['step']}, its reference {calm}",
        ),
    )
    if same:
        kept = d / same
        said = f"of {same} replays that kept the reference's tactic to the end, {d} kept its tokens"
        tests += (
            Test(
                "counterfactual",
                kept >= HALF and c / same < (a / other_pairs if other_pairs else 1),
                said,
                kept,
                "share",
            ),
        )
    percent = f"{100 * share:.0f} % of iterations left" if isinstance(share, float) else "steps left"
    link = Link(
        kind=KIND.name,
        summary=f"{percent} tactic {calm}; step {last['step']} ran {last['algo_id']}",
        grade=grade(tests),
        replica=case.replica,
        start_ns=first["ts_ns"],
        end_ns=last["ts_ns"],
        iteration=last["iteration"],
        value=float(other.height),
        baseline=0.0,
        unit="steps",
        p_value=tests[2].figure,
        tests=tests,
        evidence=(
            case.evidence("request_steps", req_id=case.req_id),
            case.evidence("request_steps", req_id=case.reference),
            case.evidence("flip_by_tactic"),
        ),
        facts={"tactic": last["algo_id"], "reference_tactic": calm, "first_iteration": first["iteration"]},
    )
    return Found(link)


def _while_prefilling(case: Case, known: pl.DataFrame) -> Outcome:
    """No decode step differs: did the prompt's own iterations, from admission to the first token?

    Which of them computed this prompt is not recorded, so that ids do not join.
    """
    calm = str(known["algo_id_reference"][0])
    admitted = case.frame("requests", req_id=case.req_id).row(0, named=True)["admitted_ns"]
    first_ns = known["ts_ns"][0] if known["step"][0] == 0 else None
    kept = RuledOut(f"all {known.height} steps up to the flip ran the reference's tactic")
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


def _specific(a: int, b: int, c: int, d: int) -> Test:
    """Do replays flip more often where the tactic differed? Undecided where none kept its tactic."""
    said = f"{a} of {a + b} replays whose tactic differed flipped, {c} of {c + d} whose tactic never did"
    if a + b == 0 or c + d == 0:
        return Test("specificity", None, said)
    return specificity(fisher_greater(a, b, c, d), said)


KIND = Kind(
    name="algo_churn",
    role="effect",
    says="another tactic than the reference's at this step; around it, tactics are more mixed than when calm",
    seen_in=("s records", "kernels"),
    leads_to=("token_flip",),
    refuted_by="every step up to the flip ran the reference's tactic",
    detect=detect,
)
