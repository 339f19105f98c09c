"""All kernels of one rank slower by one factor: clocks, thermals, power."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.base.units import percent
from postmortem.base.window import Window
from postmortem.chain.grade import HALF
from postmortem.chain.kind import Found, Kind, Outcome, RuledOut
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

SIGNAL = Signal(
    "slow_gpu",
    "its kernels' time against their usual",
    "every kernel of {who} took {now} times its usual time, {calm} when calm",
    "times",
    "kernels of every rank in Nsight Systems exports (nsys profile -t cuda,nvtx --cuda-graph-trace=node)",
    pl.col("pace"),
    None,
    query="rank_pace",
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """The late rank's pace, and that most of its kernels share in it: one slow kernel is no slow GPU."""
    outcome = look(case, effect, SIGNAL)
    if not isinstance(outcome, Found) or effect is None:
        return outcome
    rows = case.frame("rank_pace", replica=case.replica, rank=outcome.link.rank)
    window = Window(*effect.facts["window"])
    late = rows.filter(pl.col("iteration").is_between(window.first, window.stop - 1))
    share = float(np.median(late["slower"]))
    if share < HALF:
        return RuledOut(f"{percent(share)} of rank {outcome.link.rank}'s kernels took longer, the others did not")
    slower = f"; {percent(share)} of its kernels took longer"
    return replace(outcome, link=replace(outcome.link, summary=outcome.link.summary + slower))


KIND = Kind(
    name="slow_gpu",
    role="root",
    says="all kernels of one rank slower by one factor (clocks, thermals, power)",
    seen_in=("kernels", "GPU metrics"),
    leads_to=("straggler_rank", "step_stretch"),
    refuted_by="the rank's kernels took their usual time, or only some of them longer",
    detect=detect,
)
