"""One timeline of many ranks: ``python benchmarks/speed/timeline.py [--iterations 1250 5000 20000]``.

Matching collectives by their ends, aligning clocks and accounting for every rank's time, for 64 ranks (an export each)
with 4 collectives and 4 other kernels an iteration; clocks off by up to 50 ms and 50 ppm, 0.1 % of the collectives
lost. Each size in a process of its own, with its peak memory; what is timed is what reading a bundle does once its rows
are in the store. The figures go to ``benchmarks/speed/timeline.md``; sizes that are not run again keep theirs.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from postmortem.analyses.collectives import clocks, match
from postmortem.api import keep_views
from postmortem.catalogue.catalogue import Catalogue
from postmortem.store.store import Writer, create, finish, run

RESULTS = Path(__file__).with_name("timeline.md")
RANKS, EACH = 64, 4
LIMIT_MB = 1_500  # for DuckDB; the rest of 4 GB is for matching in Python
START_NS = 1_790_000_000_000_000_000
LAP_NS, LAUNCH_NS = 10_000_000, 20_000
NAMES = (
    "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_bias_TNN",
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgs)",
)


def fill(writer: Writer, iterations: int, seed: int = 1) -> int:
    """The rows of 64 exports; returns how many kernels they have."""
    rng = np.random.default_rng(seed)
    begins = (
        np.arange(iterations)[:, None] * LAP_NS
        + np.arange(EACH) * 2_000_000
        + rng.integers(0, 400_000, (iterations, EACH))
    )
    leaves = begins + 1_900_000 + rng.integers(0, 100_000, (iterations, EACH))
    kernels = 0
    for rank in range(RANKS):
        offset, drift = int(rng.integers(-50_000_000, 50_000_000)), float(rng.uniform(-50e-6, 50e-6))

        def own(t: np.ndarray, offset: int = offset, drift: float = drift) -> np.ndarray:
            return (t + offset + np.round(drift * t).astype(np.int64)).ravel() + 100_000_000

        arrives = leaves - rng.integers(100_000, 700_000, leaves.shape)
        left = leaves + np.abs(rng.normal(0, 2_000, leaves.shape)).astype(np.int64)
        kept = np.flatnonzero(rng.random(leaves.size) > 0.001)
        starts = np.concatenate([own(begins), own(arrives)[kept]])
        ends = np.concatenate([own(arrives) - 1_000, own(left)[kept]])
        n, pid = starts.size, (rank + 1) << 24
        numbers = np.arange(n)
        name = pa.DictionaryArray.from_arrays(pa.array((numbers >= begins.size).astype(np.int8)), pa.array(NAMES)).cast(
            "string"
        )
        same = {"global_pid": np.full(n, pid), "device_id": np.zeros(n, np.int64), "stream_id": np.full(n, 7)}
        table = {"start_ns": starts, "end_ns": ends, "correlation_id": numbers, **same, "demangled_name": name}
        writer.append("kernels", pa.table(table), source_id=rank)
        calls = {"start_ns": starts - LAUNCH_NS, "end_ns": starts - LAUNCH_NS // 2, "correlation_id": numbers}
        writer.append("cuda_api", pa.table({**calls, "global_tid": np.full(n, pid | 1)}), source_id=rank)
        first = own(begins[:, 0]) - LAUNCH_NS
        laps = {"event_id": np.arange(iterations), "start_ns": first, "end_ns": first + LAP_NS * 9 // 10}
        keys = [f'{{"n": {i}}}' for i in range(iterations)]
        said = {
            "style": ["PushPop"] * iterations,
            "kind": ["iteration"] * iterations,
            "never_popped": [False] * iterations,
        }
        writer.append("nvtx_events", pa.table({**laps, **said, "keys": keys}), source_id=rank)
        row = {"source_id": rank, "path": f"rank{rank}.sqlite", "kind": "nsys_sqlite", "rank": rank, "replica": "a"}
        counts = {"bytes": 0, "rows": n, "rejected": 0, "ignored": 0, "seconds": 0.0}
        writer.insert("sources", {**row, **counts})
        writer.insert("clocks", {"source_id": rank, "origin_ns": START_NS, "offset_ns": 0, "method": "session start"})
        kernels += n
    return kernels


def measure(iterations: int) -> dict[str, float]:
    """Seconds of each stage, kernels, and the process's peak memory."""
    took: dict[str, float] = {}

    def stage(name: str, since: float) -> float:
        took[name] = time.perf_counter() - since
        print(f"  {name}: {took[name]:.1f} s, peak so far {peak():.0f} MiB", file=sys.stderr)
        return time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, create(Path(folder) / "s.duckdb") as writer:
        run(writer.con, f"SET memory_limit = '{LIMIT_MB}MB'")
        now = time.perf_counter()
        kernels = fill(writer, iterations)
        finish(writer)
        now = stage("rows", now)
        catalogue = Catalogue(writer.con)
        calls = match(catalogue.view("collective_records"))
        now = stage("match", now)
        fits = clocks(calls, catalogue.view("lap_records"))
        writer.append("collective_calls", calls.to_arrow())
        writer.append("clock_fits", fits.to_arrow())
        matched, sure = calls["seq"].drop_nulls().len(), fits["uncertainty_ns"].max()
        del calls
        now = stage("align", now)
        keep_views(writer.con)
        stage("account", now)
        ((laps, off),) = run(
            writer.con,
            "FROM derived.rank_times SELECT count(*), "
            "count(*) FILTER (compute_ns + comm_ns + sync_ns + idle_ns <> end_ns - start_ns)",
        )
    if laps != RANKS * iterations or off or matched < 0.998 * kernels / 2:
        raise SystemExit(f"{laps} laps, {off} of them off, {matched} of {kernels / 2} calls matched")
    return {"iterations": iterations, "kernels": kernels, "peak_mib": peak(), "unsure_ns": float(str(sure)), **took}


def peak() -> float:
    """Most memory that this process held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(found: dict[str, float]) -> str:
    stages = [found[name] for name in ("match", "align", "account")]
    cells = [
        f"{found['kernels'] / 1e6:.2f}",
        *(f"{s:.1f}" for s in stages),
        f"{sum(stages) / found['kernels'] * 1e6:.1f}",
    ]
    cells += [f"{found['peak_mib']:.0f}", f"{found['unsure_ns'] / 1e3:.1f}"]
    return f"| {found['iterations']:.0f} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, nargs="+", default=[1_250, 5_000, 20_000])
    parser.add_argument("--here", action="store_true", help="one size, in this process; JSON on stdout")
    told = parser.parse_args()
    if told.here:
        print(json.dumps(measure(told.iterations[0])))
        return
    lines = {}
    if RESULTS.is_file():
        lines = {int(m[1]): m[0] for m in re.finditer(r"^\| (\d+) \|.*$", RESULTS.read_text("utf-8"), re.M)}
    for size in told.iterations:
        words = [sys.executable, __file__, "--here", "--iterations", str(size)]
        lines[size] = line(json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout))
        print(lines[size])
    versions = ", ".join(f"{p} {version(p)}" for p in ("duckdb", "polars", "numpy"))
    text = f"""# One timeline: the last run

{time.strftime("%Y-%m-%d")}, {platform.machine()}, 2 shared cores, Python {platform.python_version()}, {versions}.
{RANKS} ranks, {EACH} collectives and {EACH} other kernels an iteration (`timeline.py`); DuckDB held to {LIMIT_MB} MB.

| iterations | million kernels | match s | align s | account s | s a million kernels | peak MiB | least sure clock µs |
|---|---|---|---|---|---|---|---|
"""
    RESULTS.write_text(text + "\n".join(lines[size] for size in sorted(lines)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
