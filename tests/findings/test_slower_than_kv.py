"""Steps against the bytes of their KV cache: growth alone, a slowdown on top of it, and facts that are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import absent, findings
from tests.queries.test_every_query import store_with

FINDING = findings()["slower_than_kv"]
# A token takes 2 * 1 * 1 * 8 * 2 = 32 bytes; at 0.032 GB/s, 1000 tokens take 1 ms.
FACTS = {"layers": "1", "kv_heads": "1", "head_dim": "8", "kv_bytes": "2", "tp": "1", "hbm_gbps": "0.032"}


ANEW = 200 + 40 * (np.arange(300) % 50)
GROWTH = {
    "a ramp": np.linspace(200, 2200, 300).astype(int),
    "a short ramp": np.linspace(200, 2200, 60).astype(int),
    "a ramp, then a plateau": np.minimum(np.linspace(200, 3000, 300).astype(int), 1500),
    "a step": np.where(np.arange(300) < 150, 1000, 2000) + np.arange(300) % 7 * 15,
}


def ask(extra: dict[int, float], seed: int = 4, scale: float = 1.0, tokens: np.ndarray = ANEW) -> dict[str, Any]:
    """Steps of one sequence that starts anew every 50, or has ``tokens``: 5 ms, three floors, and ``extra`` ms."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "line": i, "replica": "a", "req_id": "p", "step": i, "iteration": i, "batch_size": 1, "shape": f"q=1,k={k}",
            "gpu_ms": scale * float(5 + 3 * k / 1000 + rng.normal(0, 0.1) + extra.get(i, 0.0)),
        }
        for i, k in enumerate(tokens.tolist())
    ]  # fmt: skip
    bundle = [{"key": f"deployment.{k}", "value": v} for k, v in FACTS.items()]
    (row,) = FINDING.run(Catalogue(store_with({"s_records": rows, "bundle": bundle}))).to_dicts()
    return row


def test_growth_alone_is_explained() -> None:
    """A cache that grows tenfold lengthens steps by 6 ms, and nothing is slower than its bytes."""
    row = ask({})
    assert row["rho_low"] > 0.9
    assert row["first_iteration"] is None
    assert (row["floor_ms"], row["memory_bound"]) == (pytest.approx(1.18), 0.0)


def test_a_slowdown_on_top_of_growth() -> None:
    """2 ms more from step 240 on are found there, in their size."""
    row = ask(dict.fromkeys(range(240, 300), 2.0))
    assert abs(row["first_iteration"] - 240) <= 5
    assert row["beyond_low"] < 2.0 < row["beyond_high"]
    assert row["p_value"] < 0.05


@pytest.mark.parametrize("growth", GROWTH)
def test_growth_beyond_every_earlier_length(growth: str) -> None:
    """What lengths cost that never ran before is not told: nothing is compared, and no growth is called a slowdown."""
    row = ask({}, tokens=GROWTH[growth])
    assert (row["first_iteration"], row["p_value"], row["compared"]) == (None, None, 0)


def test_a_slowdown_at_lengths_that_ran_before() -> None:
    """5 ms more while lengths go on growing: found at the lengths that ran before, in its size."""
    tokens = np.where(np.arange(300) % 2, ANEW, np.linspace(200, 2600, 300).astype(int))
    row = ask(dict.fromkeys(range(200, 300), 5.0), tokens=tokens)
    assert abs(row["first_iteration"] - 200) <= 5
    assert row["beyond_ms"] == pytest.approx(5, abs=0.1)
    assert 200 < row["compared"] < 300


def test_a_slowdown_after_few_calm_steps() -> None:
    """Of 40 calm steps the slope is learnt in few bins, and still taken off: 5 ms more are 5 ms."""
    row = ask(dict.fromkeys(range(40, 120), 5.0), tokens=200 + 100 * (np.arange(120) % 20))
    assert row["first_iteration"] == 40
    assert row["beyond_ms"] == pytest.approx(5, abs=0.1)


def test_memory_bound() -> None:
    """At a quarter of the time, the floor of long caches is over 60 % of the step: 1.2 + 0.7 floors of up to 2 ms."""
    row = ask({}, scale=0.25)
    assert row["memory_bound"] == pytest.approx(np.mean(0.6 * (1.25 + 0.75 * np.arange(200, 2200, 40) / 1000)
                                                        <= np.arange(200, 2200, 40) / 1000), abs=0.03)  # fmt: skip


def test_facts_that_are_not_known(shipped: dict[str, Incident]) -> None:
    """The lab's bundles tell no memory bandwidth: nothing is said, and that fact alone is asked for."""
    for incident in shipped.values():
        assert incident.query("slower_than_kv").is_empty()
        assert [line.split()[0] for line in absent(incident.catalogue, "slower_than_kv")] == ["hbm_gbps"]


@pytest.mark.slow
def test_noise_is_seldom_a_slowdown() -> None:
    """500 seeded runs in which steps only grow with their bytes: a rise at 0.05 in no more than one of twenty."""
    from postmortem.analyses.stats.level import ALPHA
    from postmortem.analyses.stretch import stretch
    from postmortem.findings.slower_than_kv import _beyond_bytes

    found = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        floor = (200 + 40 * (np.arange(150) % 50)) / 1000
        rise = stretch(_beyond_bytes(5 + 3 * floor + rng.normal(0, 0.3, 150), floor)[0])
        found += rise is not None and rise.change.p_value <= ALPHA
    assert found <= 500 * 0.05 + 4 * np.sqrt(500 * 0.05 * 0.95)
    assert found > 0


@pytest.mark.slow
@pytest.mark.parametrize("growth", GROWTH)
def test_growth_is_seldom_a_slowdown(growth: str) -> None:
    """100 seeded runs of each growth: no more than one of twenty is called slower than its bytes."""
    from postmortem.findings.slower_than_kv import _row

    found, floor = 0, GROWTH[growth] / 1000
    for seed in range(3000, 3100):
        measured = 5 + floor + np.random.default_rng(seed).normal(0, 0.3, floor.size)
        numbers = np.arange(floor.size)
        steps = pl.DataFrame({"iteration": numbers, "floor_ms": floor, "measured_ms": measured, "memory_bound": False})
        found += _row("a", steps)["first_iteration"] is not None
    assert found <= 5
