"""KV residency at one shape: metrics that drive the step's time, metrics that only differ between shapes, and none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.queries.test_every_query import store_with

FINDING = findings()["kv_residency"]
N = 120
BATCH = np.repeat([8, 16, 24], N // 3)


def ask(
    hit: NDArray[np.float64],
    stalled: NDArray[np.float64],
    step_ms: NDArray[np.float64],
    rank: int = 0,
    kv: NDArray[np.int64] | None = None,
) -> list[dict[str, Any]]:
    """The finding on one rank whose iterations have these metrics (%, share, ms), a sample each, and KV lengths."""
    starts = np.concatenate([[0], np.cumsum(np.round(step_ms * 1e6).astype(int))])
    records = [
        {
            "line": i, "replica": "a", "rank": rank, "iteration": i, "ts_ns": int(starts[i]),
            "gpu_ms": float(step_ms[i]), "comm_ms": 0.0, "sync_ms": 0.0, "batch_size": int(BATCH[i]),
        }
        for i in range(N)
    ]  # fmt: skip
    if kv is not None:
        records += [
            {**r, "line": N + i, "rank": None, "req_id": "r", "step": i, "shape": f"q=1,k={kv[i]}"}
            for i, r in enumerate(records)
        ]
    metrics = [
        {
            "source_id": 1,
            "metric": m,
            "kind": kind,
            "reason": reason,
            "t_ns": int(starts[i]) + 1000,
            "value": float(value),
        }
        for i in range(N)
        for m, kind, reason, value in (
            ("l2", "l2_hit_rate", None, hit[i]),
            ("s long", "stall", "long_scoreboard", stalled[i]),
            ("s barrier", "stall", "barrier", 1 - stalled[i]),
        )
    ]
    given = {
        "sources": [{"source_id": 1, "path": "n", "replica": "a", "rank": rank}],
        "clocks": [{"source_id": 1, "origin_ns": 0, "offset_ns": 0}],
        "s_records": records,
        "gpu_metrics": metrics,
    }
    return FINDING.run(Catalogue(store_with(given))).to_dicts()


@pytest.mark.parametrize("rank", [0, 3])
def test_misses_that_make_steps_longer(rank: int) -> None:
    """Within each batch size, a lower hit rate stalls warps and lengthens the step, exactly in order: -1, -1 and 1."""
    lost = np.random.default_rng(2).uniform(0, 1, N)
    step = BATCH / 2 + lost
    rows = ask(90 - 40 * lost, 0.2 + 0.5 * lost, step, rank)
    assert [r["rho"] for r in rows] == pytest.approx([-1, -1, 1])
    assert [(r["rank"], r["iterations"], r["shapes"]) for r in rows] == [(rank, N, 3)] * 3
    # of 120 turns the one that moves nothing, times three pairs looked at
    assert [r["p_value"] for r in rows] == pytest.approx([3 / N] * 3)
    assert (rows[0]["explained"], rows[1]["explained"]) == (None, pytest.approx(1))
    apart = np.concatenate([part - np.median(part) for part in np.split(step, 3)])
    assert rows[1]["spread_ms"] == pytest.approx(np.median(np.abs(apart - np.median(apart))), abs=1e-5)


def test_a_batch_without_any_cache_is_a_shape_of_its_own() -> None:
    """Dummy batches read no cache (k=0): they are told apart from those of one token and of no known length."""
    rng = np.random.default_rng(4)
    kv = np.arange(N) % 3  # 0, 1 and 2 tokens, in three batch sizes each
    rows = ask(rng.uniform(50, 90, N), rng.uniform(0.2, 0.7, N), BATCH / 2 + rng.uniform(0, 1, N), kv=kv)
    assert [(r["iterations"], r["shapes"]) for r in rows] == [(N, 9)] * 3


def test_shapes_that_stood_once_say_nothing_of_the_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 iterations at one batch, 90 at one of their own each: the spread is that of the 30, not of 90 zeros."""
    rng = np.random.default_rng(3)
    hit, stalled = rng.normal(80, 3, N), rng.uniform(0.2, 0.3, N)
    step_ms = np.round(10 - 0.1 * (hit - 80), 3)
    monkeypatch.setitem(globals(), "BATCH", np.array([8] * 30 + list(range(100, 190))))
    (row,) = (r for r in ask(hit, stalled, step_ms) if r["pair"] == "L2 hit rate, step time")
    own = step_ms[:30]
    spread = float(np.median(np.abs(own - np.median(own))))
    assert (row["iterations"], row["shapes"]) == (30, 1)
    assert (row["spread_ms"], row["spread_pct"]) == pytest.approx((spread, 100 * spread / np.median(own)))


def test_shapes_that_differ_are_no_residency() -> None:
    """Larger batches hit less and take longer, and inside a batch size nothing goes together: nothing is explained."""
    rng = np.random.default_rng(3)
    rows = ask(
        90 - BATCH + rng.normal(0, 1, N), 0.2 + BATCH / 50 + rng.normal(0, 0.01, N), BATCH / 2 + rng.uniform(0, 1, N)
    )
    assert all(r["low"] < 0 < r["high"] and r["p_value"] > 0.05 for r in rows)
    assert rows[1]["explained_low"] == rows[2]["explained_low"] == 0.0


def test_recordings_without_gpu_metrics(shipped: dict[str, Incident]) -> None:
    """The shipped recordings are of CPUs: nothing is said, and what would say it is named."""
    from postmortem.findings import absent

    for incident in shipped.values():
        assert incident.query("kv_residency").is_empty()
        assert any("--gpu-metrics" in line for line in absent(incident.catalogue, "kv_residency"))
