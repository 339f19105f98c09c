"""Replication and checkpoint pins took the KV pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.base.units import number
from postmortem.chain.kind import Kind, Outcome
from postmortem.chain.rank_signal import Signal, look

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link

_PINS = pl.col("isr_pinned_mb").fill_null(0) + pl.col("ckpt_pinned_mb").fill_null(0)


def signal(share: float) -> Signal:
    """Pins that took what is free below this share of the pool: the regime's limit."""
    below = (pl.col("vram_free_mb") - _PINS) / pl.col("kv_pool_total_mb") < share
    above_without = pl.col("vram_free_mb") / pl.col("kv_pool_total_mb") >= share
    limit = f"{number(100 * share)} %"
    return Signal(
        "memory_evaporation",
        f"pins that took the pool below {limit}",
        f"replication and checkpoint pins of {{now}} MiB took the KV pool of {{who}} below {limit} free, "
        "{calm} MiB when calm",
        "MiB pinned",
        "vram_free_mb, kv_pool_total_mb, isr_pinned_mb and ckpt_pinned_mb",
        # NULL where memory was not recorded; the pins where they alone take the pool below the limit, else 0.
        pl.when(below & above_without).then(_PINS).when((below & above_without).is_not_null()).then(0.0),
        None,
    )


def detect(case: Case, effect: Link | None) -> Outcome:
    """Iterations of the rank in which the pool was below the regime's limit with the pins and not without them."""
    return look(case, effect, signal(case.catalogue.view("regime_limits").item(0, "share")))


KIND = Kind(
    name="memory_evaporation",
    role="root",
    says="replication and checkpoint pins took the KV pool: below the regime's limit with them, not without",
    seen_in=("s records", "NVTX"),
    leads_to=("kv_eviction", "straggler_rank", "step_stretch", "precision_change"),
    refuted_by="the pool kept that much free with the pins, or lacked it without them too",
    detect=detect,
)
