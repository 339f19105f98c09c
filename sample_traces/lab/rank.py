"""One rank of the server: ``python -m sample_traces.lab.rank RUN_DIR RANK``.

One thread, one core, no garbage collection while it serves; records are
queued while serving and written when it is over.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from postmortem.record import Recorder
from sample_traces.lab import records, workload
from sample_traces.lab.allreduce import Group
from sample_traces.lab.config import Run
from sample_traces.lab.faults import Actor
from sample_traces.lab.kvcache import BlockPool
from sample_traces.lab.model import shard, step, top_two
from sample_traces.lab.notes import StepNotes
from sample_traces.lab.numerics import PLANNED, bucket, choose
from sample_traces.lab.scheduler import Batch, Batcher, LatencyGuard

QUEUE = 400_000  # records; a run makes some 20,000
LEEWAY_S = 120.0  # seconds beyond the run's own time; four ranks on two cores are slow
REQUESTS = 4000  # in the list; a run serves some 300


@dataclass
class Pending:
    """An iteration whose figures the other ranks don't have yet."""

    iteration: int
    start_ns: int
    batch: Batch
    rows: list[tuple[int, int, int, float]]
    choices: list[tuple[int, int, float]]
    queue_p95_ms: float
    mode: str
    limit: int
    arrivals: list[list[int]]


class Rank:
    """The server's loop on one rank."""

    def __init__(self, run: Run, rank: int, directory: Path) -> None:
        self.run = run
        self.rank = rank
        self.directory = directory
        model = run.model
        self.part = shard(model, rank, run.tp)
        self.pool = BlockPool(self.part)
        self.group = Group(directory / "shared", rank, run.tp, max(PLANNED), max(model.hidden, model.vocab))
        self.actor = Actor(run.fault, rank, self.pool, run.seed)
        self.workspace = np.empty(int(model.workspace_mb * 2**20 / 4), np.float32)  # 4: bytes a float32
        self.engine = Recorder(directory / f"engine{rank}", replica=run.replica, background=False, queue_size=QUEUE)
        self.recorder = Recorder(directory, replica=run.replica, rank=rank, background=False, queue_size=QUEUE)
        self.epoch_ns = time.time_ns() - time.perf_counter_ns()
        self.start_ns = 0
        self.now_s = 0.0
        self.collective = 0
        self.raw: list[dict[str, Any]] = []
        self.notes = StepNotes()
        self.drifted: list[int] = []

    # -- one iteration -----------------------------------------------------------

    def iterate(self, iteration: int, batch: Batch) -> tuple[list[tuple[int, int, float]], list[list[int]], int]:
        """One token of every member; its choices, all ranks' arrivals at each collective, its start."""
        rec, pool, actor = self.recorder, self.pool, self.actor
        began = time.perf_counter_ns()
        rec_range = rec.range("iteration", n=iteration, batch=len(batch.members))
        with rec_range:
            height = bucket(len(batch.members))
            free_mb = self.run.model.workspace_mb - actor.workspace_taken_mb
            tactic, planned = choose(len(batch.members), free_mb, self._needed_mb(height))
            if tactic is not planned:
                rec.mark("fallback", op="gemm", **{"from": planned.algo_id}, to=tactic.algo_id, why="workspace")
            members = [s.request.index for s in batch.members]
            positions = [s.position for s in batch.members]
            tokens = [s.tokens[s.position] for s in batch.members]
            recomputed = self._begin(members, positions, tactic.algo_id)
            if actor.isr_mb:
                actor.copy_pins()
            waited = comm = cycles = 0
            arrivals = []
            work = step(self.part, pool, tokens, positions, tactic, rows=height, workspace=self.workspace)
            part = next(work)
            last = 2 * self.run.model.layers
            for number in range(last + 1):
                if number < last and actor.stalls:
                    with rec.range("dequant", layer=number // 2):
                        cycles += actor.stall()
                notes = None
                if number == last:
                    now_s = (time.perf_counter_ns() - self.start_ns) / 1e9
                    notes = self.notes.pack(now_s)
                with rec.range("collective", op="AllReduce", seq=self.collective, bytes=part.nbytes):
                    total, arrived = self.group.all_reduce(part, notes)
                    left = time.perf_counter_ns()
                self.collective += 1
                arrivals.append(arrived)
                comm += left - arrived[self.rank]
                waited += max(arrived) - arrived[self.rank]
                try:
                    part = work.send(total)
                except StopIteration as stop:
                    logits = stop.value
            best, second, margins = top_two(logits)
            evicted = actor.squeeze(self._victims)
            if evicted:
                rec.mark("kv_evict", blocks=evicted)
        ended = time.perf_counter_ns()
        keep = pool.blocks if actor.fault.kind != "kv_eviction" or actor.keep is None else actor.keep
        self.notes = StepNotes(
            gpu_ms=(ended - began) / 1e6,
            comm_ms=comm / 1e6,
            sync_ms=waited / 1e6,
            vram_free_mb=max(0, keep - pool.used) * pool.block_mb,
            workspace_free_mb=free_mb,
            kv_pool_total_mb=keep * pool.block_mb,
            isr_pinned_mb=actor.isr_mb,
            ckpt_pinned_mb=actor.ckpt_mb,
            kv_evicted_blocks=evicted,
            recompute_tokens=recomputed,
            dequant_cycles=cycles,
            algo_id=tactic.algo_id,
            expected_algo_id=planned.algo_id,
        )
        return list(zip(best, second, margins, strict=True)), arrivals, began

    def _begin(self, members: list[int], positions: list[int], algo_id: int) -> int:
        if not self.pool.lost:
            return self.pool.begin(members, positions, algo_id)
        with self.recorder.range("kv_recompute", tokens=self.pool.missing(members)):
            return self.pool.begin(members, positions, algo_id)

    def _needed_mb(self, height: int) -> float:
        planned, model, tp = PLANNED[height], self.run.model, self.run.tp
        shapes = (
            (model.hidden, 3 * model.hidden // tp),
            (model.hidden // tp, model.hidden),
            (model.hidden, model.inner // tp),
            (model.inner // tp, model.hidden),
            (model.hidden // tp, model.vocab),
        )
        return max(planned.workspace_mb(height, inner, outer) for inner, outer in shapes)

    # -- the run -----------------------------------------------------------------

    def warm_up(self) -> float:
        """Iterations that nobody records, at the batch of the calm run; their median in ms, over all ranks."""
        run = self.run
        batcher = Batcher(workload.make(run.seed + 1000, run.users, run.model.vocab), run.users)  # others
        batcher.fill(0.0, run.users)
        quiet, self.recorder = self.recorder, Recorder(self.directory / "warm", background=False, ranges=False)
        times = []
        self._victims: list[int] = []
        for _ in range(run.warmup):
            batch = batcher.next(0.0, run.users)
            choices, _, _ = self.iterate(0, batch)
            for sequence, (token, _, _) in zip(batch.members, choices, strict=True):
                if sequence.step >= 0:
                    sequence.tokens.append(token)
                sequence.position = min(sequence.position + 1, len(sequence.tokens) - 1)
            times.append(self.notes.gpu_ms)
        for sequence in batcher.running:
            self.pool.release(sequence.request.index)
        self.recorder = quiet
        self.collective = 0
        mine = float(np.median(times[run.warmup // 4 :]))  # the first quarter fills caches
        dummy = np.zeros((1, 1), np.float32)
        self.group.all_reduce(dummy, [0.0, mine])
        heard = [numbers[1] for numbers in self.group.notes()]
        return sum(heard) / len(heard)

    def serve(self) -> None:
        """Warm up, serve for the run's time, write everything down."""
        run, fault = self.run, self.run.fault
        self.group.meet()
        warm_ms = self.warm_up()
        self.actor.calibrate(warm_ms)
        guard = LatencyGuard(run.scheduler, run.calm_ms or warm_ms)
        batcher = Batcher(workload.make(run.seed, REQUESTS, run.model.vocab), run.users)
        self.group.all_reduce(np.zeros((1, 1), np.float32))
        self.start_ns = time.perf_counter_ns()
        if self.rank == 0:
            start = self.directory / "start.tmp"
            start.write_text(str(self.start_ns + self.epoch_ns), encoding="utf-8")
            start.rename(self.directory / "start")
        self.notes = StepNotes()
        gc.collect()
        gc.freeze()
        gc.disable()
        pending: Pending | None = None
        now_s = 0.0
        iteration = 0
        pins: list[object] = []
        was_strict = False
        while now_s < run.seconds:
            active = fault.on_s <= now_s < fault.off_s
            if self.actor.switch(now_s):
                pins = self._pins(pins)
            strict = active and fault.kind == "isolation_change"
            if strict != was_strict:
                self.recorder.mark("isolation", mode="strict" if strict else "shared")
                was_strict = strict
            surge = active and fault.kind == "load_surge"
            for sequence in batcher.fill(now_s, run.users + (run.surge_users if surge else 0)):
                if active and fault.kind == "request_drift":
                    sequence.request = workload.drift(sequence.request)
                    sequence.tokens = sequence.request.tokens
                    self.drifted.append(sequence.request.index)
            batch = batcher.next(now_s, guard.limit, strict=strict)
            for sequence in batch.admitted:
                if sequence.request.index % run.tp == self.rank:
                    at = self.epoch_ns + self.start_ns + int(now_s * 1e9)
                    self.engine.x(**records.x_fields(run.replica, sequence, at))
            rows = [(s.request.index, s.step, s.position, s.queued_s) for s in batch.members]
            self._victims = [s.request.index for s in reversed(batcher.waiting)] + [
                s.request.index for s in reversed(batcher.running)
            ]
            choices, arrivals, began = self.iterate(iteration, batch)
            table = self.group.notes()
            now_s = table[0][0]
            if pending is not None:
                heard = [StepNotes.unpack(numbers) for numbers in table]
                self._write(pending, heard)
                decision = guard.observe(sum(n.gpu_ms for n in heard) / len(heard))
                if decision is not None:
                    self.recorder.mark("schedule", n=iteration + 1, batch=decision.limit, reason=decision.reason)
            self.recorder.s(**records.rank_fields(iteration, self.epoch_ns + began, batch, self.notes))
            pending = Pending(
                iteration,
                self.epoch_ns + began,
                batch,
                rows,
                choices,
                batcher.queue_p95_ms(now_s),
                "strict" if strict else "shared",
                guard.limit,
                arrivals,
            )
            for sequence in batcher.advance(batch, [token for token, _, _ in choices]):
                self.pool.release(sequence.request.index)
            iteration += 1
        self.actor.switch(float("inf"))
        self._pins(pins)
        self.group.all_reduce(np.zeros((1, 1), np.float32), self.notes.pack(now_s))
        if pending is not None:
            self._write(pending, [StepNotes.unpack(numbers) for numbers in self.group.notes()])
        self._finish(guard.target_ms, warm_ms)

    def _pins(self, held: list[object]) -> list[object]:
        for handle in held:
            self.recorder.end(handle)
        if not self.actor.isr_mb:
            return []
        return [
            self.recorder.begin("isr_pin", mb=round(self.actor.isr_mb, 3)),
            self.recorder.begin("ckpt_pin", mb=round(self.actor.ckpt_mb, 3)),
        ]

    def _write(self, done: Pending, ranks: list[StepNotes]) -> None:
        common = records.engine_fields(done.iteration, done.start_ns, done.batch, ranks, done.queue_p95_ms, done.mode)
        for row, choice in zip(done.rows, done.choices, strict=True):
            if row[1] >= 0 and row[0] % self.run.tp == self.rank:  # the ranks share the writing
                own = records.request_fields(self.run.replica, self.run.model, self.run.tp, row, choice)
                self.engine.s(**common, **own)
        if self.rank == 0:
            self.raw.append(
                {
                    "n": done.iteration,
                    "ns": done.start_ns,
                    "limit": done.limit,
                    "members": [row[0] for row in done.rows],
                    "positions": [row[2] for row in done.rows],
                    "choices": done.choices,
                    "gpu_ms": [n.gpu_ms for n in ranks],
                    "algos": [int(n.algo_id) for n in ranks],
                    "arrivals": done.arrivals,
                }
            )

    def _finish(self, target_ms: float, warm_ms: float) -> None:
        self.engine.close()
        self.recorder.close()
        if self.rank == 0:
            start_ns = self.start_ns + self.epoch_ns
            told = {"start_ns": start_ns, "target_ms": target_ms, "warm_ms": warm_ms, "iterations": self.raw}
            told["drifted"] = self.drifted
            (self.directory / "raw.json").write_text(json.dumps(told), encoding="utf-8")


def main(directory: Path, rank: int) -> None:
    """Pin to a core and serve."""
    run = Run.read(directory / "run.json")
    if hasattr(signal, "alarm"):  # were the other ranks killed, this one would spin for ever
        signal.alarm(int(run.seconds + LEEWAY_S))
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    Rank(run, rank, directory).serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
