"""x and s records of the lab's server, by the fields of the bundle."""

from __future__ import annotations

from typing import Any

from sample_traces.lab.config import Model
from sample_traces.lab.notes import StepNotes
from sample_traces.lab.numerics import TACTICS
from sample_traces.lab.scheduler import Batch, Sequence
from sample_traces.lab.workload import SYSTEM, sha256

DIGITS = 4  # of a millisecond: a tenth of a microsecond, beyond what the clock tells


def req_id(replica: str, index: int) -> str:
    """The request's name on a replica."""
    return f"{replica}-{index:03d}"


def x_fields(replica: str, sequence: Sequence, admitted_ns: int) -> dict[str, Any]:
    """One request as the model sees it."""
    request = sequence.request
    return {
        "req_id": req_id(replica, request.index),
        "admitted_ns": admitted_ns,
        "raw_prompt_sha256": sha256(request.raw),
        "effective_text_sha256": sha256(request.effective),
        "effective_tokens": len(request.tokens),
        "truncated": request.truncated,
        "trunc_reason": request.trunc_reason,
        "decode_cfg_applied": {"temperature": 0, "max_tokens": request.max_tokens},
        "shaping_events": list(request.shaping),
        "prefix_cache_used": False,
        "routing_template": "round_robin:v1",
        "system_sha256": sha256(SYSTEM),
        "tenant": request.tenant,
        "prompt_family": "random_words",
    }


def _state(notes: StepNotes) -> dict[str, Any]:
    actual, planned = int(notes.algo_id), int(notes.expected_algo_id)
    return {
        "gpu_ms": round(notes.gpu_ms, DIGITS),
        "comm_ms": round(notes.comm_ms, DIGITS),
        "sync_ms": round(notes.sync_ms, DIGITS),
        "vram_free_mb": round(notes.vram_free_mb, DIGITS),
        "workspace_free_mb": round(notes.workspace_free_mb, DIGITS),
        "kv_pool_total_mb": round(notes.kv_pool_total_mb, DIGITS),
        "isr_pinned_mb": round(notes.isr_pinned_mb, DIGITS),
        "ckpt_pinned_mb": round(notes.ckpt_pinned_mb, DIGITS),
        "kv_regime": notes.regime,
        "kv_evicted_blocks": int(notes.kv_evicted_blocks),
        "recompute_tokens": int(notes.recompute_tokens),
        "paging_on": notes.regime == "paged",
        "precision_path": "bf16",
        "dequant_cycles": int(notes.dequant_cycles),
        "algo_id": actual,
        "kernel_variant": TACTICS[actual].name,
        "expected_algo_id": planned,
        "fallback_reason": "workspace" if actual != planned else None,
    }


def rank_fields(iteration: int, ts_ns: int, batch: Batch, notes: StepNotes) -> dict[str, Any]:
    """One rank's view of one iteration."""
    return {
        "iteration": iteration,
        "ts_ns": ts_ns,
        "batch_fp": batch.fingerprint,
        "batch_size": len(batch.members),
        **_state(notes),
    }


def together(ranks: list[StepNotes]) -> StepNotes:
    """The engine's own view: the mean of times, the least of memory, the fallback that any rank took."""
    count = len(ranks)
    fallen = [n for n in ranks if n.algo_id != n.expected_algo_id]
    chosen = (fallen or ranks)[0]
    return StepNotes(
        gpu_ms=sum(n.gpu_ms for n in ranks) / count,
        comm_ms=sum(n.comm_ms for n in ranks) / count,
        sync_ms=sum(n.sync_ms for n in ranks) / count,
        vram_free_mb=min(n.vram_free_mb for n in ranks),
        workspace_free_mb=min(n.workspace_free_mb for n in ranks),
        kv_pool_total_mb=min(n.kv_pool_total_mb for n in ranks),
        isr_pinned_mb=max(n.isr_pinned_mb for n in ranks),
        ckpt_pinned_mb=max(n.ckpt_pinned_mb for n in ranks),
        kv_evicted_blocks=sum(n.kv_evicted_blocks for n in ranks),
        recompute_tokens=sum(n.recompute_tokens for n in ranks),
        dequant_cycles=max(n.dequant_cycles for n in ranks),
        algo_id=chosen.algo_id,
        expected_algo_id=chosen.expected_algo_id,
    )


def engine_fields(
    iteration: int, ts_ns: int, batch: Batch, ranks: list[StepNotes], queue_p95_ms: float, mode: str
) -> dict[str, Any]:
    """What all requests of an iteration share in the engine's view."""
    return {
        "iteration": iteration,
        "ts_ns": ts_ns,
        "batch_fp": batch.fingerprint,
        "batch_size": len(batch.members),
        **_state(together(ranks)),
        "queue_p95_ms": round(queue_p95_ms, DIGITS),
        "isolation_mode": mode,
    }


def request_fields(
    replica: str, model: Model, tp: int, member: tuple[int, int, int, float], choice: tuple[int, int, float]
) -> dict[str, Any]:
    """What one request adds: (index, step, position, seconds queued), (token, runner-up, margin)."""
    index, step, position, queued_s = member
    token, second, margin = choice
    return {
        "req_id": req_id(replica, index),
        "step": step,
        "shape": f"q=1,k={position + 1},h={model.heads},d={model.hidden},tp={tp}",
        "queue_ms": round(1000 * queued_s, DIGITS),
        "token_id": token,
        "top2_token_id": second,
        "margin": round(margin, 6),  # logits are bfloat16: far coarser
    }
