"""What was launched and done in which iteration: small exports, read as any, against a look at every range."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ingest.nsys.exports import STRINGS, build, call, global_id, kernel, nvtx

Rows = list[dict[str, Any]]
START = 1_800_000_000_000_000_000
END = 400  # of the session: what ends then was never popped
TOML = """
[nvtx]
iteration = "^step (?P<n>\\\\d+)"
dequant = "^dq"
[[source]]
path = "rank.sqlite"
replica = "a"
rank = 0
"""


def recorded(rng: np.random.Generator) -> tuple[Rows, Rows, Rows, Rows]:
    """Ranges, calls, kernels, CUDA graphs of one to three processes of three threads, of which some have no iterations:
    ranges that nest, overlap, end on another thread, were never popped, have no length or no thread.
    """
    processes = range(1, int(rng.integers(2, 5)))
    threads = [global_id(p, t) for p in processes for t in (1, 2, 3)]
    stepping = [t for t in threads if rng.random() < 0.4]
    ranges: Rows = []
    for _ in range(int(rng.integers(4, 14)) if stepping else 0):
        start = int(rng.integers(0, 300))
        end = int(rng.choice([start, start + int(rng.integers(1, 120)), END]))
        more = {"globalTid": None if rng.random() < 0.05 else int(rng.choice(stepping))}
        if rng.random() < 0.2:
            more |= {"eventType": 60, "endGlobalTid": int(rng.choice(threads))}
        ranges.append(nvtx(start, end, f"step {rng.integers(0, 6)}") | more)
    for _ in range(20):
        start = int(rng.integers(0, 350))
        ranges.append(nvtx(start, start + int(rng.integers(0, 20)), "dq") | {"globalTid": int(rng.choice(threads))})
    calls, kernels, graphs = [], [], []
    for number in range(40):
        thread = int(rng.choice(threads))
        start = int(rng.integers(0, 350))
        calls.append(call(start, start + int(rng.integers(0, 9)), number, globalTid=thread))
        for _ in range(int(rng.integers(0, 3))):  # several: nodes of one graph
            begins = start + int(rng.integers(0, 90))
            own = {"globalPid": thread & ~0xFFFFFF, "correlationId": None if rng.random() < 0.05 else number}
            if rng.random() < 0.2:
                span = {"start": begins, "end": begins + 5, "deviceId": 0, "contextId": 1, "streamId": 7}
                graphs.append({**span, **own, "graphId": 1, "graphExecId": 1})
            else:
                kernels.append(kernel(begins, begins + int(rng.integers(0, 30)), **own))
    return ranges, calls, kernels, graphs


def laps_of(ranges: Rows) -> dict[int, list[tuple[int, int, int]]]:
    """(begin, end, iteration) of every thread's ranges, and by process and thread 0 of all of its threads."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for r in ranges:
        if r["text"].startswith("step"):
            for home in {(r["globalTid"] or 0) & ~0xFFFFFF, r["globalTid"]} - {None}:
                found.setdefault(home, [])
                if r["end"] < END:
                    found[home].append((r["start"], r["end"], int(r["text"].split()[1])))
    return found


def iteration_of(laps: dict[int, list[tuple[int, int, int]]], at: int, thread: int, last: bool) -> set[int]:
    """The iteration in which a thread did something: of the ranges of its home that hold the moment, that which began
    last, and of these the shortest. ``last``: a range holds its end too, where no other goes on.
    """
    processes = {home & ~0xFFFFFF for home in laps}
    home = thread & ~0xFFFFFF
    if thread in laps:
        home = thread
    elif len(processes) == 1:
        (home,) = processes
    mine = laps.get(home, [])
    holding = [lap for lap in mine if lap[0] <= at < lap[1]]
    if not holding and last:
        ended = [lap for lap in mine if lap[1] == at]
        return {n for begin, _, n in ended if begin == max(b for b, _, _ in ended)}
    best = max(((begin, -end) for begin, end, _ in holding), default=None)
    return {n for begin, end, n in holding if (begin, -end) == best}


@pytest.mark.parametrize("seed", range(6))
def test_every_launch_and_range_finds_its_iteration(seed: int, opened: Any, tmp_path: Path) -> None:
    """Kernels, graphs and dequantisation by the range of their thread, else of their process, else of the only one."""
    ranges, calls, kernels, graphs = recorded(np.random.default_rng(seed))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "bundle.toml").write_text(TOML)
    build(
        tmp_path / "b" / "rank.sqlite",
        StringIds=STRINGS,
        TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": START}],
        ANALYSIS_DETAILS=[{"globalVid": 0, "duration": END}],
        NVTX_EVENTS=ranges,
        CUPTI_ACTIVITY_KIND_RUNTIME=calls,
        CUPTI_ACTIVITY_KIND_KERNEL=kernels,
        CUPTI_ACTIVITY_KIND_GRAPH_TRACE=graphs,
    )
    incident = opened(tmp_path / "b")
    laps = laps_of(ranges)
    launched = {(c["globalTid"] >> 24, c["correlationId"]): c for c in calls}
    expected: Counter[tuple[int, int, int, str]] = Counter()
    either: set[tuple[int, int]] = set()  # begin and end of work at whose launch two alike ranges held
    for name, pieces in (("kernel", kernels), ("graph", graphs)):
        for k in pieces:
            if k["correlationId"] is not None and laps:
                c = launched[k["globalPid"] >> 24, k["correlationId"]]
                found = iteration_of(laps, c["start"], c["globalTid"], last=True)
                if len(found) == 1:
                    expected[found.pop(), START + k["start"], START + k["end"], name] += 1
                elif found:
                    either.add((START + k["start"], START + k["end"]))
    rows = incident.catalogue.view("lap_work").rows(named=True)
    seen = Counter((r["iteration"], r["start_ns"], r["end_ns"], r["work"]) for r in rows)
    assert Counter({k: n for k, n in seen.items() if k[1:3] not in either}) == expected
    busy: Counter[int] = Counter()
    for r in ranges:
        if r["text"] == "dq":
            found = iteration_of(laps, r["start"], r["globalTid"], last=False) if laps else set()
            for n in found:
                busy[n] += r["end"] - r["start"]
    told = {r["iteration"]: r["busy_ns"] for r in incident.query("rank_activity").to_dicts()}
    if not either:
        assert {n: ns for n, ns in told.items() if ns} == {n: ns for n, ns in busy.items() if ns}
