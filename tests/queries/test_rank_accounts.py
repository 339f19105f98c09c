"""Every nanosecond of an iteration is counted once: rank_iterations against a count of single nanoseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postmortem.catalogue.catalogue import Catalogue
from postmortem.store.store import run
from tests.queries.test_every_query import store_with

Span = tuple[int, int]
Rows = list[dict[str, Any]]
SEEDS = range(8)
LAP = 1_000
TABLES = ("sources", "clocks", "nvtx_events", "kernels", "memcpys", "graph_launches", "cuda_api")


def nanoseconds(spans: list[Span]) -> set[int]:
    return {t for start, end in spans for t in range(start, end)}


def counted(span: Span, work: list[Span], transfers: list[Span], waits: list[Span]) -> dict[str, int]:
    """Nanosecond by nanosecond: work, else transfer, else waiting, else idle."""
    inside = set(range(*span))
    compute = nanoseconds(work) & inside
    comm = nanoseconds(transfers) & inside - compute
    sync = nanoseconds(waits) & inside - compute - comm
    idle = inside - compute - comm - sync
    return {"compute_ns": len(compute), "comm_ns": len(comm), "sync_ns": len(sync), "idle_ns": len(idle)}


def parts(con: Any) -> dict[tuple[int, int], tuple[Span, Span]]:
    """(rank, start) of every matched call: when it waited and when it transferred. The last waits for none."""
    calls = run(con, "FROM collective_calls SELECT comm, seq, op, rank, start_ns, end_ns WHERE seq IS NOT NULL")
    found = {}
    for comm, seq, op, rank, start, end in calls:
        lengths = [e - s for c, n, o, _, s, e in calls if (c, n, o) == (comm, seq, op)]
        if len(lengths) > 1:
            met = start + (end - start) - min(lengths)
            found[rank, start] = ((start, met), (met, end))
    return found


def bundle(seed: int) -> tuple[dict[str, Rows], dict[int, list[tuple[int, int, int, str]]]]:
    """Two ranks, four iterations, three streams: kernels, copies and CUDA graphs that overlap, collectives, some on one
    rank only.

    The rows of a store, and each rank's work as (iteration, start, end, name).
    """
    rng = np.random.default_rng(seed)
    work: dict[int, list[tuple[int, int, int, str]]] = {0: [], 1: []}
    for lap in range(4):
        base = lap * LAP
        for rank in (0, 1):
            for _ in range(rng.integers(1, 7)):
                start = base + int(rng.integers(100, 900))
                work[rank].append((lap, start, start + int(rng.integers(0, 300)), "gemm"))
            if rng.random() < 0.3:  # recorded on this rank alone
                start = base + int(rng.integers(100, 900))
                work[rank].append((lap, start, start + int(rng.integers(1, 200)), "ncclDevKernel_Broadcast(x)"))
        leaves = base + int(rng.integers(600, 1_300))
        for rank in (0, 1):  # both leave together
            work[rank].append((lap, leaves - int(rng.integers(20, 500)), leaves, "ncclDevKernel_AllReduce(x)"))
    given: dict[str, Rows] = {t: [] for t in TABLES}
    for rank, pieces in work.items():
        pid = (rank + 1) << 24
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": 10_000 * rank})
        for lap in range(4):
            keys = f'{{"n": {lap}}}'
            event = {"source_id": rank, "event_id": lap, "start_ns": lap * 50, "end_ns": lap * 50 + 40}
            given["nvtx_events"].append({**event, "kind": "iteration", "keys": keys})  # the host runs ahead
        for number, (lap, start, end, name) in enumerate(pieces):
            row = {"source_id": rank, "start_ns": start, "end_ns": end, "correlation_id": number, "global_pid": pid}
            if name == "gemm" and number % 3 == 0:
                given["memcpys"].append({**row, "direction": "DtoD", "stream_id": 9})
            elif name == "gemm" and number % 3 == 1:
                given["graph_launches"].append({**row, "stream_id": 8})
            else:
                stream = 7 if name.startswith("nccl") else 8 + number % 2
                given["kernels"].append({**row, "demangled_name": name, "stream_id": stream})
            call = {"start_ns": lap * 50 + number % 40, "end_ns": lap * 50 + number % 40 + 5, "correlation_id": number}
            given["cuda_api"].append({"source_id": rank, **call, "global_tid": pid | 1})
    return given, work


@pytest.mark.parametrize("seed", SEEDS)
def test_kernels_streams_and_collectives(seed: int) -> None:
    """Work of three streams united, NCCL's kernels split at the last arrival, what is left told as idle."""
    given, work = bundle(seed)
    con = store_with(given)
    shared = parts(con)
    assert shared
    rows = Catalogue(con).rows("rank_iterations")
    assert len(rows) == 8
    gaps = Catalogue(con).rows("launch_gaps")
    assert [g["gap_ns"] for g in gaps] == [row["idle_ns"] for row in rows]
    for row in rows:
        rank = row["rank"]
        own = [w for w in work[rank] if w[0] == row["iteration"]]
        span = (min(w[1] for w in own), max(w[2] for w in own))
        waits, transfers = [], []
        for _, start, end, name in own:
            if name.startswith("nccl"):
                at = start + 10_000 * rank
                wait, transfer = shared.get((rank, at), ((at, at), (at, end + 10_000 * rank)))
                waits.append((wait[0] - 10_000 * rank, wait[1] - 10_000 * rank))
                transfers.append((transfer[0] - 10_000 * rank, transfer[1] - 10_000 * rank))
        expected = counted(span, [w[1:3] for w in own if not w[3].startswith("nccl")], transfers, waits)
        assert {name: row[name] for name in expected} == expected
        assert row["end_ns"] - row["start_ns"] == span[1] - span[0] == sum(expected.values())
        assert row["source"] == "kernels"


@pytest.mark.parametrize("seed", SEEDS)
def test_ranges_of_two_communicators(seed: int) -> None:
    """TP and DP collectives as NVTX ranges of two threads, overlapping: united; the rest is compute, idle between two
    ranges of one iteration.
    """
    rng = np.random.default_rng(seed)
    given: dict[str, Rows] = {"sources": [], "clocks": [], "nvtx_events": []}
    for rank in (0, 1):
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": 0})
    ranges: dict[int, list[Span]] = {0: [], 1: []}
    laps: dict[tuple[int, int], list[Span]] = {}
    for lap in range(3):
        for rank in (0, 1):
            gap = sorted(rng.integers(1, LAP, 2).tolist()) if rng.random() < 0.5 else [LAP, LAP]
            laps[rank, lap] = [(lap * LAP, lap * LAP + gap[0]), (lap * LAP + gap[1], (lap + 1) * LAP)]
            for part, (start, end) in enumerate(laps[rank, lap]):
                event = {"source_id": rank, "event_id": 100 + 10 * lap + part, "start_ns": start, "end_ns": end}
                given["nvtx_events"].append({**event, "kind": "iteration", "keys": f'{{"n": {lap}}}'})
        for comm in ("tp", "dp"):
            for seq in (2 * lap, 2 * lap + 1):
                leaves = lap * LAP + int(rng.integers(300, 1_100))  # some leave after the iteration's end
                for rank in (0, 1):
                    start = leaves - int(rng.integers(1, 250))
                    keys = f'{{"op": "AllReduce", "comm": "{comm}", "seq": {seq}}}'
                    event = {
                        "source_id": rank,
                        "event_id": len(given["nvtx_events"]),
                        "start_ns": start,
                        "end_ns": leaves,
                    }
                    given["nvtx_events"].append({**event, "kind": "collective", "keys": keys})
                    ranges[rank].append((start, leaves))
    con = store_with(given)
    shared = parts(con)
    rows = Catalogue(con).rows("rank_iterations")
    assert len(rows) == 6
    for row in rows:
        span = (row["iteration"] * LAP, (row["iteration"] + 1) * LAP)
        own = nanoseconds(laps[row["rank"], row["iteration"]])
        called = [shared[row["rank"], s] for s, _ in ranges[row["rank"]] if s in own]
        expected = counted(span, [], [transfer for _, transfer in called], [wait for wait, _ in called])
        in_collectives = nanoseconds([part for both in called for part in both])
        expected["compute_ns"] = len(own - in_collectives)
        expected["idle_ns"] -= expected["compute_ns"]
        assert {name: row[name] for name in expected} == expected
        assert row["source"] == "NVTX ranges"
        assert sum(expected.values()) == LAP
