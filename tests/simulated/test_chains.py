"""Chains of simulated incidents that need more than s records, and of batches that others keep small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.incidents.simulate import scenario_of, simulate
from postmortem import open_bundle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("slow_gpu", 1003),  # kernels of every rank alone show it
        ("kv_residency_loss", 1003),  # L2 hits and warp stalls alone do
        ("traces_alone", 1005),  # no rank made records: exports tell whose time went where
        ("fabric_congestion", 1024),  # the batch had left the calm tactic by itself before it was held
        ("load_surge_cut", 1901),  # the fuller batch takes too long, and is cut
        ("kv_eviction", 1022),  # those that the stall kept waiting came in after it
    ],
)
def test_root_and_path(name: str, seed: int, tmp_path: Path) -> None:
    """Root cause, rank and every link are those that were simulated."""
    labels = simulate(scenario_of(seed, name), tmp_path)
    truth = json.loads((tmp_path / "truth.json").read_text("utf-8"))
    with open_bundle(tmp_path / "bundle") as incident:
        chain = incident.chain(labels[0].req_id)
    assert chain.root_cause is not None
    assert chain.root_cause.kind == truth["root_cause"]
    assert chain.links[0].rank == truth["rank"]
    assert [link.kind for link in chain.links] == truth["path"]
