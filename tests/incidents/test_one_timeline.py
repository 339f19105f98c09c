"""One timeline out of exports: four ranks with TP and DP at once, the deployment's own texts, parts of a bundle."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postmortem.api import Incident
from postmortem.render.scan_tree import scan_text
from tests.ingest.nsys.exports import build, call, global_id, kernel, nvtx

INCIDENT = Path(__file__).parents[2] / "sample_traces" / "incidents" / "straggler"
STRINGS = ["nvjet_tst_192x192", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)", "cudaLaunchKernel_v7000"]
GEMM, NCCL, LAUNCH = 1, 2, 3
EPOCH = 1_793_000_000_000_000_000
RANKS, ITERATIONS = 4, 80
TP, DP = ((0, 1), (2, 3)), ((0, 2), (1, 3))
SETTINGS = (
    '[deployment]\ntp = 2\ndp = 2\n[nvtx]\niteration = "execute_model_(?P<n>\\\\d+)_bs(?P<batch>\\\\d+)"\n'
    + "".join(f'[[source]]\npath = "node{rank}.sqlite"\nreplica = "b"\nrank = {rank}\n' for rank in range(RANKS))
)


@dataclass
class Node:
    """What one rank's export holds; times since its session began."""

    kernels: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)

    def run(self, start: float, end: float, name: int, stream: int, pid: int, launched: float) -> None:
        number = len(self.kernels)
        self.kernels.append(
            kernel(round(start), round(end), name, streamId=stream, correlationId=number, globalPid=global_id(pid))
        )
        tid = global_id(pid, pid)
        self.calls.append(call(round(launched), round(launched) + 3_000, number, LAUNCH, globalTid=tid))


Call = tuple[tuple[int, int], int, int]  # group, which of its collectives, start by the rank's clock (UTC)


def cluster(folder: Path, late: int = 3, seed: int = 4) -> tuple[dict[tuple[int, int], Call], list[int]]:
    """Four exports: TP's AllReduces on stream 7, DP's on stream 9; unnamed, unnumbered, clocks up to 50 ms apart.

    Rank ``late`` arrives last at TP's, by 300 µs. Every rank's recording begins at another iteration. Returns each
    recorded collective by (rank, its start by that rank's clock), and the iterations that each rank has.
    """
    rng = np.random.default_rng(seed)
    offsets = rng.integers(-50_000_000, 50_000_000, RANKS)
    heads = [0, 7, 3, 19]
    nodes, truth = [Node() for _ in range(RANKS)], {}
    number = dict.fromkeys((*TP, *DP), 0)
    for i in range(ITERATIONS):
        base = i * 12_000_000 + 60_000_000
        for rank in range(RANKS):
            if i >= heads[rank]:
                own = base + int(offsets[rank])
                text = f"execute_model_{i}_bs{8 + i % 3}"
                nodes[rank].ranges.append(nvtx(own - 100_000, own + 10_000_000, text, globalTid=global_id(50, 50)))
        for groups, stream, calls, at in ((TP, 7, 3, 0), (DP, 9, 1, 8_500_000)):
            for group in groups:
                for k in range(calls):
                    leaves = base + at + (k + 1) * 2_400_000 + int(rng.integers(-300_000, 300_000)) - 1_500_000
                    for rank in group:
                        early = 0 if rank == late or late not in group or stream == 9 else 300_000
                        arrives = leaves - 150_000 - int(rng.integers(0, 100_000)) - early
                        left = leaves + abs(rng.normal(0, 1_500))
                        if i >= heads[rank]:
                            own = int(offsets[rank])
                            begin, lap = own + arrives, base + own
                            nodes[rank].run(begin - 400_000, begin, GEMM, 7, 50, lap + k)
                            nodes[rank].run(begin, own + left, NCCL, stream, 50, lap + k + 10)
                            truth[rank, EPOCH + begin] = (group, number[group], begin)
                    number[group] += 1
    folder.mkdir(exist_ok=True)
    (folder / "bundle.toml").write_text(SETTINGS)
    for rank, node in enumerate(nodes):
        build(
            folder / f"node{rank}.sqlite",
            StringIds=[{"id": k, "value": value} for k, value in enumerate(STRINGS, 1)],
            TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": EPOCH}],
            CUPTI_ACTIVITY_KIND_KERNEL=node.kernels,
            CUPTI_ACTIVITY_KIND_RUNTIME=node.calls,
            NVTX_EVENTS=node.ranges,
        )
    return truth, [ITERATIONS - head for head in heads]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The cluster, opened once."""
    from postmortem.api import open_bundle

    folder = tmp_path_factory.mktemp("four")
    truth, laps = cluster(folder)
    with open_bundle(folder) as incident:
        yield incident, truth, laps


@pytest.mark.slow
def test_tp_and_dp_at_once(four: Any) -> None:
    """Four communicators, each call with its own partner, whatever part of the head a recording lacks."""
    incident, truth, _ = four
    calls = incident.sql("FROM collective_calls SELECT rank, comm, seq, start_ns, way")
    assert calls.height == len(truth)
    assert calls["way"].unique().to_list() == ["NCCL kernels"]
    assert calls["comm"].n_unique() == len(TP) + len(DP)
    matched: dict[tuple[str, int], list[tuple[Any, int]]] = {}
    for rank, comm, seq, start, _ in calls.iter_rows():
        if seq is not None:
            matched.setdefault((comm, seq), []).append(truth[rank, start][:2])
    pairs = [found for found in matched.values() if len(found) > 1]
    assert all(one == other for one, other in pairs)
    both = set(truth.values())
    wanted = [w[:2] for w in both]
    possible = len({w for w in wanted if wanted.count(w) == 2})
    assert len(pairs) == possible


def test_the_late_rank_is_the_straggler(four: Any) -> None:
    """Rank 3 arrives last at its TP group's AllReduces, by 300 µs; in the other groups nobody does as a rule."""
    incident, _, _ = four
    rows = incident.query("collectives")
    per_group = {key: part for (key,), part in rows.group_by("comm")}
    with_three = [part for part in per_group.values() if (part["straggler_rank"] == 3).mean() > 0.9]
    assert len(with_three) == 1
    assert with_three[0].height == 3 * (ITERATIONS - 19)
    assert with_three[0]["wait_ns"].median() == pytest.approx(300_000, abs=20_000)


def test_the_deployments_own_texts_make_iterations(four: Any) -> None:
    """Every iteration that a rank recorded is accounted for to the nanosecond, by the numbers in its own texts."""
    incident, _, laps = four
    rows = incident.query("rank_iterations")
    assert [rows.filter(rank=rank).height for rank in range(RANKS)] == laps
    assert (rows["compute_ns"] + rows["comm_ns"] + rows["sync_ns"] + rows["idle_ns"]).equals(
        rows["end_ns"] - rows["start_ns"]
    )
    assert rows["source"].unique().to_list() == ["kernels"]
    waits = rows.filter(iteration=40).sort("rank")["sync_ns"].to_list()
    assert waits[2] > 3 * 250_000 > waits[3]
    assert set(incident.query("rank_kernel_families")["family"].to_list()) == {"gemm", "nccl"}
    assert incident.query("launch_gaps").height == rows.height


def without(folder: Path, *gone: str) -> Path:
    """The shipped straggler less some of its files."""
    shutil.copytree(INCIDENT / "bundle", folder)
    for pattern in gone:
        found = list(folder.glob(pattern))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gone", "source"),
    [(("*/s_rank*",), "NVTX ranges"), (("*/nsys",), "s records"), (("*/s.jsonl.gz",), "NVTX ranges")],
    ids=["ranks' records", "exports", "engine's records"],
)
def test_parts_of_a_bundle(gone: tuple[str, ...], source: str, tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """Exports alone, or records alone, still tell where the time went and who was late."""
    truth = tomllib.loads((INCIDENT / "truth.toml").read_text("utf-8"))
    incident = opened(without(tmp_path / "bundle", *gone))
    rows = incident.query("rank_iterations")
    assert rows["source"].unique().to_list() == [source]
    assert set(rows.select("replica", "rank").unique().rows()) == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}
    late = incident.query("late_ranks")
    assert late.select("replica", "rank").rows() == [(truth["replica"], truth["rank"])]
    collectives = incident.query("collectives")
    if source == "s records":  # which hold no single collective: what would is said
        from postmortem.findings import absent

        assert collectives.is_empty()
        assert any("nsys" in said for said in absent(incident.catalogue, "collectives"))
    else:
        assert collectives.height == 7 * rows.height / 2


def test_exports_alone(tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """Without any record nothing tells the replica; who was late is seen all the same."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in (INCIDENT / "bundle" / "b" / "nsys").iterdir():
        shutil.copy(path, folder)
    incident = opened(folder)
    assert incident.query("late_ranks").select("replica", "rank").rows() == [(None, 1)]
    assert "rank 1: last in" in " ".join(scan_text(incident.scan()).split())
