"""Dequantise/requantise cycles on one rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.chain.kind import Kind, Outcome
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

SIGNAL = Signal(
    "quant_stall",
    "dequantisation",
    "{who} ran {now} dequantise cycles an iteration, {calm} when calm",
    "cycles",
    "dequant_cycles",
    pl.col("dequant_cycles"),
    "dequant",
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """dequant_cycles of the late rank, and the time in its dequant ranges."""
    return look(case, effect, SIGNAL)


KIND = Kind(
    name="quant_stall",
    role="root",
    says="dequantise/requantise cycles on a rank",
    seen_in=("s records", "NVTX", "kernels"),
    leads_to=("straggler_rank", "step_stretch", "precision_change"),
    refuted_by="the rank ran no more dequantise cycles than when calm, or its peers ran as many",
    detect=detect,
)
