"""Root causes that only the GPU's own traces show: a slow GPU, and data that left the L2 cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from builders import START_NS, straggler, write_bundle

from postmortem.api import Incident, read_bundle
from postmortem.chain.model import Chain

WINDOW = range(70, 100)
NAMES = ("gemm", "attention", "rmsnorm", "ncclDevKernel_AllReduce")


def chain_with(tmp_path: Path, kernels: Any = None, metrics: Any = None) -> Chain:
    """The straggler's chain, nothing recorded why; then kernels or metrics of both ranks, put into the store.

    ``kernels(late, name)`` is by how much a kernel of the late rank, in its late iterations, takes longer.
    ``metrics(late)`` gives L2 hit rate and long-scoreboard stalls out of 100.
    """
    calm, other = straggler()
    other.rank_fields = {}
    bundle = write_bundle(tmp_path / "b", calm, other)
    store = read_bundle(bundle, store=tmp_path / "s.duckdb")
    with Incident(bundle, store) as incident:
        starts = {(r["rank"], r["iteration"]): r["ts_ns"] for r in incident.catalogue.rows("rank_state", replica="b")}
    rng = np.random.default_rng(1)
    with duckdb.connect(str(store)) as con:
        for rank in (0, 1):
            con.execute(
                "INSERT INTO sources (source_id, path, kind, bytes, rows, rejected, ignored, rank, replica, seconds) "
                "VALUES (?, ?, 'nsys_sqlite', 1, 1, 0, 0, ?, 'b', 0)", [90 + rank, f"rank{rank}.sqlite", rank],
            )  # fmt: skip
            con.execute("INSERT INTO clocks VALUES (?, ?, 0, 'session start')", [90 + rank, START_NS])
        for (rank, iteration), start in starts.items():
            late = rank == 1 and iteration in WINDOW
            at = start - START_NS + 1000
            if kernels:
                rows = []
                for name in NAMES:
                    took = int(500_000 * kernels(late, name) * (1 + abs(rng.normal(0, 0.01))))
                    rows.append([90 + rank, at, at + took, name])
                    at += took
                con.executemany(
                    "INSERT INTO kernels (source_id, start_ns, end_ns, demangled_name) VALUES (?, ?, ?, ?)", rows
                )
            if metrics:
                hit, stalled = metrics(late)
                noise = rng.normal(0, 0.5)
                con.executemany(
                    "INSERT INTO gpu_metrics (source_id, metric, kind, reason, t_ns, value) VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        [90 + rank, "l2", "l2_hit_rate", None, at, hit + noise],
                        [90 + rank, "stall long_scoreboard", "stall", "long_scoreboard", at, stalled + noise],
                        [90 + rank, "stall barrier", "stall", "barrier", at, 100 - stalled - noise],
                    ],
                )
        # what was worked out of the metrics when there were none is passed over
        con.execute("UPDATE bundle SET value = '' WHERE key = 'derived.iteration_metrics'")
    with Incident(bundle, store) as incident:
        return incident.chain("b-1")


@pytest.mark.slow
def test_slow_gpu(tmp_path: Path) -> None:
    """Every kernel of the late rank takes 1.6 times as long: the GPU is slow."""
    chain = chain_with(tmp_path, kernels=lambda late, name: 1.6 if late and not name.startswith("nccl") else 1.0)
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("slow_gpu", 1)
    assert chain.links[0].value == pytest.approx(1.6, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["attention", "ncclDevKernel_AllReduce"])
def test_one_slow_kernel_is_no_slow_gpu(tmp_path: Path, slow: str) -> None:
    """One kernel takes twice as long, or only NCCL's does: no claim."""
    chain = chain_with(tmp_path, kernels=lambda late, name: 2.0 if late and name == slow else 1.0)
    assert chain.root_cause is None
    assert any(a.kind == "slow_gpu" for a in chain.alternatives)


@pytest.mark.slow
def test_residency_lost(tmp_path: Path) -> None:
    """Hit rate down, long scoreboard up on the late rank alone."""
    chain = chain_with(tmp_path, metrics=lambda late: (40, 70) if late else (80, 30))
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("kv_residency_loss", 1)
    assert chain.links[0].value == pytest.approx(60, abs=2)


@pytest.mark.slow
def test_misses_that_nobody_waits_for(tmp_path: Path) -> None:
    """Hit rate down, and warps wait no longer: no residency loss."""
    chain = chain_with(tmp_path, metrics=lambda late: (40, 30) if late else (80, 30))
    assert chain.root_cause is None
    assert any(a.kind == "kv_residency_loss" and "hit rate fell, but" in a.ruled_out for a in chain.alternatives)


def test_without_traces_they_are_unseen(tmp_path: Path) -> None:
    """No kernel, no metric: the records that would show them are named."""
    chain = chain_with(tmp_path)
    assert any("nsys profile -t cuda" in m.record for m in chain.missing)
    assert any("L2 hit rate" in m.record for m in chain.missing)
