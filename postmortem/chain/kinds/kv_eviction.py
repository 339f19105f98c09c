"""Active KV blocks evicted and recomputed on one rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.chain.kind import Kind, Outcome
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

SIGNAL = Signal(
    "kv_eviction",
    "recomputing evicted KV blocks",
    "{who} recomputed {now} tokens of evicted KV blocks an iteration, {calm} when calm",
    "tokens",
    "recompute_tokens",
    pl.col("recompute_tokens"),
    "kv_recompute",
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """recompute_tokens of the late rank, and the time in its kv_recompute ranges."""
    return look(case, effect, SIGNAL)


KIND = Kind(
    name="kv_eviction",
    role="root",
    says="active KV blocks evicted and recomputed on a rank",
    seen_in=("s records", "NVTX"),
    leads_to=("straggler_rank", "step_stretch", "precision_change"),
    refuted_by="the rank recomputed no more tokens than when calm",
    detect=detect,
)
