"""Rounding and tactics: the ground on which a flip is the tactic's doing."""

import numpy as np
import pytest

from sample_traces.lab.numerics import FALLBACK, PLANNED, SPLIT_128, bf16, bucket, choose
from tests.lab import pinned


def nearest_bf16(value):
    """Exact reference: of the two bfloat16 neighbours the nearer, of two equally near the even one."""
    low_bits = np.float32(value).view(np.uint32) & np.uint32(0xFFFF0000)
    low, high = (np.uint32(b).view(np.float32) for b in (low_bits, low_bits + np.uint32(0x10000)))
    below, above = abs(float(value) - float(low)), abs(float(high) - float(value))
    if below == above:
        return low if not (int(low_bits) >> 16) & 1 else high
    return low if below < above else high


def test_bf16_is_nearest_even():
    """Rounding agrees with an exact reference, ties included."""
    random = np.random.default_rng(0)
    values = (random.standard_normal(2000) * 10.0 ** random.integers(-20, 20, 2000)).astype(np.float32)
    ties = (random.integers(0x3F80, 0x4080, 500).astype(np.uint32) << 16 | 0x8000).view(np.float32)
    values = np.concatenate([values, ties, -ties, np.zeros(1, np.float32)])
    assert np.array_equal(bf16(values), np.array([nearest_bf16(v) for v in values], np.float32))


@pytest.mark.parametrize(("batch", "rows"), [(1, 16), (16, 16), (17, 32), (32, 32), (33, 48), (48, 48)])
def test_bucket(batch, rows):
    """A shape class is the batch padded to 16 rows."""
    assert bucket(batch) == rows


def test_fallback_without_workspace():
    """The planned tactic runs where its workspace is free, else the one that needs none."""
    assert choose(26, 1.0, 0.5) == (SPLIT_128, SPLIT_128)
    assert choose(26, 0.4, 0.5) == (FALLBACK, PLANNED[32])
    assert FALLBACK.workspace_mb(48, 1024, 1024) == 0


ROW_ALONE = """
import json, numpy as np
from sample_traces.lab.numerics import TACTICS, bf16, product
random = np.random.default_rng(0)
told = {}
made = {}
for inner, outer in ((512, 768), (256, 512), (1024, 512), (128, 1024)):
    x = bf16(random.standard_normal((48, inner)).astype(np.float32))
    w = bf16(random.standard_normal((inner, outer)).astype(np.float32))
    for algo, tactic in TACTICS.items():
        whole = product(x, w, tactic)
        same = np.allclose(whole, x.astype(np.float64) @ w, atol=1e-3)
        for rows in (16, 32, 48):
            order = random.permutation(48)[:rows]
            same = same and np.array_equal(product(np.ascontiguousarray(x[order]), w, tactic), whole[order])
        made[algo] = whole
        told[f"{inner} {outer} {algo}"] = bool(same)
    if inner >= 512:
        distinct = {a.tobytes() for a in made.values()}
        told[f"{inner} distinct"] = len(distinct) >= 4
print(json.dumps(told))
"""


def test_tactics_are_functions_of_the_row():
    """A row's bits don't depend on its place, its neighbours or the batch; the four tactics give four results."""
    told = pinned.run(ROW_ALONE)
    assert [name for name, holds in told.items() if not holds] == []
    assert len(told) == 18
