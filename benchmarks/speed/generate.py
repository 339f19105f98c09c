"""Large inputs, seeded: ``python benchmarks/speed/generate.py DIR [--kernels 5000000]``. Nothing of it is committed.

An Nsight Systems export (schema 3.7.2) with as many runtime calls as kernels, 0.4 NVTX ranges and 2 metric
samples a kernel: ids beyond 2^53, four launching threads, ranges nested four deep. A process launches kernels in
bursts of eight under one range.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

KERNEL = (
    "start end deviceId contextId greenContextId streamId correlationId globalPid demangledName shortName mangledName"
    " launchType cacheConfig registersPerThread gridX gridY gridZ blockX blockY blockZ staticSharedMemory"
    " dynamicSharedMemory localMemoryPerThread localMemoryTotal gridId sharedMemoryExecuted graphNodeId"
    " sharedMemoryLimitConfig"
).split()
NVTX = (
    "start end eventType rangeId category color text globalTid endGlobalTid textId domainId uint64Value int64Value"
    " doubleValue uint32Value int32Value floatValue jsonTextId jsonText"
).split()
RUNTIME = "start end eventClass globalTid correlationId nameId returnValue callchainId".split()
METRIC = "timestamp typeId metricId value".split()
TEXT_COLUMNS = {"text", "jsonText"}
REAL_COLUMNS = {"doubleValue", "floatValue"}
PROCESS = (1 << 48) | (4242 << 24)  # as serialised by nsys: machine, pid, tid
THREADS = 4
NAMES = 64  # distinct kernels, as many as a decode step of a large model runs
CHUNK = 200_000  # rows held at a time


def ddl(table: str, columns: list[str]) -> str:
    """A CREATE statement as nsys writes it."""
    kinds = {c: "TEXT" if c in TEXT_COLUMNS else "REAL" if c in REAL_COLUMNS else "INTEGER" for c in columns}
    return f"CREATE TABLE {table} ({', '.join(f'{c} {k}' for c, k in kinds.items())})"


def rows(columns: list[np.ndarray | None], n: int) -> Iterator[tuple[object, ...]]:
    """Rows of some columns; None is NULL throughout."""
    return zip(*([None] * n if c is None else c.tolist() for c in columns), strict=True)


def insert(con: sqlite3.Connection, table: str, columns: list[np.ndarray | None], n: int) -> None:
    """Append ``n`` rows to a table."""
    con.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})", rows(columns, n))


def export(path: Path, kernels: int, seed: int = 1) -> None:
    """Write the export."""
    rng = np.random.default_rng(seed)
    path.unlink(missing_ok=True)
    con = sqlite3.connect(path)
    con.execute("PRAGMA journal_mode=OFF")
    con.execute("PRAGMA synchronous=OFF")
    con.execute("CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
    texts = [(i, f"void kernel_{i}<(int){i}, float>(float*, int)") for i in range(NAMES)]
    texts += [(NAMES + i, f"kernel_{i}") for i in range(NAMES)] + [(1000, "cudaLaunchKernel_v7000")]
    texts += [(2000 + i, f"layer {i}") for i in range(200)]
    con.executemany("INSERT INTO StringIds VALUES (?, ?)", texts)
    con.execute("CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT)")
    con.execute("INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.7.2')")
    con.execute("CREATE TABLE TARGET_INFO_SESSION_START_TIME (utcEpochNs INTEGER, utcTime TEXT, localTime TEXT)")
    con.execute("INSERT INTO TARGET_INFO_SESSION_START_TIME VALUES (1790000000000000000, '', '')")
    con.execute(
        "CREATE TABLE TARGET_INFO_GPU_METRICS"
        " (typeId INTEGER, sourceId INTEGER, typeName TEXT, metricId INTEGER, metricName TEXT)"
    )
    metrics = [(i, f"Metric {i} [Throughput %]") for i in range(20)]
    con.executemany("INSERT INTO TARGET_INFO_GPU_METRICS VALUES (1, 1, 'GPU Metrics', ?, ?)", metrics)
    con.execute(ddl("CUPTI_ACTIVITY_KIND_KERNEL", KERNEL))
    con.execute(ddl("CUPTI_ACTIVITY_KIND_RUNTIME", RUNTIME))
    con.execute(ddl("NVTX_EVENTS", NVTX))
    con.execute(ddl("GPU_METRICS", METRIC))
    for first in range(0, kernels, CHUNK):
        n = min(CHUNK, kernels - first)
        i = np.arange(first, first + n)
        call = i * 4_000 + rng.integers(0, 500, n)
        start = call + rng.integers(3_000, 9_000, n)
        name = rng.integers(0, NAMES, n)
        tid = PROCESS | (100 + i // 8 % THREADS)
        zero, one = np.zeros(n, np.int64), np.ones(n, np.int64)
        kernel: dict[str, np.ndarray | None] = dict.fromkeys(KERNEL, zero)
        kernel |= {
            "start": start,
            "end": start + rng.integers(1_000, 40_000, n),
            "streamId": 7 * one,
            "correlationId": i,
            "globalPid": PROCESS * one,
            "demangledName": name,
            "shortName": NAMES + name,
            "mangledName": name,
            "registersPerThread": rng.integers(16, 255, n),
            "gridX": rng.integers(1, 4096, n),
            "gridY": one,
            "gridZ": one,
            "blockX": 128 * one,
            "blockY": one,
            "blockZ": one,
            "gridId": i + (1 << 56),
            "graphNodeId": None if first < kernels // 3 else i + (1 << 57),
            "greenContextId": None,
        }
        insert(con, "CUPTI_ACTIVITY_KIND_KERNEL", list(kernel.values()), n)
        calls = [call, call + 2_000, zero, tid, i, 1000 * one, zero, None]
        insert(con, "CUPTI_ACTIVITY_KIND_RUNTIME", calls, n)
        _ranges(con, call, tid, n, rng)
        samples = np.arange(2 * first, 2 * (first + n))
        values = [samples * 2_000, np.ones(2 * n, np.int64), samples % 20, rng.integers(0, 100, 2 * n)]
        insert(con, "GPU_METRICS", values, 2 * n)
    con.commit()
    con.close()


def _ranges(con: sqlite3.Connection, call: np.ndarray, tid: np.ndarray, n: int, rng: np.random.Generator) -> None:
    """Ranges over bursts of 8, 16, 32 and 64 launches: 0.23 a kernel, and marks up to 0.4."""
    for level, size in enumerate((8, 16, 32, 64)):
        begins = np.arange(0, n - 64, size)
        stops = np.minimum(begins + size - 1, n - 1)
        columns: dict[str, np.ndarray | None] = dict.fromkeys(NVTX)
        columns |= {
            "start": call[begins] - 10 * (4 - level) - 600,
            "end": call[stops] + 2_010 + 10 * level,
            "eventType": 59 * np.ones(begins.size, np.int64),
            "globalTid": tid[begins],
            "textId": 2000 + rng.integers(0, 200, begins.size),
            "domainId": np.full(begins.size, level),
        }
        insert(con, "NVTX_EVENTS", list(columns.values()), begins.size)


def records(path: Path, n: int, seed: int = 1) -> None:
    """s records as JSON Lines: ``n`` of 25 fields."""
    rng = np.random.default_rng(seed)
    ms = np.round(rng.gamma(5, 4, size=(4, n)), 4)
    with path.open("w") as f:
        for i in range(n):
            f.write(
                f'{{"record":"s","req_id":"r-{i // 64}","step":{i % 64},"ts_ns":{1790000000000000000 + i * 31250},'
                f'"replica":"a","iteration":{i // 32},"batch_fp":"{i // 32:012x}","batch_size":32,'
                f'"shape":"q=1,k={i % 4096},h=32,d=4096,tp=8","queue_ms":{ms[0, i]},'
                f'"gpu_ms":{ms[1, i]},"comm_ms":{ms[2, i]},'
                f'"sync_ms":{ms[3, i]},"vram_free_mb":20480.5,"workspace_free_mb":512.0,"kv_pool_total_mb":40960.0,'
                f'"kv_regime":"normal","kv_evicted_blocks":0,"paging_on":false,"precision_path":"bf16","dequant_cycles":0,'
                f'"algo_id":42,"kernel_variant":"nvjet_tst_192x192","token_id":{i % 32000},"margin":0.125}}\n'
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kernels", type=int, default=5_000_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    export(told.folder / "rank0.sqlite", told.kernels)
    records(told.folder / "s.jsonl", told.records)
    for path in sorted(told.folder.iterdir()):
        print(f"{path.name}  {path.stat().st_size >> 20} MiB")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
