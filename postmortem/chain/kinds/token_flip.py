"""The token that differs from the reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.base.units import number
from postmortem.chain.case import PLAN
from postmortem.chain.grade import grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut
from postmortem.chain.model import Link, Missing, Test
from postmortem.chain.tests_of import mechanism

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Flip


KERNELS = (
    "the kernels of both: Nsight Systems with them (nsys profile -t cuda --cuda-graph-trace=node), or kernel_variant"
)


def detect(case: Case, _effect: Link | None) -> Outcome:
    """The first differing step; its margin against how far margins move between tactics."""
    flip = case.flip
    if flip is None:
        return RuledOut("no token differs")
    seen = f"the first step at which the tokens differ is {flip.step}"
    agree = f"steps 0 to {flip.step - 1} agree" if flip.step else "the first token already differs"
    missing: tuple[Missing, ...] = ()
    if not flip.exact:
        seen, agree = f"{seen}, as far as recorded", "earlier steps agree where both are recorded"
        missing = (Missing(f"whether an earlier step than {flip.step} differs", "token_id of every step of both"),)
    if flip.replica is None:
        missing += (Missing("on which replica it ran, and what went on there", "replica in its s records"),)
    tests: tuple[Test, ...] = (
        Test("order", True, seen),
        mechanism(None if case.input.same is None else True, f"{_input(case)}; {agree}"),
    )
    if case.input.same is False:
        said = "another input needs no thin margin to give another token"
        tests += (Test("size", True, said, flip.margin, "logits"),)
    else:
        size, decides = _size(case, flip)
        tests, missing = (*tests, size), missing + decides
    at = f", margin {number(flip.margin)}" if flip.margin is not None else ""
    link = Link(
        kind=KIND.name,
        summary=f"at step {flip.step}{at}, the token flipped from {flip.reference_token_id} to {flip.token_id}",
        grade=grade(tests),
        replica=flip.replica,
        start_ns=flip.ts_ns,
        end_ns=flip.ts_ns,
        iteration=flip.iteration,
        value=flip.margin,
        unit="logits",
        tests=tests,
        evidence=(
            case.evidence("flips", req_id=case.req_id, vs=case.reference),
            case.evidence("request_steps", req_id=case.req_id),
            case.evidence("plan_noise_between"),
        ),
    )
    return Found(link, missing=missing)


def _size(case: Case, flip: Flip) -> tuple[Test, tuple[Missing, ...]]:
    """Whether the decision lay within the noise between the two plans, with what would tell where nothing does.

    What moved is the margin between the two tokens, from the reference's side to the request's: both margins together.
    """
    step = case.steps.filter(pl.col("step") == flip.step).row(0, named=True)
    mine, theirs = step["margin"], step["margin_reference"]
    if mine is None:
        return Test("size", None, "no margin was recorded"), (
            Missing("how thin the margin was", "margin in s records"),
        )
    if step["top2_token_id"] not in {None, flip.reference_token_id}:
        said = (
            f"its runner-up was {step['top2_token_id']}: the margin does not tell how far {flip.reference_token_id} was"
        )
        # margin reaches to the runner-up alone, and no bundle holds more
        decides = Missing("how far apart the two tokens were", "both logits in the server itself: no bundle holds them")
        return Test("size", None, said, mine, "logits"), (decides,)
    widest, known = _noise(case)
    moved = mine + (theirs or 0.0)  # at least: where the reference's is not recorded, its part is not told
    if _one_plan(case):
        if moved == 0 and theirs is not None:
            said = (
                "every step up to it ran the reference's plan, as far as recorded, and both tokens' logits were equal"
            )
            tie = Missing(
                "which of two equal logits is taken", "what breaks ties in the sampler itself: no bundle holds it"
            )
            return Test("size", None, said, moved, "logits"), (tie,)
        said = (
            "every step up to it ran the reference's plan, as far as recorded: no noise between plans moved the margin"
        )
        decides = Missing(f"what moved the margin by {number(moved)}, where both ran one plan", KERNELS)
        return Test("size", None, said, moved, "logits"), (decides,)
    if widest is None:
        said = "no step with the same tokens ran another plan: the noise between plans is unknown"
        decides = Missing(
            "how far margins move between the two plans",
            "replays of the same text under both plans, with margin in the s records of all",
        )
        return Test("size", None, said, mine, "logits"), (decides,)
    both = "" if theirs is None else f", the reference's {number(theirs)}: it moved by both"
    said = (
        f"margin {number(mine)}{both}; between the two plans margins moved by up to {number(widest)} in {known} steps"
    )
    decides = Missing(
        f"what moved the margin by {number(moved)}, more than these plans were seen to",
        "more replays of the same text under both plans",
    )
    return Test("size", moved <= widest, said, moved, "logits"), () if moved <= widest else (decides,)


def _one_plan(case: Case) -> bool:
    """Whether every step up to the flip ran the reference's tactic, and none is known to have left its precision."""
    kept = pl.col("algo_id") == pl.col("algo_id_reference")
    left = pl.col("precision_path") != pl.col("precision_path_reference")
    return bool(case.steps.select((kept.fill_null(value=False) & ~left.fill_null(value=False)).all()).item())


def _noise(case: Case) -> tuple[float | None, int]:
    """How far margins moved at most between the plans that this request and its reference ran, and in how many steps.

    Over all replays of the bundle, up to their own flips: one request's few steps say little. Whichever of the two
    was the reference's plan: a margin moves as far from the one to the other as back.
    """
    plan = {name: column for column, name in PLAN.items()}
    plan |= {f"reference_{name}": f"{column}_recorded" for name, column in plan.items()}
    ran = case.steps.select(pl.col(column).alias(name) for name, column in plan.items()).unique()
    other = ran.filter(
        pl.col("tactic").ne_missing(pl.col("reference_tactic"))
        | pl.col("precision").ne_missing(pl.col("reference_precision"))
    )
    back = other.rename(
        {name: name.removeprefix("reference_") if "_" in name else f"reference_{name}" for name in plan}
    )
    either = pl.concat([other, back.select(other.columns)]).unique()
    measured = case.frame("plan_noise_between").join(either, on=list(plan), how="semi", nulls_equal=True)
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
