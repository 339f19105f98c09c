"""What overlapping pins cost: paper and pencil, ranks renamed, and the lab's own evaporation."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.queries.test_every_query import store_with

FINDING = findings()["pin_overlap_cost"]
INCIDENTS = Path(__file__).parents[2] / "sample_traces" / "incidents"


def rows(held_rank: int) -> list[dict[str, Any]]:
    """Two ranks, 30 iterations; one's pins overlap in 10 to 17, where it recomputes 6 tokens and takes 2 ms longer."""
    return [
        {
            "line": 2 * i + r, "replica": "a", "rank": r, "iteration": i, "ts_ns": 1000 * i, "gpu_ms": 10.0 + 2 * held,
            "comm_ms": 1.0, "vram_free_mb": 500.0, "kv_pool_total_mb": 1000.0, "isr_pinned_mb": 200.0 * held,
            "ckpt_pinned_mb": 280.0 * held, "recompute_tokens": 6 * held,
        }
        for i in range(30)
        for r in (0, 1)
        for held in [int(r == held_rank and 10 <= i < 18)]
    ]  # fmt: skip


@pytest.mark.parametrize("rank", [0, 1])
def test_by_hand(rank: int) -> None:
    """The rank that held both: 2 % of the pool left for 50 %, 6 tokens, 2 ms; of the other rank nothing is said."""
    found = FINDING.run(Catalogue(store_with({"s_records": rows(rank)}))).to_dicts()
    assert [(r["rank"], r["measure"].split()[0], r["difference"]) for r in found] == [
        (rank, "free", -48.0), (rank, "recomputed", 6.0), (rank, "step", 2.0)
    ]  # fmt: skip
    assert all((r["iterations"], r["iterations_otherwise"]) == (8, 22) for r in found)
    assert all(r["low"] <= r["difference"] <= r["high"] for r in found)


def test_a_hole_in_a_record_costs_nothing() -> None:
    """Where the rank's collectives are not recorded, how long it took without them is not known."""
    given = rows(1)
    for row in given:
        if row["rank"] == 1 and row["iteration"] in (10, 11, 12, 20, 21):
            row["comm_ms"] = None
    found = {r["measure"]: r for r in FINDING.run(Catalogue(store_with({"s_records": given}))).to_dicts()}
    step = found["step without collectives"]
    assert (step["overlapping"], step["otherwise"], step["iterations"], step["iterations_otherwise"]) == (11, 9, 5, 20)
    assert found["recomputed"]["iterations"] == 8


def test_the_labs_evaporation(shipped: dict[str, Incident]) -> None:
    """The rank with the fault evicted and recomputed more while both pins were held; elsewhere no pins overlapped."""
    truth = tomllib.loads((INCIDENTS / "memory_evaporation" / "truth.toml").read_text("utf-8"))
    found = shipped["memory_evaporation"].query("pin_overlap_cost").to_dicts()
    assert {(r["replica"], r["rank"]) for r in found} == {(truth["replica"], truth["rank"])}
    assert all(r["low"] > 0 and r["p_value"] < 0.05 for r in found if r["measure"] in ("evicted", "recomputed"))
    assert all(shipped[name].query("pin_overlap_cost").is_empty() for name in ("calm", "straggler", "request_drift"))
