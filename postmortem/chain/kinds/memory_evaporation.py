"""Replication and checkpoint pins took the KV pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.chain.kind import Kind, Outcome
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

# The article's limit of the regime memory_evaporation: effective free memory below 5 % of the pool.
LIMIT = 0.05

_PINS = pl.col("isr_pinned_mb").fill_null(0) + pl.col("ckpt_pinned_mb").fill_null(0)
_BELOW = (pl.col("vram_free_mb") - _PINS) / pl.col("kv_pool_total_mb") < LIMIT
_ABOVE_WITHOUT = pl.col("vram_free_mb") / pl.col("kv_pool_total_mb") >= LIMIT
SIGNAL = Signal(
    "memory_evaporation",
    "pins that took the pool below 5 %",
    "replication and checkpoint pins of {now} MiB took the KV pool of {who} below 5 % free, {calm} MiB when calm",
    "MiB pinned",
    "vram_free_mb, kv_pool_total_mb, isr_pinned_mb and ckpt_pinned_mb",
    # NULL where memory was not recorded; the pins where they alone take the pool below the limit, else 0.
    pl.when(_BELOW & _ABOVE_WITHOUT).then(_PINS).when((_BELOW & _ABOVE_WITHOUT).is_not_null()).then(0.0),
    None,
)


def detect(case: Case, effect: Link | None) -> Outcome:
    """Iterations of the rank in which the pool was below 5 % with the pins and not without them."""
    return look(case, effect, SIGNAL)


KIND = Kind(
    name="memory_evaporation",
    role="root",
    says="replication and checkpoint pins took the KV pool: effective free below 5 % with them, not without",
    seen_in=("s records", "NVTX"),
    leads_to=("kv_eviction", "straggler_rank", "step_stretch", "precision_change"),
    refuted_by="the pool kept 5 % free with the pins, or lacked it without them too",
    detect=detect,
)
