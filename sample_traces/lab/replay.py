"""Exact replay: a request's tokens from its plan, i.e. which tactic each rank ran at each position.

A row's result depends on the row alone, so any number of requests can be
replayed side by side, whatever batches they were in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sample_traces.lab.config import Model
from sample_traces.lab.model import Shard, Step, shard, step, top_two
from sample_traces.lab.numerics import ALIGNMENT, TACTICS, TILE, Array

Plan = Sequence[tuple[int, ...]]  # by position: each rank's algo_id


@dataclass(frozen=True)
class Job:
    """One request to replay: its prompt, and the plan of as many positions as are wanted."""

    prompt: tuple[int, ...]
    plan: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Answer:
    """What came out: token, runner-up and margin (in logits) of each step."""

    tokens: tuple[int, ...]
    seconds: tuple[int, ...]
    margins: tuple[float, ...]


class _Rows:
    """Keys and values of all jobs on one shard; shows a step the rows that it works on."""

    def __init__(self, part: Shard, jobs: int) -> None:
        shape = (jobs, part.model.context, part.width)
        self._k = [np.zeros(shape, np.float32) for _ in part.layers]
        self._v = [np.zeros(shape, np.float32) for _ in part.layers]
        self.rows = np.zeros(0, np.int64)
        self.position = 0

    def store(self, layer: int, _inputs: Array, k: Array, v: Array) -> None:
        self._k[layer][self.rows, self.position] = k
        self._v[layer][self.rows, self.position] = v

    def load(self, layer: int) -> tuple[Array, Array]:
        return self._k[layer][self.rows], self._v[layer][self.rows]


class Replayer:
    """All shards of one model in one process."""

    def __init__(self, model: Model, tp: int) -> None:
        self.model = model
        self.tp = tp
        self._parts = [shard(model, rank, tp) for rank in range(tp)]

    def run(self, jobs: Sequence[Job]) -> list[Answer]:
        """The answers of all jobs."""
        caches = [_Rows(part, len(jobs)) for part in self._parts]
        context = [list(job.prompt) for job in jobs]
        out: list[list[tuple[int, int, float]]] = [[] for _ in jobs]
        for position in range(max((len(job.plan) for job in jobs), default=0)):
            groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
            for number, job in enumerate(jobs):
                if position < len(job.plan):
                    groups[job.plan[position]].append(number)
            for algos, members in groups.items():
                for start in range(0, len(members), 64):  # rows at a time: enough to be quick, small in memory
                    self._step(caches, members[start : start + 64], position, algos, context, out, jobs)
        return [
            Answer(tuple(t for t, _, _ in rows), tuple(s for _, s, _ in rows), tuple(m for _, _, m in rows))
            for rows in out
        ]

    def _step(
        self,
        caches: list[_Rows],
        members: list[int],
        position: int,
        algos: tuple[int, ...],
        context: list[list[int]],
        out: list[list[tuple[int, int, float]]],
        jobs: Sequence[Job],
    ) -> None:
        height = -(-len(members) // ALIGNMENT) * ALIGNMENT
        assert height % TILE == 0
        tokens = [context[m][position] for m in members]
        running: list[Step] = []
        for part, cache, algo in zip(self._parts, caches, algos, strict=True):
            cache.rows, cache.position = np.asarray(members), position
            running.append(step(part, cache, tokens, [position] * len(members), TACTICS[algo], rows=height))
        logits = lockstep(running)
        for m, token, second, margin in zip(members, *top_two(logits), strict=True):
            if position >= len(jobs[m].prompt) - 1:
                out[m].append((token, second, margin))
                context[m].append(token)


def lockstep(ranks: list[Step]) -> Array:
    """Drive all ranks' steps together, adding their partial sums in the order of ranks; the logits."""
    parts = [next(rank) for rank in ranks]
    while True:
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        parts = []
        for rank in ranks:
            try:
                parts.append(rank.send(total))
            except StopIteration as stop:
                logits: Array = stop.value
        if not parts:
            return logits
