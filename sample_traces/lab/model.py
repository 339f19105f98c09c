"""The decoder: one rank's shard of the weights, and one step of a batch through it.

A step is a generator: it yields this rank's partial sums wherever the ranks
must add theirs up, and is sent the sum. So the server, with processes and
shared memory, and the replay, with all shards in one process, run the very
same arithmetic.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sample_traces.lab.config import Model
from sample_traces.lab.numerics import Array, Tactic, bf16, bucket, product

COLLECTIVES_A_LAYER = 2
EPSILON = np.float32(1e-5)  # keeps the norm of an all-zero row finite
HIDDEN_GAIN = 1.5  # attention scores wide enough that the context matters to the next token

Step = Generator[Array, Array, Array]


@dataclass(frozen=True)
class Layer:
    """One layer's weights of one rank."""

    qkv: Array
    out: Array
    up: Array
    down: Array


@dataclass(frozen=True)
class Shard:
    """What one rank holds; embeddings are the same on all."""

    model: Model
    rank: int
    tp: int
    embedding: Array
    position: Array
    layers: tuple[Layer, ...]
    head: Array

    @property
    def heads(self) -> int:
        """Attention heads on this rank."""
        return self.model.heads // self.tp

    @property
    def width(self) -> int:
        """Elements of this rank's heads together."""
        return self.heads * self.model.head_dim


class Cache(Protocol):
    """Where a step leaves and finds keys and values."""

    def store(self, layer: int, inputs: Array, k: Array, v: Array, /) -> None:
        """Keep the batch's new keys and values; ``inputs`` are what they were computed from."""

    def load(self, layer: int) -> tuple[Array, Array]:
        """All keys and values of the batch's sequences, (batch, context, width), any finite value beyond the end."""


def shard(model: Model, rank: int, tp: int) -> Shard:
    """This rank's part of the one set of weights that the model's seed makes."""
    if model.heads % tp or model.inner % tp or model.hidden % tp:
        raise ValueError(f"{tp} ranks cannot share {model.heads} heads evenly")
    random = np.random.default_rng([model.seed, 0])

    def weights(inner: int, outer: int, gain: float = 1.0) -> Array:
        return bf16((random.standard_normal((inner, outer)) * (gain / np.sqrt(inner))).astype(np.float32))

    d, f = model.hidden, model.inner
    embedding = bf16(random.standard_normal((model.vocab, d)).astype(np.float32))
    position = bf16((0.5 * random.standard_normal((model.context, d))).astype(np.float32))
    mine = slice(rank * d // tp, (rank + 1) * d // tp)
    mine_inner = slice(rank * f // tp, (rank + 1) * f // tp)
    layers = []
    for _ in range(model.layers):
        q, k, v = weights(d, d, HIDDEN_GAIN), weights(d, d, HIDDEN_GAIN), weights(d, d)
        out, up, down = weights(d, d), weights(d, f), weights(f, d)
        layers.append(
            Layer(
                qkv=np.ascontiguousarray(np.concatenate([q[:, mine], k[:, mine], v[:, mine]], axis=1)),
                out=np.ascontiguousarray(out[mine]),
                up=np.ascontiguousarray(up[:, mine_inner]),
                down=np.ascontiguousarray(down[mine_inner]),
            )
        )
    head = np.ascontiguousarray(weights(d, model.vocab)[mine])
    return Shard(model, rank, tp, embedding, position, tuple(layers), head)


def norm(x: Array) -> Array:
    """Each row at unit root mean square."""
    scale: Array = np.float32(1) / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + EPSILON)
    return bf16(x * scale)


def silu(x: Array) -> Array:
    """The activation x·sigmoid(x)."""
    gate: Array = np.float32(1) / (np.float32(1) + np.exp(-x))
    return bf16(x * gate)


def pad(x: Array, rows: int) -> Array:
    """``x`` with rows of zeros up to ``rows``."""
    padded = np.zeros((rows, x.shape[1]), np.float32)
    padded[: len(x)] = x
    return padded


def attend(part: Shard, q: Array, k: Array, v: Array, positions: NDArray[np.int64]) -> Array:
    """Attention of one query a sequence over its own past; every sequence by itself, always over the full context."""
    batch, heads, size = len(q), part.heads, part.model.head_dim
    keys = k.reshape(batch, -1, heads, size).transpose(0, 2, 1, 3)
    values = v.reshape(batch, -1, heads, size).transpose(0, 2, 1, 3)
    scores = np.matmul(keys, q.reshape(batch, heads, size, 1))[..., 0] * np.float32(1 / np.sqrt(size))
    ahead = np.arange(keys.shape[2])[None, :] > positions[:, None]
    scores = np.where(ahead[:, None, :], np.float32(-np.inf), scores)
    weight = np.exp(scores - scores.max(axis=2, keepdims=True))
    weight = bf16(weight / weight.sum(axis=2, keepdims=True))
    mixed = np.matmul(weight[:, :, None, :], values)
    return bf16(np.ascontiguousarray(mixed.reshape(batch, heads * size)))


def step(
    part: Shard,
    cache: Cache,
    tokens: Sequence[int],
    positions: Sequence[int],
    tactic: Tactic,
    *,
    rows: int | None = None,
    workspace: Array | None = None,
) -> Step:
    """One token of every sequence of a batch; ends with the logits of each.

    Yields ``COLLECTIVES_A_LAYER`` partial sums a layer and one for the logits.
    ``rows``: what the batch is padded to (its shape class unless given).
    """
    batch = len(tokens)
    height = bucket(batch) if rows is None else rows
    where = np.asarray(positions, np.int64)

    def multiply(x: Array, w: Array) -> Array:
        return bf16(product(x, w, tactic, workspace))

    x = pad(bf16(part.embedding[np.asarray(tokens)] + part.position[where]), height)
    width = part.width
    for number, layer in enumerate(part.layers):
        h = norm(x)
        qkv = multiply(h, layer.qkv)[:batch]
        cache.store(number, h[:batch], qkv[:, width : 2 * width], qkv[:, 2 * width :])
        keys, values = cache.load(number)
        mixed = attend(part, qkv[:, :width], keys, values, where)
        x = bf16(x + bf16((yield multiply(pad(mixed, height), layer.out))))
        inner = silu(multiply(norm(x), layer.up))
        x = bf16(x + bf16((yield multiply(inner, layer.down))))
    h = norm(x)
    mine = slice(part.rank * h.shape[1] // part.tp, (part.rank + 1) * h.shape[1] // part.tp)
    logits = bf16((yield multiply(np.ascontiguousarray(h[:, mine]), part.head)))
    return logits[:batch]


def collectives(model: Model) -> int:
    """All-reduces a step."""
    return model.layers * COLLECTIVES_A_LAYER + 1


def top_two(logits: Array) -> tuple[list[int], list[int], list[float]]:
    """Each row's best token (the lowest of equals), the runner-up, and by how much it lost."""
    best = logits.argmax(axis=1)
    at = np.arange(len(logits))
    rest = logits.copy()
    rest[at, best] = -np.inf
    second = rest.argmax(axis=1)
    return best.tolist(), second.tolist(), (logits[at, best] - logits[at, second]).tolist()
