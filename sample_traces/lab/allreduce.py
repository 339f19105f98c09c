"""The all-reduce: ranks are processes that share memory and spin.

Two buffers in turn: a rank writes buffer ``seq % 2`` again only once it has
left collective ``seq + 1``, hence after every rank has left ``seq``. Spinning,
not sleeping: with a rank a core, all leave within microseconds of the last
arrival, and a core that is taken away shows as late arriving, as it should.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import numpy as np

from sample_traces.lab.numerics import Array

LINE = 8  # int64 a cache line of 64 bytes: each rank's flag has its own
NOTES = 32  # numbers a rank can attach to a collective
POLL_S = 0.002  # seconds between looks while the others are still starting


class Group:
    """One rank's end of the shared memory; float32 matrices up to ``rows`` x ``columns``."""

    def __init__(self, path: Path, rank: int, size: int, rows: int, columns: int) -> None:
        self.rank = rank
        self.size = size
        self.seq = 0
        self._crowded = size > (os.cpu_count() or 1)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.bytes(size, rows, columns))
        flags = size * LINE * 8
        self._flags = memoryview(self._map)[:flags].cast("q")
        at = flags
        self._arrivals = np.frombuffer(self._map, np.int64, 2 * size, at).reshape(2, size)
        at += 2 * size * 8
        self._notes = np.frombuffer(self._map, np.float64, 2 * size * NOTES, at).reshape(2, size, NOTES)
        at += 2 * size * NOTES * 8
        self._data = np.frombuffer(self._map, np.float32, 2 * size * rows * columns, at).reshape(2, size, -1)

    @staticmethod
    def bytes(size: int, rows: int, columns: int) -> int:
        """Bytes of shared memory that a group needs."""
        return size * LINE * 8 + 2 * size * 8 + 2 * size * NOTES * 8 + 2 * size * rows * columns * 4

    @staticmethod
    def create(path: Path, size: int, rows: int, columns: int) -> None:
        """Make the file, zeroed; once, before the ranks start."""
        with path.open("wb") as file:
            file.truncate(Group.bytes(size, rows, columns))

    def meet(self, timeout_s: float = 60.0) -> None:
        """Wait, without a core, until all ranks are here; seconds."""
        self.seq += 1
        self._flags[self.rank * LINE] = self.seq
        deadline = time.monotonic() + timeout_s
        while any(self._flags[r * LINE] < self.seq for r in range(self.size)):
            if time.monotonic() > deadline:
                raise TimeoutError("not all ranks started")
            time.sleep(POLL_S)

    def all_reduce(self, part: Array, notes: list[float] | None = None) -> tuple[Array, list[int]]:
        """The sum over ranks in the order of their numbers, and each rank's arrival (``perf_counter_ns``)."""
        slot = self.seq & 1
        self.seq += 1
        self._arrivals[slot, self.rank] = time.perf_counter_ns()
        flat = self._data[slot]
        flat[self.rank, : part.size] = part.ravel()
        if notes is not None:
            self._notes[slot, self.rank, : len(notes)] = notes
        self._spin()
        total = flat[0, : part.size].copy()
        for rank in range(1, self.size):
            total += flat[rank, : part.size]
        return total.reshape(part.shape), self._arrivals[slot].tolist()

    def notes(self) -> list[list[float]]:
        """What each rank attached to the collective just left; read before the next but one."""
        table: list[list[float]] = self._notes[(self.seq - 1) & 1].tolist()
        return table

    def _spin(self) -> None:
        flags = self._flags
        seq = self.seq
        flags[self.rank * LINE] = seq
        for rank in range(self.size):
            at = rank * LINE
            if self._crowded:
                while flags[at] < seq:
                    os.sched_yield()
            else:
                while flags[at] < seq:
                    pass
