"""Bundles with a known cause, written by hand-sized code: what happens is in the arguments.

A replica's engine is two lines of arithmetic: an iteration lasts as long as its slowest rank, and the
others wait for it. Times carry jitter from a seeded generator, so that baselines have a spread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

START_NS = 1_790_000_000_000_000_000
CALM, OTHER = "tile32", "tile16"


@dataclass
class Trace:
    """One replica's run: ``extra_ms[iteration]`` is added to ``late_rank``'s compute.

    ``leaves_late_ms`` is how much later that rank leaves its collectives than the others.
    ``batch[iteration]`` decides the tactic (16 and below: the other one). ``flips`` are the requests
    whose token changes at the given step; ``aside`` are iterations in which a request is not scheduled.
    """

    replica: str
    iterations: int = 120
    ranks: int = 2
    compute_ms: float = 8.0
    jitter_ms: float = 0.15
    transfer_ms: float = 1.0
    skew_ms: tuple[float, ...] = ()
    late_rank: int | None = None
    extra_ms: dict[int, float] = field(default_factory=dict)
    all_extra_ms: dict[int, float] = field(default_factory=dict)
    rank_extra_ms: dict[int, dict[int, float]] = field(default_factory=dict)
    transfer_extra_ms: dict[int, float] = field(default_factory=dict)
    leaves_late_ms: dict[int, float] = field(default_factory=dict)
    rank_fields: dict[int, dict[str, Any]] = field(default_factory=dict)
    request_fields: dict[str, Callable[[int], Any]] = field(default_factory=dict)
    batch: dict[int, int] = field(default_factory=dict)
    full_batch: int = 24
    flips: dict[int, int] = field(default_factory=dict)
    thin: dict[int, int] = field(default_factory=dict)
    aside: dict[int, range] = field(default_factory=dict)
    requests: int = 6
    seed: int = 1
    ranks_recorded: bool = True
    quiet: tuple[str, ...] = ()

    def batch_at(self, iteration: int) -> int:
        return self.batch.get(iteration, self.full_batch)

    def tactic_at(self, iteration: int) -> str:
        return CALM if self.batch_at(iteration) > 16 else OTHER

    def margin_at(self, request: int, step: int, iteration: int) -> float:
        """0.5, moved by 0.01 under the other tactic; 0.004 at a flip, on whichever replica it is."""
        if step == self.thin.get(request, self.flips.get(request)):
            return 0.004
        return 0.5 + (0.01 if self.tactic_at(iteration) == OTHER else 0.0)

    def records(self) -> list[dict[str, Any]]:
        """The x and s records of the run, in order of time."""
        rng = np.random.default_rng(self.seed)
        skew = np.array(self.skew_ms or (0.0,) * self.ranks)
        out: list[dict[str, Any]] = []
        for r in range(self.requests):
            out.append(  # noqa: PERF401  one record a line reads better
                {
                    "record": "x", "req_id": f"{self.replica}-{r}", "replica": self.replica, "admitted_ns": START_NS,
                    "raw_prompt_sha256": hashlib.sha256(b"raw %d" % r).hexdigest(),
                    "effective_text_sha256": hashlib.sha256(b"text %d" % r).hexdigest(),
                    "effective_tokens": 40, "truncated": False, "decode_cfg_applied": {"temperature": 0.0},
                }
            )  # fmt: skip
        now = START_NS
        for i in range(self.iterations):
            compute = (
                self.compute_ms
                + skew
                + self.all_extra_ms.get(i, 0.0)
                + np.abs(rng.normal(0, self.jitter_ms, self.ranks))
            )
            if self.late_rank is not None:
                compute[self.late_rank] += self.extra_ms.get(i, 0.0)
            for rank, extra in self.rank_extra_ms.items():
                compute[rank] += extra.get(i, 0.0)
            transfer = self.transfer_ms + self.transfer_extra_ms.get(i, 0.0) + abs(rng.normal(0, self.jitter_ms / 5))
            wait = compute.max() - compute
            total = float(compute.max() + transfer)
            shared = {"replica": self.replica, "iteration": i, "ts_ns": now, "batch_size": self.batch_at(i)}
            shared |= {"algo_id": self.tactic_at(i), "isolation_mode": "shared"}
            for rank in range(self.ranks if self.ranks_recorded else 0):
                own = {"dequant_cycles": 0, "recompute_tokens": 0, **self.rank_fields.get(rank, {})}
                own = {k: v(i) if callable(v) else v for k, v in own.items()}
                leaving = self.leaves_late_ms.get(i, 0.0) if rank == self.late_rank else 0.0
                comm = float(transfer + wait[rank] + leaving)
                own |= {"gpu_ms": total + leaving, "comm_ms": comm, "sync_ms": float(wait[rank])}
                out.append({"record": "s", "rank": rank, **shared, **own})
            for r in range(self.requests):
                if i in self.aside.get(r, ()):
                    continue
                step = i - sum(k < i for k in self.aside.get(r, ()))
                token, runner_up = 100 + (step * 7 + r) % 50, 1100 + (step * 7 + r) % 50
                if r in self.flips and step >= self.flips[r]:
                    token, runner_up = runner_up, token
                out.append(
                    {
                        "record": "s", "req_id": f"{self.replica}-{r}", "step": step, **shared, "gpu_ms": total,
                        "comm_ms": float(transfer + wait.mean()), "sync_ms": float(wait.mean()), "queue_ms": 1.0,
                        "token_id": token, "top2_token_id": runner_up, "margin": self.margin_at(r, step, i),
                        **{name: at(i) for name, at in self.request_fields.items()},
                    }
                )  # fmt: skip
            now += int(total * 1e6)
        return [{k: v for k, v in record.items() if k not in self.quiet} for record in out]


def write_bundle(folder: Path, *traces: Trace) -> Path:
    """A bundle of JSON Lines, one file a replica; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    flips = {request: step for trace in traces for request, step in trace.flips.items()}
    for trace in traces:
        trace.thin = flips
        lines = [json.dumps(record) for record in trace.records()]
        (folder / f"{trace.replica}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def straggler(ranks: int = 2, late: int = 1, seed: int = 1, **changes: Any) -> tuple[Trace, Trace]:
    """Replica a calm; on replica b a rank runs dequantisation from iteration 70, late by 5 ms; the batch is
    cut from 24 to 12 at 82; requests 1 and 3 flip at steps 85 and 88, requests 0, 2, 4, 5 do not."""
    calm = Trace("a", ranks=ranks, seed=seed)
    window = range(70, 100)
    disturbed = Trace(
        "b",
        ranks=ranks,
        seed=seed + 1000,
        late_rank=late,
        extra_ms=dict.fromkeys(window, 5.0),
        rank_fields={late: {"dequant_cycles": lambda i: 40 if i in window else 0}},
        batch=dict.fromkeys(range(82, 104), 12),
        flips={1: 85, 3: 88},
    )
    for name, value in changes.items():
        setattr(disturbed, name, value)
    return calm, disturbed
