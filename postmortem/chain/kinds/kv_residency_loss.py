"""The L2 hit rate fell while long-scoreboard stalls rose, at the same shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.intervals import median_effect
from postmortem.base.units import number, percent
from postmortem.base.window import Window
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut, Unseen
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

RECORD = (
    "L2 hit rate and warp-stall reasons of every rank: nsys profile --gpu-metrics-devices=all with a custom "
    "metric set, or ncu"
)
SIGNAL = Signal(
    "kv_residency_loss",
    "misses in the L2 cache",
    "{now} % of {who}'s accesses missed the L2 cache, {calm} % when calm",
    "%",
    RECORD,
    100 - pl.col("l2_hit"),
    None,
    query="rank_residency",
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """The late rank's misses, and that its warps waited for memory more than when calm. The shape is the calm one's."""
    outcome = look(case, effect, SIGNAL)
    if not isinstance(outcome, Found) or effect is None:
        return outcome
    rows = case.frame("rank_residency", replica=case.replica, rank=outcome.link.rank)
    stalls = rows.filter(pl.col("long_scoreboard").is_not_null())
    now, calm = (
        stalls.filter(pl.col("iteration").is_between(part.first, part.stop - 1))["long_scoreboard"].to_numpy()
        for part in (Window(*effect.facts["window"]), Window(*effect.facts["calm"]))
    )
    if not now.size or not calm.size:
        return Unseen("whether warps waited for memory while the L2 hit rate fell", RECORD)
    _, low, high = median_effect(now, calm, "difference")
    shares = f"{percent(float(np.median(now)))} of all, {percent(float(np.median(calm)))} when calm"
    told = f"long-scoreboard stalls {shares}"
    if not low > 0:
        return RuledOut(f"the L2 hit rate fell, but {told} ({number(low)} to {number(high)})")
    return replace(outcome, link=replace(outcome.link, summary=f"{outcome.link.summary}; {told}"))


KIND = Kind(
    name="kv_residency_loss",
    role="root",
    says="L2 hit rate down while long-scoreboard stalls up, at the same shape",
    seen_in=("GPU metrics",),
    leads_to=("straggler_rank", "step_stretch"),
    refuted_by="the L2 hit rate held, or warps waited for memory no more than when calm",
    detect=detect,
)
