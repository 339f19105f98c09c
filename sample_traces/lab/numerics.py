"""bfloat16 rounding, and the tactics: products of matrices that sum in different orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TILE = 8  # rows a product takes at once: a multiple of all register tiles of the library, so that
# each row's bits are its own; with other heights they depend on the row's place in the batch


def bf16(x: Array) -> Array:
    """``x`` rounded to bfloat16 (to nearest, ties to even), kept as float32; finite values only."""
    bits = x.view(np.uint32)
    rounded = (bits + (((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF))) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


@dataclass(frozen=True)
class Tactic:
    """One way to multiply: ``split`` columns of the inner dimension at a time, sums added in order."""

    algo_id: int
    split: int  # inner columns a slice; 0: all at once
    name: str

    def workspace_mb(self, rows: int, inner: int, outer: int) -> float:
        """MiB that the slices' partial products need; none where nothing is split."""
        if not self.split or self.split >= inner:
            return 0.0
        return -(-inner // self.split) * rows * outer * 4 / 2**20  # 4: bytes of a float32


WHOLE = Tactic(17, 0, "gemm_t8_whole")
SPLIT_64 = Tactic(42, 64, "gemm_t8_splitk64")
SPLIT_96 = Tactic(51, 96, "gemm_t8_splitk96")
SPLIT_128 = Tactic(43, 128, "gemm_t8_splitk128")
TACTICS = {tactic.algo_id: tactic for tactic in (WHOLE, SPLIT_64, SPLIT_96, SPLIT_128)}
PLANNED = {16: SPLIT_64, 32: SPLIT_128, 48: SPLIT_96}  # by shape class: the padded batch
FALLBACK = WHOLE  # the only one that needs no workspace
ALIGNMENT = 16  # rows: a shape class is the batch padded to this


def bucket(batch: int) -> int:
    """The shape class of a batch: its size padded to 16 rows, 48 at most."""
    padded = -(-max(batch, 1) // ALIGNMENT) * ALIGNMENT
    if padded > max(PLANNED):
        raise ValueError(f"a batch of {batch} exceeds the largest shape class, {max(PLANNED)}")
    return padded


def choose(batch: int, workspace_free_mb: float, needed_mb: float) -> tuple[Tactic, Tactic]:
    """The tactic that runs and the one planned: the shape class decides, free workspace permits."""
    planned = PLANNED[bucket(batch)]
    return (planned if workspace_free_mb >= needed_mb else FALLBACK), planned


def product(x: Array, w: Array, tactic: Tactic, workspace: Array | None = None) -> Array:
    """``x @ w`` by a tactic; rows must be a multiple of 8. Each row's result depends on that row alone."""
    rows, inner = x.shape
    tiles = x.reshape(rows // TILE, TILE, inner)
    outer = w.shape[1]
    step = tactic.split or inner
    if step >= inner:
        whole: Array = np.matmul(tiles, w)
        return whole.reshape(rows, outer)
    count = -(-inner // step)
    if workspace is None:
        workspace = np.empty(count * rows * outer, np.float32)
    partial = workspace[: count * rows * outer].reshape(count, rows // TILE, TILE, outer)
    for i in range(count):
        np.matmul(tiles[:, :, i * step : (i + 1) * step], w[i * step : (i + 1) * step], out=partial[i])
    total = partial[0]
    for i in range(1, count):
        total = total + partial[i]
    result: Array = total.reshape(rows, outer)
    return result
