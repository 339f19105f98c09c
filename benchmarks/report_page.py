"""The report of a large incident, its size and how soon a browser shows it.

``python benchmarks/report_page.py DIR [--ranks 64] [--iterations 2400]`` makes the bundle where DIR holds none: a
replica that is calm, one with a straggler, records of every rank and step, and of every rank of the second an
Nsight Systems export with an NCCL kernel and three others an iteration; about a million events. Then it writes the
report and opens it in Chromium, which may use two cores. Results go to ``benchmarks/report_page.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from postmortem import open_bundle
from tests.browser.browser import Browser, found
from tests.builders import START_NS, Trace
from tests.ingest.nsys.exports import build, global_id

HERE = Path(__file__).parent
MOST_BYTES, MOST_SECONDS = 5_000_000, 2.0  # the goals
CORES = {0, 1}


def traces(ranks: int, iterations: int) -> tuple[Trace, Trace]:
    """As tests.builders.straggler has it, over more iterations: the stall lasts a twelfth of them."""
    begin = iterations * 2 // 3
    window = range(begin, begin + iterations // 12)
    common: dict[str, Any] = {"ranks": ranks, "iterations": iterations, "requests": 24}
    late = ranks // 2
    disturbed = Trace(
        "b",
        seed=1001,
        late_rank=late,
        extra_ms=dict.fromkeys(window, 5.0),
        rank_fields={late: {"dequant_cycles": lambda i: 40 if i in window else 0}},
        batch=dict.fromkeys(range(begin + 12, window.stop + 4), 12),
        flips={1: begin + 15, 3: begin + 18, 7: begin + 40},
        **common,
    )
    return Trace("a", **common), disturbed


def export(path: Path, records: list[dict[str, Any]]) -> int:
    """A rank's kernels as Nsight Systems exports them: three of compute, then the collective. Gives their number."""
    kernels: list[dict[str, Any]] = []
    for n, record in enumerate(records):
        start = record["ts_ns"] - START_NS
        arrives = start + int((record["gpu_ms"] - record["comm_ms"]) * 1e6)
        ends = start + int(record["gpu_ms"] * 1e6)
        third = (arrives - start) // 3
        stretches = [(start + k * third, start + (k + 1) * third - 500, 1) for k in range(3)] + [(arrives, ends, 2)]
        kernels += [
            {
                "start": a, "end": b, "deviceId": 0, "contextId": 1, "streamId": 7 if name == 1 else 11,
                "correlationId": 4 * n + k, "globalPid": global_id(42), "demangledName": name, "shortName": name,
                "graphNodeId": None,
            }
            for k, (a, b, name) in enumerate(stretches)
        ]  # fmt: skip
    names = ((1, "gemm_bf16"), (2, "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"))
    build(
        path,
        StringIds=[{"id": i, "value": name} for i, name in names],
        TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": START_NS, "utcTime": "", "localTime": ""}],
        CUPTI_ACTIVITY_KIND_KERNEL=kernels,
    )
    return len(kernels)


def bundle(folder: Path, ranks: int, iterations: int) -> int:
    """Write the bundle; gives its number of events."""
    events = 0
    for trace in traces(ranks, iterations):
        records = trace.records()
        (folder / trace.replica).mkdir(parents=True)
        (folder / trace.replica / "records.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n", "utf-8")
        events += len(records)
        if trace.replica == "b":
            for rank in range(ranks):
                own = [r for r in records if r.get("rank") == rank]
                events += export(folder / "b" / f"rank{rank}.sqlite", own)
    return events


def opened(page: Path, profile: Path) -> tuple[float, float, int]:
    """Seconds from asking for the page until its timeline and until every chart is drawn; how many elements it has."""
    browser = Browser(str(found()), profile)
    try:
        browser.open(page)
        first, done = (
            browser.evaluate(f"performance.getEntriesByName('{mark}')[0].startTime") / 1000
            for mark in ("incident_timeline", "drawn")
        )
        elements = browser.evaluate("document.querySelectorAll('*').length")
        assert browser.complaints() == [], browser.complaints()
        return first, done, elements
    finally:
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=2400)
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    place, noted = told.folder / "bundle", told.folder / "events"
    if not noted.exists():
        noted.write_text(str(bundle(place, told.ranks, told.iterations)))
    events = int(noted.read_text())
    with open_bundle(place, store=told.folder / "store.duckdb") as incident:
        flipped = incident.flipped()
        begun = time.perf_counter()
        page = incident.report(told.folder / "report.html", req_ids=flipped[:1], force=True)
        written = time.perf_counter() - begun
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CORES & os.sched_getaffinity(0))  # the browser inherits it
    rounds = []
    for _ in range(told.rounds):
        with tempfile.TemporaryDirectory() as profile:
            rounds.append(opened(page, Path(profile)))
    first, seconds = (statistics.median(r[n] for r in rounds) for n in (0, 1))
    size = page.stat().st_size
    machine = f"{platform.machine()}, {os.cpu_count()} cores (the browser on two), Python {platform.python_version()}"
    text = [
        "# The report of a large incident: the last run",
        "",
        f"{time.strftime('%Y-%m-%d')}, {machine}. {told.ranks} ranks, {events:,} events, {len(flipped)} flips;",
        f"the report of one request, written in {written:.1f} s; {rounds[0][2]:,} elements;",
        f"{told.rounds} rounds, medians.",
        "",
        "| what | figure | goal | of the goal |",
        "|---|---|---|---|",
        f"| size of the page | {size / 1e6:.2f} MB | ≤ {MOST_BYTES / 1e6:.0f} MB | {size / MOST_BYTES:.2f} |",
        f"| until the timeline is drawn | {first:.2f} s | ≤ {MOST_SECONDS:.0f} s | {first / MOST_SECONDS:.2f} |",
        f"| until every chart is drawn | {seconds:.2f} s | ≤ {MOST_SECONDS:.0f} s | {seconds / MOST_SECONDS:.2f} |",
        "",
    ]
    (HERE / "report_page.md").write_text("\n".join(text), "utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
