"""A step that ran another plan than the reference's: another tactic, another precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.base.units import percent
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism, order, specificity

if TYPE_CHECKING:
    from postmortem.chain.case import Case


@dataclass(frozen=True)
class Steps:
    """The request's steps up to the flip: ``known`` on both sides, and those that ran ``other`` than the reference."""

    known: pl.DataFrame
    other: pl.DataFrame


def steps_of(case: Case, column: str) -> Steps | Unseen:
    """Steps whose ``column`` (algo_id, precision_path) is recorded on both sides, and those where it differs."""
    known = case.steps.filter(pl.col(column).is_not_null() & pl.col(f"{column}_reference").is_not_null())
    if known.is_empty():
        noun = {"algo_id": "tactic", "precision_path": "precision"}[column]
        return Unseen(
            f"which {noun} ran at the flip, and which at the reference's", f"{column} in the s records of both"
        )
    return Steps(known, known.filter(pl.col(column) != pl.col(f"{column}_reference")))


def left_tactic(case: Case) -> pl.DataFrame:
    """The request's steps on the replica that is looked at whose tactic was not the reference's: one row a step.

    One that moved ran its other steps in another engine's iterations.
    """
    other = pl.col("algo_id") != pl.col("algo_id_reference")
    return case.steps.filter(pl.col("replica").eq_missing(case.replica) & other)


def link_of(case: Case, steps: Steps, *, kind: str, column: str, noun: str, pairs: str) -> Found:
    """The link of the last step that ran another plan. ``pairs`` counts flips with and without another ``noun``."""
    last = steps.other.row(-1, named=True)
    case = case.on(last["replica"])
    assert case.flip is not None  # noqa: S101  asked only where a token flipped
    first = steps.other.filter(pl.col("replica").eq_missing(case.replica)).row(0, named=True)
    usual, ran = last[f"{column}_reference"], last[column]
    theirs = last[f"{column}_recorded"]
    near = case.iterations.filter(
        pl.col("iteration").is_between(first["iteration"], last["iteration"]) & pl.col(column).is_not_null()
    )
    share = (near[column] != usual).mean()
    a, b, c, d = case.frame(pairs).row(0)
    tests: tuple[Test, ...] = (
        order(last["step"], case.flip.step, "step"),
        Test(
            "size",
            True,
            f"{steps.other.height} of {steps.known.height} steps up to the flip ran another {noun}"
            + by_name(usual, theirs),
            float(steps.other.height),
            "steps",
        ),
        _specific(a, b, c, d, noun),
        mechanism(
            last["iteration"] is not None,
            f"request {case.req_id} itself ran {ran} at step {last['step']}, its reference {theirs}",
        ),
    )
    if c + d:
        kept = d / (c + d)
        said = f"of {c + d} replays that kept the reference's {noun} to the end, {d} kept its tokens"
        rarer = c / (c + d) < (a / (a + b) if a + b else 1)
        tests += (Test("counterfactual", kept >= HALF and rarer, said, kept, "share"),)
    begun, until = first["iteration"], last["iteration"]
    left = "its steps"
    if isinstance(share, float):
        left = f"{percent(share)} of iterations {begun} to {until}" if begun != until else f"iteration {until}"
    at_flip = steps.known.filter(pl.col("step") == case.flip.step)
    since = ""
    if last["step"] < case.flip.step and at_flip.height:
        again = at_flip[column][0]
        since = f"; step {case.flip.step} ran {again} again, over keys and values that {ran} wrote"
    link = Link(
        kind=kind,
        summary=f"{left} ran another {noun} than {usual}; step {last['step']} ran {ran}{since}",
        grade=grade(tests),
        replica=case.replica,
        start_ns=first["ts_ns"],
        end_ns=last["ts_ns"],
        iteration=last["iteration"],
        value=float(steps.other.height),
        baseline=0.0,
        unit="steps",
        p_value=tests[2].figure,
        tests=tests,
        evidence=(
            case.evidence("request_steps", req_id=case.req_id),
            case.evidence("request_steps", req_id=case.reference),
            case.evidence(pairs),
        ),
        facts={noun: ran, f"reference_{noun}": usual, "first_iteration": first["iteration"]},
    )
    return Found(link)


def by_name(here: str, there: str) -> str:
    """That two names are one tactic's, as part of a sentence; nothing where it has one name."""
    return "" if here == there else f"; {there} is {here} by another name: no margin moved between them"


def _specific(a: int, b: int, c: int, d: int, noun: str) -> Test:
    """Do replays flip more often where the plan differed? Undecided where none kept it."""
    said = f"{a} of {a + b} replays whose {noun} differed flipped, {c} of {c + d} whose {noun} never did"
    if a + b == 0 or c + d == 0:
        return Test("specificity", None, said)
    return specificity(fisher_greater(a, b, c, d), said)
