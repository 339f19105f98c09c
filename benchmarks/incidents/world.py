"""A serving engine in two pages: continuous batching, tensor parallel ranks, a scheduler that keeps an SLO, and
a model whose logits are really summed in bfloat16, in the order that the tactic of the batch's shape says.

Nothing here knows what a chain is. A fault changes a rank's compute, the fabric, the memory, the arrivals, the
posture or the input, and what follows follows from the code below.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

VOCAB, HIDDEN = 128, 128
START_NS = 1_793_000_000_000_000_000
# Chunks in which a tactic sums: the larger the batch, the coarser the tile (as split-K kernels are chosen).
TILES = {"wide": 64, "mid": 32, "narrow": 16}
SPARE = "mid_spare"  # what runs where the planned tactic lacks workspace
TILES[SPARE] = 8
SENT = 0.15  # of a calm iteration's time goes to transfers between ranks
CAPTURED = (1, 2, 4, *range(8, 257, 8))  # sizes of a server's CUDA graphs, as they are usual


@dataclass(frozen=True)
class Load:
    """Arrivals an iteration, and the shape of requests. 0.68 brings 28 sequences where 24 may run: always full."""

    per_iteration: float = 0.68
    steps: tuple[int, int] = (24, 60)
    surge: tuple[int, int, float] | None = None  # first, stop, arrivals an iteration in between


@dataclass(frozen=True)
class Fault:
    """What is wrong from iteration ``first`` to ``stop``. ``size``: how much longer a calm iteration gets, a share."""

    kind: str
    first: int
    stop: int
    size: float
    rank: int | None = None
    leads: str = "stretch"  # or "precision": the rank falls back to fp8 instead of running late


@dataclass(frozen=True)
class World:
    """One replica's surroundings. The seed fixes arrivals, jitter and prompts: the same with and without a fault."""

    seed: int
    replica: str
    tp: int = 2
    iterations: int = 300
    limit: int = 24  # sequences that the scheduler lets run together
    low_limit: int = 12  # what it cuts to while iterations are over the SLO
    slo: float = 1.07  # of a calm iteration
    slo_at: int | None = None  # sequences of that iteration; None: as many as run, a fuller batch may take longer
    base_ms: float = 12.0
    jitter: float = 0.01
    skew: tuple[float, ...] = ()  # of each rank's compute, as a share, always
    load: Load = Load()
    faults: tuple[Fault, ...] = ()
    noise: tuple[tuple[int, int], ...] = ()  # iterations in which the host holds all ranks up
    pool_mb: float = 8192.0
    clock_ns: tuple[int, ...] = ()  # of each rank's clock
    memory: float = 0.0  # how far the jitter of one iteration goes on in the next: their correlation
    prompt: float = 0.0  # of a calm iteration: what a prompt of usual length takes beside the others' decoding
    padded: bool = False  # to the next of CAPTURED: it takes the same for all sizes up to that

    def calm_ms(self, size: int) -> float:
        """How long a calm iteration of so many sequences takes."""
        if self.padded:
            size = next(most for most in CAPTURED if most >= size)
        return self.base_ms * (0.75 + 0.25 * size / self.limit)


@dataclass
class Request:
    """One request of a replica: ``key`` names the prompt, so that twins on other replicas share it."""

    key: int
    arrives: int
    steps: int
    tenant: str
    drift: str | None = None
    length: float = 1.0  # of its prompt, by the usual one
    parts: int = 0  # in which it is still to be computed; the first step comes with the last
    tokens: list[int] = field(default_factory=list)
    state: Any = None
    last: int = 0


@dataclass
class Run:
    """What a replica recorded: its x and s records (without names), and the tokens of each prompt."""

    x: list[dict[str, Any]]
    s: list[dict[str, Any]]
    tokens: dict[int, list[int]]


def weights() -> tuple[np.ndarray, np.ndarray]:
    """The model: one embedding and one output matrix, the same for every world."""
    rng = np.random.default_rng(7)
    embed = rng.normal(size=(VOCAB, HIDDEN)).astype(np.float32)
    return embed, (rng.normal(size=(HIDDEN, VOCAB)) / np.sqrt(HIDDEN)).astype(np.float32)


EMBED, OUT = weights()


def logits(hidden: np.ndarray, tactic: str, precision: str) -> np.ndarray:
    """Partial sums of ``TILES[tactic]`` products, rounded to and added up in bfloat16: shape (batch, VOCAB)."""
    tile = TILES[tactic]
    if precision == "fp8":  # four bits of mantissa, as e4m3 with its hidden bit
        scale = np.exp2(np.floor(np.log2(np.maximum(np.abs(hidden), 2**-9))) - 3)
        hidden = np.round(hidden / scale) * scale
    total = np.zeros((hidden.shape[0], VOCAB), np.float32)
    for k in range(0, HIDDEN, tile):
        total = bfloat16(total + bfloat16(hidden[:, k : k + tile] @ OUT[k : k + tile]))
    return total


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, to nearest even: the upper 16 bits of a float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def tactic_of(batch: int) -> str:
    """By the padded size of the batch."""
    return "wide" if batch > 16 else "mid" if batch > 4 else "narrow"


def run(world: World, greedy: bool = True) -> Run:
    """Serve all requests. Every draw is made up front, so that a fault changes nothing but what it causes."""
    rng = np.random.default_rng(world.seed)
    requests = _requests(world, rng)
    own = np.random.default_rng([world.seed, int(hashlib.sha256(world.replica.encode()).hexdigest()[:8], 16)])
    shake = np.abs(_lasting(own.normal(0, world.jitter, (world.iterations, world.tp)), world.memory))
    drawn = own.random((world.iterations, 64))
    skew = np.array(world.skew or (0.0,) * world.tp)
    out = Run([], [], {})
    waiting, running = list(requests), []
    now, limit = START_NS, world.limit
    recent: deque[float] = deque(maxlen=16)
    strict_turn = 0
    began: dict[int, int] = {}
    waited: dict[int, float] = {}
    for i in range(world.iterations):
        began[i] = now
        arrived = [r for r in waiting if r.arrives <= i]
        on = [f for f in world.faults if f.first <= i < f.stop]
        strict = any(f.kind == "isolation_change" for f in on)
        while arrived and len(running) < limit:
            request = arrived.pop(0)
            waiting.remove(request)
            running.append(request)
            waited[request.key] = (now - began[request.arrives]) / 1e6
            request.parts = 0 if not world.prompt else 1 if request.length <= 1 else 2  # long ones are chunked
            request.state = (
                np.random.default_rng([11, request.key, hash_of(request.drift)]).normal(size=HIDDEN).astype(np.float32)
            )
        if not running:
            now += int(world.base_ms * 1e6)
            continue
        batch = running[:limit]
        if strict:  # one tenant an iteration, in turns
            tenants = sorted({r.tenant for r in running})
            batch = [r for r in running if r.tenant == tenants[strict_turn % len(tenants)]][:limit]
            strict_turn += 1
        size = len(batch)
        state = _states(world, on, shake[i], size, skew, any(a <= i < b for a, b in world.noise))
        tactic, precision = tactic_of(size), "bf16"
        if any(r["fallback_reason"] for r in state):
            tactic = SPARE
        if any(r["precision_path"] == "fp8" for r in state):
            precision = "fp8"
        computed = sum(r.length / (1 if r.length <= 1 else 2) for r in batch if r.parts)
        prompts = world.prompt * world.calm_ms(size) * computed
        compute = np.array([r.pop("compute_ms") for r in state]) + (1 - SENT) * prompts
        transfer = state[0].pop("transfer_ms") + SENT * prompts
        for r in state[1:]:
            r.pop("transfer_ms")
        total = float(compute.max() + transfer)
        members = ",".join(str(r.key) for r in batch)
        shared = {
            "iteration": i, "ts_ns": now, "batch_size": size, "isolation_mode": "strict" if strict else "shared",
            "batch_fp": hashlib.sha256(members.encode()).hexdigest()[:12],
        }  # fmt: skip
        queue = [(now - began[r.arrives]) / 1e6 for r in arrived]
        p95 = float(np.quantile(queue, 0.95)) if queue else 0.0
        planned = tactic_of(size)
        for rank, r in enumerate(state):
            wait = float(compute.max() - compute[rank])
            at = now + (world.clock_ns[rank] if world.clock_ns else 0)
            ran = SPARE if r["fallback_reason"] else planned
            out.s.append({
                "rank": rank, **shared, "ts_ns": at, **r, "gpu_ms": total, "comm_ms": float(transfer) + wait,
                "sync_ms": wait, "algo_id": ran, "expected_algo_id": planned, "queue_p95_ms": p95,
            })  # fmt: skip
        hidden = np.stack([r.state for r in batch])
        scores = logits(hidden, tactic, precision)
        order = np.argsort(-scores, axis=1, kind="stable")
        free = min(r["vram_free_mb"] for r in state)
        for k, request in enumerate(batch):
            request.parts -= request.parts > 0
            if request.parts:
                continue
            first, second = int(order[k, 0]), int(order[k, 1])
            if not greedy:  # sampled: by each replica's own draw
                p = np.exp(scores[k] - scores[k].max())
                first = int(np.searchsorted(np.cumsum(p / p.sum()), drawn[i, k % 64]).clip(0, VOCAB - 1))
                second = int(order[k, 0])
            step = len(request.tokens)
            request.tokens.append(first)
            out.s.append({
                "key": request.key, "step": step, **shared, "gpu_ms": total,
                "comm_ms": float(transfer + (compute.max() - compute).mean()),
                "sync_ms": float((compute.max() - compute).mean()),
                "queue_ms": waited.get(request.key, 0.0) if step == 0 else 0.0, "queue_p95_ms": p95,
                "vram_free_mb": free, "kv_pool_total_mb": world.pool_mb,
                "isr_pinned_mb": max(r["isr_pinned_mb"] for r in state),
                "ckpt_pinned_mb": max(r["ckpt_pinned_mb"] for r in state),
                "algo_id": tactic, "expected_algo_id": planned, "precision_path": precision,
                "fallback_reason": "workspace" if tactic == SPARE else None,
                "shape": f"q=1,k={64 + step},h=8,d={HIDDEN},tp={world.tp},b={size}",
                "token_id": first, "top2_token_id": second, "margin": float(scores[k, first] - scores[k, second]),
            })  # fmt: skip
            request.state = np.tanh(0.6 * request.state + EMBED[first]).astype(np.float32) * 1.5
        running = [r for r in running if len(r.tokens) < r.steps]
        now += int(total * 1e6)
        # The scheduler: the median of the last sixteen iterations, prompts aside, against the SLO.
        recent.append((total - prompts) / world.calm_ms(size if world.slo_at is None else world.slo_at))
        limit = world.low_limit if np.median(recent) > world.slo else world.limit
    # The recording stops where it stops: what had not been admitted by then is in no record.
    served = {r.key for r in requests if r.tokens}
    out.x = [_x(r, began[r.arrives]) for r in requests if r.key in served]
    out.tokens = {r.key: r.tokens for r in requests if r.tokens}
    return out


def _lasting(noise: np.ndarray, memory: float) -> np.ndarray:
    """An autoregressive series of the same deviation from independent values, along the first axis."""
    out = noise.copy()
    for i in range(1, len(out)):
        out[i] = memory * out[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    return out


def hash_of(text: str | None) -> int:
    """A small number that stands for a text."""
    return int(hashlib.sha256((text or "").encode()).hexdigest()[:8], 16)


def _requests(world: World, rng: np.random.Generator) -> list[Request]:
    """As many as arrive while it records; the batch is full from the start where the load would fill it."""
    load = world.load
    most = int(world.iterations * 5)  # more than any surge brings
    steps, gaps = rng.integers(*load.steps, most), rng.exponential(1.0, most)
    tenants = rng.choice(["north", "south", "east"], most)
    drifts = [f for f in world.faults if f.kind in {"effective_request_drift", "decode_config_drift"}]
    lengths = np.random.default_rng([world.seed, 13]).lognormal(0, 0.5, most)  # half of them within 0.7 and 1.4
    out, at = [], 0.0
    for k in range(most):
        surging = load.surge is not None and load.surge[0] <= at < load.surge[1]
        rate = load.surge[2] if load.surge and surging else load.per_iteration
        running = load.per_iteration * sum(load.steps) / 2
        at = at if k < running else at + gaps[k] / rate
        if at >= world.iterations:
            break
        drift = next((f.kind for f in drifts if f.first <= at < f.stop and k % 2 == 0), None)
        text = "policy v4" if drift == "effective_request_drift" else None
        # those that run from the start are at any point of theirs
        left = steps[k] if k >= running else max(4, int(steps[k] * (k + 1) / running))
        out.append(Request(k, int(at), int(left), str(tenants[k]), text, length=float(lengths[k])))
        if drift == "decode_config_drift":
            out[-1].drift = "top_k 40"
    return out


def _x(request: Request, admitted_ns: int) -> dict[str, Any]:
    raw = hashlib.sha256(b"raw %d" % request.key).hexdigest()
    shaped = request.drift == "policy v4"
    text = hashlib.sha256(b"text %d %s" % (request.key, b"v4" if shaped else b"v3")).hexdigest()
    cfg: dict[str, Any] = {"temperature": 0.0, "max_tokens": request.steps}
    if request.drift == "top_k 40":
        cfg |= {"repetition_penalty": 1.1}
    return {
        "key": request.key, "admitted_ns": admitted_ns,
        "raw_prompt_sha256": raw, "effective_text_sha256": text, "effective_tokens": 64 + (8 if shaped else 0),
        "truncated": False, "decode_cfg_applied": cfg, "tenant": request.tenant,
        "shaping_events": ["system_message:v1", "policy_inject:v4" if shaped else "policy_inject:v3"],
    }  # fmt: skip


def _states(
    world: World, on: list[Fault], shake: np.ndarray, size: int, skew: np.ndarray, held_up: bool
) -> list[dict[str, Any]]:
    """Each rank's state in one iteration: its compute, its memory, what it had to do beside the work."""
    calm = world.calm_ms(size)
    work, transfer = (1 - SENT) * calm, SENT * calm
    out = []
    for rank in range(world.tp):
        compute = work * (1 + skew[rank] + shake[rank])
        if held_up:
            compute += 0.4 * calm
        state: dict[str, Any] = {
            "vram_free_mb": 5000.0 - 20 * size, "kv_pool_total_mb": world.pool_mb, "isr_pinned_mb": 0.0,
            "ckpt_pinned_mb": 0.0, "kv_evicted_blocks": 0, "recompute_tokens": 0, "dequant_cycles": 0,
            "workspace_free_mb": 512.0, "fallback_reason": None, "precision_path": "bf16",
        }  # fmt: skip
        slower = transfer
        for fault in on:
            extra = fault.size * calm
            if fault.kind == "fabric_congestion":
                slower += extra
                continue
            if fault.rank is not None and fault.rank != rank:
                continue
            wobble = 1 + 0.2 * (shake[rank] / max(world.jitter, 1e-9) - 0.8)
            extra *= max(0.2, wobble)
            match fault.kind:
                case "quant_stall":
                    state["dequant_cycles"] = round(extra * 20)
                case "kv_eviction":
                    state |= {"recompute_tokens": round(extra * 60), "kv_evicted_blocks": round(extra * 4)}
                case "memory_evaporation":
                    state |= {"isr_pinned_mb": 2900.0, "ckpt_pinned_mb": 1900.0 - 20 * size,
                              "recompute_tokens": round(extra * 60), "kv_evicted_blocks": round(extra * 4)}  # fmt: skip
                case "workspace_fallback":
                    state |= {"fallback_reason": "workspace", "workspace_free_mb": 24.0}
                    extra = 0.0
                case "pins":  # held, and harmless
                    state |= {"isr_pinned_mb": 900.0, "ckpt_pinned_mb": 300.0}
                    extra = 0.0
                case "slow_gpu" | "kv_residency_loss" | "unrecorded":
                    pass  # in no record: the first two show in the GPU's traces
                case _:
                    extra = 0.0
            if fault.leads == "precision":
                state["precision_path"], extra = "fp8", 0.0
            compute += extra
        out.append({"compute_ms": compute, "transfer_ms": slower * (1 + shake[0]), **state})
    return out


def without(world: World, fault: Fault) -> World:
    """The same world, the fault taken out."""
    return replace(world, faults=tuple(f for f in world.faults if f is not fault))
