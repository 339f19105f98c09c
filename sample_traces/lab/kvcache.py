"""One rank's KV cache: a fixed pool of blocks; blocks can be lost and are then recomputed."""

from __future__ import annotations

import numpy as np

from sample_traces.lab.model import Shard
from sample_traces.lab.numerics import TACTICS, Array, bf16, product


class BlockPool:
    """Blocks of keys and values of ``model.block`` tokens; block 0 stays empty, for what isn't there yet."""

    def __init__(self, part: Shard, blocks: int | None = None) -> None:
        model = part.model
        self.model = model
        self.part = part
        self.blocks = model.pool_blocks if blocks is None else blocks
        shape = (self.blocks + 1, model.block, part.width)
        self._k = [np.zeros(shape, np.float32) for _ in range(model.layers)]
        self._v = [np.zeros(shape, np.float32) for _ in range(model.layers)]
        # what a lost block is computed from again: each layer's input, and the tactic of its time
        self._inputs = [np.zeros((self.blocks + 1, model.block, model.hidden), np.float32) for _ in range(model.layers)]
        self._algo = np.zeros((self.blocks + 1, model.block), np.int64)
        self._free = list(range(self.blocks, 0, -1))
        self._tables: dict[int, list[int]] = {}
        self._lost: set[int] = set()
        self._table = np.zeros((0, 0), np.int64)
        self._block = np.zeros(0, np.int64)
        self._offset = np.zeros(0, np.int64)
        per = model.context // model.block
        self._per = per
        self.block_mb = 2 * model.layers * model.block * part.width * 4 / 2**20  # keys and values, float32

    @property
    def used(self) -> int:
        """Blocks that sequences own, lost ones included."""
        return self.blocks - len(self._free)

    @property
    def resident(self) -> int:
        """Blocks that hold their data."""
        return self.used - len(self._lost)

    @property
    def lost(self) -> int:
        """Blocks whose data is gone."""
        return len(self._lost)

    def missing(self, sequences: list[int]) -> int:
        """Tokens of these sequences that must be recomputed before they can go on."""
        blocks = [b for s in sequences for b in self._tables.get(s, []) if b in self._lost]
        return len(blocks) * self.model.block

    def release(self, sequence: int) -> None:
        """Give a sequence's blocks back."""
        for block in self._tables.pop(sequence, []):
            self._lost.discard(block)
            self._free.append(block)

    def begin(self, sequences: list[int], positions: list[int], algo_id: int) -> int:
        """Get ready for one token of each of the sequences; how many tokens had to be recomputed for it."""
        size = self.model.block
        for sequence, position in zip(sequences, positions, strict=True):
            table = self._tables.setdefault(sequence, [])
            if position // size >= len(table):
                if not self._free:
                    raise MemoryError("the KV pool is too small for this many users")
                table.append(self._free.pop())
        tokens = self._restore(sequences)
        self._table = np.zeros((len(sequences), self._per), np.int64)
        for row, sequence in enumerate(sequences):
            table = self._tables[sequence]
            self._table[row, : len(table)] = table
        where = np.asarray(positions)
        self._block = self._table[np.arange(len(sequences)), where // size]
        self._offset = where % size
        self._algo[self._block, self._offset] = algo_id
        return tokens

    def store(self, layer: int, rows: Array, k: Array, v: Array) -> None:
        """Keep the batch's new keys and values, and what they came from."""
        self._k[layer][self._block, self._offset] = k
        self._v[layer][self._block, self._offset] = v
        self._inputs[layer][self._block, self._offset] = rows

    def load(self, layer: int) -> tuple[Array, Array]:
        """Keys and values of the batch's sequences, gathered from their blocks."""
        shape = (len(self._table), self.model.context, -1)
        return self._k[layer][self._table].reshape(shape), self._v[layer][self._table].reshape(shape)

    def evict(self, keep: int, order: list[int]) -> int:
        """Lose blocks until ``keep`` are left, those of the sequences named first in ``order``; how many."""
        excess = self.resident - keep
        lost = 0
        for sequence in order:
            for block in reversed(self._tables.get(sequence, [])[:-1]):  # the last is being written
                if lost >= excess:
                    return lost
                if block not in self._lost:
                    self._lost.add(block)
                    for layer in range(self.model.layers):
                        self._k[layer][block] = 0
                        self._v[layer][block] = 0
                    lost += 1
        return lost

    def _restore(self, sequences: list[int]) -> int:
        """Recompute the lost blocks of these sequences, each token by the tactic that computed it first."""
        if not self._lost:
            return 0
        missing = [b for s in sequences for b in self._tables[s] if b in self._lost]
        for block in missing:
            self._lost.discard(block)
            for layer, weights in enumerate(self.part.layers):
                self._recompute(block, layer, weights.qkv)
        return len(missing) * self.model.block

    def _recompute(self, block: int, layer: int, qkv: Array) -> None:
        width = self.part.width
        for algo_id in np.unique(self._algo[block]):
            if algo_id == 0:  # not written yet
                continue
            rows = self._algo[block] == algo_id
            made = bf16(product(self._inputs[layer][block], qkv, TACTICS[int(algo_id)]))
            self._k[layer][block, rows] = made[rows, width : 2 * width]
            self._v[layer][block, rows] = made[rows, 2 * width :]
