"""The token that differs from the reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.base.units import number
from postmortem.chain.grade import grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def detect(case: Case, _effect: Link | None) -> Outcome:
    """The first differing step; its margin against how far margins move between tactics."""
    flip = case.flip
    if flip is None:
        return RuledOut("no token differs")
    widest, known = _noise(case)
    margin = flip.margin
    seen = f"the first step at which the tokens differ is {flip.step}"
    agree = f"steps 0 to {flip.step - 1} agree" if flip.step else "the first token already differs"
    tests = [
        Test("order", True, seen if flip.exact else f"{seen}, as far as recorded"),
        mechanism(None if case.input.same is None else True, f"{_input(case)}; {agree}"),
    ]
    if case.input.same is False:
        tests.append(Test("size", True, "another input needs no thin margin to give another token", margin, "logits"))
    elif margin is not None and widest is not None:
        within = margin <= 2 * widest  # both candidates move, each by as much as the noise
        said = (
            f"margin {number(margin)}; between the two plans margins moved by up to {number(widest)} in {known} steps"
        )
        tests.append(Test("size", within, said, margin, "logits"))
    elif margin is not None:
        tests.append(
            Test(
                "size",
                None,
                "no step with the same tokens ran another plan: the noise between plans is unknown",
                margin,
                "logits",
            )
        )
    else:
        tests.append(Test("size", None, "no margin was recorded"))
    at = f", margin {number(margin)}" if margin is not None else ""
    link = Link(
        kind=KIND.name,
        summary=f"at step {flip.step}{at}, the token flipped from {flip.reference_token_id} to {flip.token_id}",
        grade=grade(tuple(tests)),
        replica=flip.replica,
        start_ns=flip.ts_ns,
        end_ns=flip.ts_ns,
        iteration=flip.iteration,
        value=margin,
        unit="logits",
        tests=tuple(tests),
        evidence=(
            case.evidence("flips", req_id=case.req_id, vs=case.reference),
            case.evidence("request_steps", req_id=case.req_id),
            case.evidence("plan_noise_between"),
        ),
    )
    return Found(link)


def _noise(case: Case) -> tuple[float | None, int]:
    """How far margins moved at most between the plans that this request and its reference ran, and in how many steps.

    Over all replays of the bundle, up to their own flips: one request's few steps say little.
    """
    plan = {"tactic": "algo_id", "precision": "precision_path"}
    plan |= {f"reference_{name}": f"{column}_reference" for name, column in plan.items()}
    ran = case.steps.select(pl.col(column).alias(name) for name, column in plan.items()).unique()
    other = ran.filter(
        pl.col("tactic").ne_missing(pl.col("reference_tactic"))
        | pl.col("precision").ne_missing(pl.col("reference_precision"))
    )
    measured = case.frame("plan_noise_between").join(other, on=list(plan), how="semi", nulls_equal=True)
    widest = measured["most_moved"].max()
    return (float(widest) if isinstance(widest, float) else None), int(measured["steps"].sum())


def _input(case: Case) -> str:
    """What is known of the two inputs: to compare tokens, it must be known at all."""
    if case.input.same is None:
        return "whether both saw the same text and decode settings is not recorded"
    return "the same text and decode settings" if case.input.same else "text or decode settings differ"


KIND = Kind(
    name="token_flip",
    role="effect",
    says="another token than the reference's, at a margin within the numeric noise between tactics",
    seen_in=("s records",),
    leads_to=(),
    refuted_by="the tokens are the same at every step that both recorded",
    detect=detect,
)
