"""The faults, as real work and real loss on one rank (or in the scheduler).

Each is told when it is on; what follows from it is measured, not scripted.
"""

from __future__ import annotations

import time

import numpy as np

from sample_traces.lab.config import Fault
from sample_traces.lab.kvcache import BlockPool
from sample_traces.lab.model import collectives
from sample_traces.lab.numerics import Array

KINDS = (
    "none",
    "quant_stall",
    "kv_eviction",
    "memory_evaporation",
    "workspace_fallback",
    "slow_rank",
    "load_surge",
    "isolation_change",
    "request_drift",
)
ON_A_RANK = ("quant_stall", "kv_eviction", "memory_evaporation", "workspace_fallback", "slow_rank")
PIECE = (128, 128)  # elements a dequantise/requantise cycle: some tens of microseconds, fine enough to set a time
EVICTED_SHARE = 0.25  # of the running batch's blocks at full intensity: each costs a product a layer


class Dequantiser:
    """Dequantise and requantise a piece of int8 weights: the work of a rank whose weights got compressed."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([seed, 2])
        self._codes = random.integers(-127, 128, PIECE, dtype=np.int8)
        self._scale = random.uniform(0.5, 2.0, (PIECE[0], 1)).astype(np.float32)
        self.cycle_ms = 0.0

    def run(self, cycles: int) -> None:
        """``cycles`` times there and back; the codes come out as they went in."""
        for _ in range(cycles):
            weights: Array = self._codes.astype(np.float32) * self._scale
            codes = np.rint(weights / self._scale)
            self._codes = codes.astype(np.int8)

    def measure(self) -> None:
        """Find out what a cycle takes, in ms: the median of 30 tries of 10."""
        tries = []
        for _ in range(30):
            start = time.perf_counter_ns()
            self.run(10)
            tries.append((time.perf_counter_ns() - start) / 10 / 1e6)
        self.cycle_ms = float(np.median(tries))


class Actor:
    """What the fault does on this rank."""

    def __init__(self, fault: Fault, rank: int, pool: BlockPool, seed: int) -> None:
        self.fault = fault
        self.mine = fault.kind in ON_A_RANK and fault.rank == rank
        self.on = False
        self.workspace_taken_mb = 0.0
        self.isr_mb = 0.0
        self.ckpt_mb = 0.0
        self._pool = pool
        self._dequantiser = Dequantiser(seed)
        self._cycles = 0
        self.keep: int | None = None
        self._copies: list[Array] = []

    def calibrate(self, calm_ms: float) -> None:
        """Before the run: how many cycles make ``intensity`` of a calm iteration."""
        if self.fault.kind == "quant_stall":
            self._dequantiser.measure()
            stalls = collectives(self._pool.model) - 1  # one ahead of each collective of the layers
            self._cycles = round(self.fault.intensity * calm_ms / stalls / self._dequantiser.cycle_ms)

    def switch(self, now_s: float) -> bool:
        """Follow the clock; whether the fault went on or off just now."""
        on = self.mine and self.fault.on_s <= now_s < self.fault.off_s
        changed = on != self.on
        self.on = on
        if changed and on:
            self._start()
        elif changed:
            self._stop()
        return changed

    def stall(self) -> int:
        """Ahead of a collective: the stall's work; cycles done."""
        if not self.on or self.fault.kind != "quant_stall":
            return 0
        self._dequantiser.run(self._cycles)
        return self._cycles

    @property
    def stalls(self) -> bool:
        """Whether there is work ahead of each collective now."""
        return self.on and self.fault.kind == "quant_stall"

    def squeeze(self, order: list[int]) -> int:
        """After a step: blocks lost because the pool is too small now; first those of ``order``'s head."""
        if self.keep is None:
            return 0
        return self._pool.evict(self.keep, order)

    def copy_pins(self) -> None:
        """What replication and the checkpointer do in each step: copy what they hold."""
        for source in self._copies:
            source[: len(source) // 2] = source[len(source) // 2 :]

    def _start(self) -> None:
        pool = self._pool
        if self.fault.kind == "workspace_fallback":
            self.workspace_taken_mb = pool.model.workspace_mb
        elif self.fault.kind in ("kv_eviction", "memory_evaporation"):
            deficit = max(1, round(EVICTED_SHARE * self.fault.intensity * pool.used))
            self.keep = pool.used - deficit
            if self.fault.kind == "memory_evaporation":
                pinned = (pool.blocks - self.keep) * pool.block_mb
                self.isr_mb, self.ckpt_mb = pinned * 0.5, pinned * 0.5
                half = int(pinned * 0.5 * 2**20 / 4)  # float32 elements
                self._copies = [np.ones(half, np.float32), np.ones(half, np.float32)]

    def _stop(self) -> None:
        self.workspace_taken_mb = self.isr_mb = self.ckpt_mb = 0.0
        self.keep = None
        self._copies = []
