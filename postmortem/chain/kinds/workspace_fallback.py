"""The preferred tactic was not feasible on a rank: a slower or other one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.base.units import percent, with_unit
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.other_plan import left_tactic
from postmortem.chain.rank_signal import Signal, look
from postmortem.chain.tests_of import mechanism, order

if TYPE_CHECKING:
    from postmortem.chain.case import Case

SIGNAL = Signal(
    "workspace_fallback",
    "tactics that it fell back to for want of workspace",
    "{who} fell back to another tactic for want of workspace: {now} an iteration, {calm} when calm",
    "fallbacks",
    "algo_id, expected_algo_id and fallback_reason",
    pl.when(pl.col("fallback_reason").is_not_null())
    .then((pl.col("fallback_reason") == "workspace").cast(pl.Int64))
    .when(pl.col("expected_algo_id").is_not_null())
    .then(0),
    None,
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """On a late rank: its fallbacks. On a change of tactic: those recorded where it ran."""
    if effect is None:
        return RuledOut("there is no effect")
    return _at_the_tactic(case, effect) if effect.kind == "algo_churn" else look(case, effect, SIGNAL)


def _at_the_tactic(case: Case, effect: Link) -> Outcome:
    """Whether the request's steps with another tactic fell back to it from the reference's, for want of workspace."""
    left = left_tactic(case)
    steps = left.select("iteration", usual="algo_id_reference")
    if steps.is_empty():  # its prompt's iterations alone ran another tactic
        steps = pl.DataFrame({"iteration": [effect.iteration], "usual": [effect.facts["reference_tactic"]]})
    steps = steps.drop_nulls()
    if steps.is_empty():
        return Unseen("which tactic was planned at the flip", "iteration in s records")
    rows = case.frame("rank_state", replica=case.replica).join(steps, on="iteration")
    told = pl.col("expected_algo_id").is_not_null() & pl.col("algo_id").is_not_null()
    planned = rows.filter(told).sort("iteration", "rank")
    query, params = "rank_state", {"replica": case.replica}
    if planned.is_empty():  # the engine's own view: what any rank had to fall back to
        engine = left.filter(told).with_columns(rank=pl.lit(None, pl.Int64), usual="algo_id_reference")
        planned, query, params = engine.sort("iteration"), "request_steps", {"req_id": case.req_id}
    if planned.is_empty():
        return Unseen("which tactic was planned at the flip", "expected_algo_id and fallback_reason in s records")
    fell = planned.filter(pl.col("fallback_reason") == "workspace")
    if fell.is_empty():
        where = f"iteration {steps['iteration'][0]}" if steps.height == 1 else f"any of the {steps.height} iterations"
        return RuledOut(f"no rank reports a fallback for want of workspace in {where} with another tactic")
    back = fell.filter(pl.col("expected_algo_id") == pl.col("usual"))
    if back.is_empty():
        plan, usual = fell["expected_algo_id"][-1], fell["usual"][-1]
        return RuledOut(f"it fell back from {plan}, and the reference ran {usual}: without that it differs, too")
    last = back.row(-1, named=True)
    # the first step of this request that fell back; the prompt's own iterations are no steps of it
    since = back.filter(pl.col("rank").eq_missing(last["rank"])).row(0, named=True)
    here = pl.col("iteration") == last["iteration"]
    fallen, of = fell.filter(here).height, planned.filter(here).height
    share = back["iteration"].n_unique() / steps["iteration"].n_unique()
    said = f"{percent(share)} of its iterations with another tactic had the reference's planned"
    tests = (
        order(since["iteration"], effect.iteration),
        Test("size", last["algo_id"] != last["expected_algo_id"],
             f"{last['algo_id']} ran, {last['expected_algo_id']} was planned"),
        mechanism(True, f"the same iteration; {fallen} of its {of} records report it"),
        Test("counterfactual", share >= HALF, said, share, "share", share, share),
    )  # fmt: skip
    mib = last["workspace_free_mb"]
    free = "" if mib is None else f" ({with_unit(mib, 'MiB')} free)"
    link = Link(
        kind=KIND.name,
        summary=f"workspace was short{free}: tactic {last['algo_id']} ran instead of {last['expected_algo_id']}",
        grade=grade(tests),
        replica=case.replica,
        rank=last["rank"] if fallen == 1 < of else None,
        start_ns=since["ts_ns"],
        end_ns=last["ts_ns"],
        iteration=since["iteration"],
        value=mib,
        unit="MiB",
        tests=tests,
        evidence=(case.evidence(query, **params),),
    )
    return Found(link, share)


KIND = Kind(
    name="workspace_fallback",
    role="root",
    says="preferred tactic not feasible for want of workspace: a slower or other one ran",
    seen_in=("s records", "NVTX", "kernels"),
    leads_to=("straggler_rank", "step_stretch", "algo_churn", "precision_change"),
    refuted_by="the planned tactic ran, or another reason is recorded",
    detect=detect,
)
