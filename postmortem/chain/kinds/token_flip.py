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
    # Noise: how far the margin of the same step moved between the two, where the tokens still agreed.
    agreed = case.steps.filter((pl.col("step") < flip.step) & pl.col("margin").is_not_null())
    other_tactic = pl.col("algo_id") != pl.col("algo_id_reference")
    other_precision = pl.col("precision_path") != pl.col("precision_path_reference")
    moved = agreed.filter(other_tactic.fill_null(value=False) | other_precision.fill_null(value=False))
    noise = (moved["margin"] - moved["margin_reference"]).abs().drop_nulls()
    widest = noise.max() if noise.len() else None
    margin = flip.margin
    seen = f"the first step at which the tokens differ is {flip.step}"
    agree = f"steps 0 to {flip.step - 1} agree" if flip.step else "the first token already differs"
    tests = [
        Test("order", True, seen if flip.exact else f"{seen}, as far as recorded"),
        mechanism(None if case.input.same is None else True, f"{_input(case)}; {agree}"),
    ]
    if case.input.same is False:
        tests.append(Test("size", True, "another input needs no thin margin to give another token", margin, "logits"))
    elif margin is not None and isinstance(widest, float):
        within = margin <= 2 * widest  # both candidates move, each by as much as the noise
        said = f"margin {number(margin)}; between tactics margins of this request moved by up to {number(widest)}"
        tests.append(Test("size", within, said, margin, "logits"))
    elif margin is not None:
        tests.append(
            Test(
                "size",
                None,
                "no earlier step ran another tactic: the noise between tactics is unknown",
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
        ),
    )
    return Found(link)


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
