"""The preferred tactic was not feasible on a rank: a slower or other one ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.base.units import with_unit
from postmortem.chain.grade import grade
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
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
    """On a late rank: its fallbacks. On a change of tactic: the fallback recorded at that iteration."""
    if effect is None:
        return RuledOut("there is no effect")
    return _at_the_tactic(case, effect) if effect.kind == "algo_churn" else look(case, effect, SIGNAL)


def _at_the_tactic(case: Case, effect: Link) -> Outcome:
    """Whether the request's own iteration reports a fallback for want of workspace."""
    if effect.iteration is None:
        return Unseen("which tactic was planned at the flip", "iteration in s records")
    rows = case.frame("rank_state", replica=case.replica).filter(pl.col("iteration") == effect.iteration)
    planned = rows.filter(pl.col("expected_algo_id").is_not_null())
    if planned.is_empty():
        return Unseen("which tactic was planned at the flip", "expected_algo_id and fallback_reason in s records")
    fell = planned.filter(pl.col("fallback_reason") == "workspace")
    if fell.is_empty():
        return RuledOut(f"at iteration {effect.iteration} no rank reports a fallback for want of workspace")
    first = fell.row(0, named=True)
    own = case.steps["iteration"].drop_nulls().to_list()
    earlier = case.frame("rank_state", replica=case.replica).filter(
        (pl.col("fallback_reason") == "workspace")
        & pl.col("rank").eq_missing(first["rank"])
        & pl.col("iteration").is_in(own)
    )
    # the first step of this request that fell back; the prompt's own iterations are no steps of it
    since = earlier.sort("iteration").row(0, named=True) if earlier.height else first
    everywhere = fell.height == planned.height
    tests = (
        order(since["iteration"], effect.iteration),
        Test(
            "size",
            first["algo_id"] != first["expected_algo_id"],
            f"{first['algo_id']} ran, {first['expected_algo_id']} was planned",
        ),
        mechanism(True, f"the same iteration; {fell.height} of {planned.height} ranks report it"),
    )
    mib = first["workspace_free_mb"]
    free = "" if mib is None else f" ({with_unit(mib, 'MiB')} free)"
    link = Link(
        kind=KIND.name,
        summary=(f"workspace was short{free}: tactic {first['algo_id']} ran instead of {first['expected_algo_id']}"),
        grade=grade(tests),
        replica=case.replica,
        rank=None if everywhere else first["rank"],
        start_ns=since["ts_ns"],
        end_ns=first["ts_ns"],
        iteration=since["iteration"],
        value=first["workspace_free_mb"],
        unit="MiB",
        tests=tests,
        evidence=(case.evidence("rank_state", replica=case.replica),),
    )
    return Found(link)


KIND = Kind(
    name="workspace_fallback",
    role="root",
    says="preferred tactic not feasible for want of workspace: a slower or other one ran",
    seen_in=("s records", "NVTX", "kernels"),
    leads_to=("straggler_rank", "step_stretch", "algo_churn", "precision_change"),
    refuted_by="the planned tactic ran, or another reason is recorded",
    detect=detect,
)
