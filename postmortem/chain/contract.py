"""The execution contract: what must be recorded of a request, what is lost without it, and how to record it.

After the minimal x and s records of the article that ARCHITECTURE.md names. No reader takes a server's own log: where a
stock server tells a value, its setting stands after "from", and the recorder brings it in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the contract: the ``fields`` of a ``record`` (x, s or rank) that hold it, any one of them enough."""

    name: str
    record: str
    fields: tuple[str, ...]
    without: str
    how: str


_X = "postmortem.record: rec.x({}=…)"
_S = "postmortem.record: rec.s({}=…)"

CONTRACT = (
    Part(
        "effective text",
        "x",
        ("effective_text_sha256",),
        "whether two requests saw the same input: no request can be compared with another",
        _X.format("effective_text_sha256")
        + ", from SGLang --log-requests --log-requests-level 3 (lower levels shorten texts)",
    ),
    Part(
        "raw prompt",
        "x",
        ("raw_prompt_sha256",),
        "a request drift: that the same question was shaped into another text",
        _X.format("raw_prompt_sha256"),
    ),
    Part("effective length", "x", ("effective_tokens",), "where a truncation cut", _X.format("effective_tokens")),
    Part(
        "truncation",
        "x",
        ("truncated",),
        "whether shaping cut the prompt, and why",
        _X.format("truncated") + ", trunc_reason",
    ),
    Part(
        "shaping events",
        "x",
        ("shaping_events",),
        "what changed a text: policy, tool schema, rewrite",
        _X.format("shaping_events"),
    ),
    Part(
        "decode configuration",
        "x",
        ("decode_cfg_applied",),
        "whether an answer is greedy, and whether two were decoded alike: nothing is proven the same without it",
        _X.format("decode_cfg_applied")
        + ", from SGLang --log-requests --log-requests-level 1, vLLM --enable-log-requests",
    ),
    Part("admission time", "x", ("admitted_ns",), "whether arrivals outran service", _X.format("admitted_ns")),
    Part("tokens", "s", ("token_id",), "at which step an answer flipped", _S.format("token_id")),
    Part(
        "margins",
        "s",
        ("margin",),
        "how thin the decision was, and whether noise between tactics could flip it",
        _S.format("margin")
        + " (the first less the second log-probability: vLLM logprobs=2; SGLang return_logprob, top_logprobs_num=2)",
    ),
    Part(
        "iteration",
        "s",
        ("iteration",),
        "which requests shared a batch, and what happened before: no link beyond the flip",
        _S.format("iteration"),
    ),
    Part(
        "batch",
        "s",
        ("batch_size",),  # a fingerprint alone does not tell how large it was
        "whether the scheduler changed the batch",
        _S.format("batch_size") + ", from TensorRT-LLM enable_iter_perf_stats with enable_iter_req_stats, "
        "vLLM SchedulerOutput.num_scheduled_tokens",
    ),
    Part(
        "shape class",
        "s",
        ("shape",),
        "whether a tactic changed with the shape or at the same shape",
        _S.format("shape"),
    ),
    Part(
        "step time on the GPU",
        "s",
        ("gpu_ms",),
        "whether iterations stretched before the batch changed",
        _S.format("gpu_ms")
        + ", from TensorRT-LLM print_iter_log (its prev_device_step_time is the iteration before's)",
    ),
    Part(
        "queue time",
        "s",
        ("queue_ms", "queue_p95_ms"),
        "whether load made requests wait",
        _S.format("queue_ms") + ", from SGLang --enable-request-time-stats-logging",
    ),
    Part(
        "tactic",
        "s",
        ("algo_id",),  # the chain holds tactics against each other by it
        "whether another kernel ran: the link from batch to bits",
        _S.format("algo_id") + "; else Nsight Systems with kernels (nsys profile -t cuda --cuda-graph-trace=node)",
    ),
    Part(
        "tactic planned",
        "s",
        ("expected_algo_id",),
        "whether the preferred tactic was not feasible",
        _S.format("expected_algo_id") + ", fallback_reason",
    ),
    Part(
        "precision path",
        "s",
        ("precision_path",),
        "whether another precision ran than planned",
        _S.format("precision_path"),
    ),
    Part(
        "memory, workspace",
        "s",
        ("vram_free_mb", "workspace_free_mb"),
        "which memory regime ran, and whether workspace decided the tactic",
        _S.format("vram_free_mb") + ", workspace_free_mb",
    ),
    Part(
        "pins held",
        "s",
        ("isr_pinned_mb", "ckpt_pinned_mb"),
        "memory evaporation: pins that took the pool",
        _S.format("isr_pinned_mb") + ", ckpt_pinned_mb, kv_pool_total_mb",
    ),
    Part(
        "isolation posture",
        "s",
        ("isolation_mode",),
        "whether isolation changed what may share a batch",
        _S.format("isolation_mode"),
    ),
    Part(
        "each rank's times",
        "rank",
        ("gpu_ms",),
        "which rank the others waited for",
        "postmortem.record on every rank: rec.s(rank=…, iteration=…, ts_ns=…, gpu_ms=…, comm_ms=…, sync_ms=…); "
        "else Nsight Systems, one export a rank",
    ),
    Part(
        "each rank's collectives",
        "rank",
        ("comm_ms",),
        "whether collectives were inflated, by waiting or by the fabric",
        "rec.s(comm_ms=…, sync_ms=…) on every rank; NCCL Inspector; nsys profile -t cuda,nvtx",
    ),
    Part(
        "each rank's dequant",
        "rank",
        ("dequant_cycles",),
        "a quantisation stall, and on which rank",
        "rec.s(dequant_cycles=…) on every rank, or NVTX ranges 'dequant'",
    ),
    Part(
        "each rank's evictions",
        "rank",
        ("recompute_tokens", "kv_evicted_blocks"),
        "KV eviction and recomputation",
        "rec.s(recompute_tokens=…, kv_evicted_blocks=…) on every rank, or NVTX ranges 'kv_recompute'",
    ),
)
