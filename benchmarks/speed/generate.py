"""Large inputs, seeded: ``python benchmarks/speed/generate.py DIR [--size 1.0]``. Nothing of it is committed.

At size 1: ``rank0.sqlite``, an Nsight Systems export (schema 3.7.2) of 5 million kernels and as many runtime calls,
2 million NVTX ranges nested four deep, 10 million samples of 20 GPU metrics, 5,000 iterations; ids beyond 2^53, four
launching threads. ``tenth.sqlite``: the same at a tenth. ``kernels.sqlite``: its kernels alone. ``one_metric.sqlite``:
a tenth, with one metric. ``nccl.log``: 1 GB of eight ranks' NCCL calls. ``s.jsonl``: 1 million s records.
``steps/``: a bundle of 1 million decode steps on two replicas, of which some flip.
"""

from __future__ import annotations

import argparse
import json
import random
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
METRICS = 20
TICK_NS = 40_000  # samples are this far apart: 10 kernels' launches, so 2 samples of the 20 metrics a kernel
LAUNCH_NS = 4_000
LAP = 1_000  # launches of an iteration
OWN_DOMAIN = 9
WRITES = (
    "rank0.sqlite",
    "tenth.sqlite",
    "kernels.sqlite",
    "one_metric.sqlite",
    "nccl.log",
    "s.jsonl",
    "steps/x.jsonl",
    "steps/s.jsonl",
)


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


def export(path: Path, kernels: int, *, seed: int = 1, others: bool = True, metrics: int = METRICS) -> None:
    """Write an export; without ``others`` no calls and ranges, of 20 ``metrics`` the first."""
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
    named = [(i, f"Metric {i} [Throughput %]") for i in range(metrics)]
    con.executemany("INSERT INTO TARGET_INFO_GPU_METRICS VALUES (1, 1, 'GPU Metrics', ?, ?)", named)
    con.execute(ddl("CUPTI_ACTIVITY_KIND_KERNEL", KERNEL))
    con.execute(ddl("CUPTI_ACTIVITY_KIND_RUNTIME", RUNTIME))
    con.execute(ddl("NVTX_EVENTS", NVTX))
    con.execute(ddl("GPU_METRICS", METRIC))
    domain = {"start": 0, "eventType": 75, "text": "postmortem", "globalTid": PROCESS | 100, "domainId": OWN_DOMAIN}
    con.execute(f"INSERT INTO NVTX_EVENTS ({', '.join(domain)}) VALUES (?, ?, ?, ?, ?)", list(domain.values()))
    for first in range(0, kernels, CHUNK):
        n = min(CHUNK, kernels - first)
        i = np.arange(first, first + n)
        call = i * LAUNCH_NS + rng.integers(0, 500, n)
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
        if others:
            insert(con, "CUPTI_ACTIVITY_KIND_RUNTIME", calls, n)
            _ranges(con, call, tid, n, rng)
            _iterations(con, i, call, tid)
        ticks = np.arange(-(-first * LAUNCH_NS // TICK_NS), -(-(first + n) * LAUNCH_NS // TICK_NS))
        samples = np.repeat(ticks, metrics)
        count = len(samples)
        values = [
            samples * TICK_NS,
            np.ones(count, np.int64),
            np.tile(np.arange(metrics), len(ticks)),
            rng.integers(0, 100, count),
        ]
        if metrics:
            insert(con, "GPU_METRICS", values, count)
    con.commit()
    con.close()


def _ranges(con: sqlite3.Connection, call: np.ndarray, tid: np.ndarray, n: int, rng: np.random.Generator) -> None:
    """Ranges over bursts of 4, 8, 32 and 64 launches: 0.42 a kernel."""
    for level, size in enumerate((64, 32, 8, 4)):
        begins = np.arange(0, n - 64, size)
        stops = np.minimum(begins + size - 1, n - 1)
        columns: dict[str, np.ndarray | None] = dict.fromkeys(NVTX)
        columns |= {
            "start": call[begins] - 10 * (4 - level) - 600,
            "end": call[stops] + 2_010 + 10 * (4 - level),
            "eventType": 59 * np.ones(begins.size, np.int64),
            "globalTid": tid[begins],
            "textId": 2000 + rng.integers(0, 200, begins.size),
            "domainId": np.zeros(begins.size, np.int64),
        }
        insert(con, "NVTX_EVENTS", list(columns.values()), begins.size)


def _iterations(con: sqlite3.Connection, i: np.ndarray, call: np.ndarray, tid: np.ndarray) -> None:
    """An iteration range every LAP launches, in the domain postmortem."""
    at = np.flatnonzero(i % LAP == 0)
    rows = [
        (int(call[k]) - 700, int(call[k]) + (LAP - 1) * LAUNCH_NS + 3_000, 59, f"iteration n={i[k] // LAP} batch=32",
         int(tid[k]), OWN_DOMAIN)
        for k in at
    ]  # fmt: skip
    columns = "start, end, eventType, text, globalTid, domainId"
    con.executemany(f"INSERT INTO NVTX_EVENTS ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)


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


def nccl_log(path: Path, megabytes: int, seed: int = 1) -> None:
    """A log of eight ranks in one stream: nine calls in ten lines, choices, other programs' lines."""
    dice = random.Random(seed)
    head = "node1:{0}:{1} [{2}] NCCL INFO "
    with path.open("w") as file:
        for k in range(8):
            file.write(
                head.format(1000 + k, 1000 + k, k)
                + f"ncclCommInitRank comm 0x55aa{k:04x} rank {k} nranks 8 cudaDev {k}"
                f" nvmlDev {k} busId {k + 1}000 commId 0xabcdef - Init COMPLETE\n"
            )
        calls, size = 0, 0
        while size < megabytes * 1_000_000:
            count, func = 64 << dice.randrange(12), dice.choice(("AllReduce", "AllGather", "ReduceScatter"))
            lines = [
                head.format(1000 + k, 1100 + k, k) + f"{func}: opCount {calls:x} sendbuff"
                f" 0x7f{dice.randrange(1 << 36):010x} recvbuff 0x7f{dice.randrange(1 << 36):010x} count {count}"
                f" datatype 9 op 0 root 0 comm 0x55aa{k:04x} [nranks=8] stream 0x5500{k:04x}\n"
                for k in range(8)
            ]
            calls += 1
            if dice.random() < 0.5:
                moved = count * 2 * (1 if func == "AllReduce" else 8)
                lines.append(
                    head.format(1000, 1100, 0)
                    + f"{func}: {moved} Bytes -> Algo RING proto LL channel{{Lo..Hi}}={{0..3}}\n"
                )
            if dice.random() < 0.3:
                lines.append("INFO 11-02 10:00:00 engine.py:1] running 12 requests, waiting 3\n")
            text = "".join(lines)
            size += len(text)
            file.write(text)


def steps(folder: Path, n: int, seed: int = 1) -> None:
    """A bundle of ``n`` decode steps: requests of 64 tokens on replica a and again on b, 32 in a batch.

    On b the batch shrinks to 12 and another tactic runs at the end; there one answer in eight flips at its last step.
    """
    rng = random.Random(seed)
    folder.mkdir(exist_ok=True)
    requests, length, batch = n // 128, 64, 32
    laps = requests // batch * length
    with (folder / "x.jsonl").open("w") as x, (folder / "s.jsonl").open("w") as s:
        for replica in "ab":
            for request in range(requests // batch * batch):
                text = f"{request:064x}"
                wave, seat = divmod(request, batch)
                begin = 1_790_000_000_000_000_000 + wave * length * 10_000_000
                x.write(json.dumps({"record": "x", "req_id": f"{replica}-{request}", "replica": replica,
                    "admitted_ns": begin, "raw_prompt_sha256": text, "effective_text_sha256": text,
                    "decode_cfg_applied": {"temperature": 0}}) + "\n")  # fmt: skip
                for step in range(length):
                    lap = wave * length + step
                    late = replica == "b" and lap >= laps - length // 2
                    flips = late and step == length - 1 and seat % 8 == 0
                    s.write(json.dumps({"record": "s", "req_id": f"{replica}-{request}", "step": step,
                        "replica": replica, "iteration": lap, "ts_ns": begin + step * 10_000_000,
                        "batch_fp": f"{wave}{late}", "batch_size": 12 if late else 32,
                        "shape": f"q=1,k={step},h=8,d=512",
                        "gpu_ms": round(rng.gauss(14 if late else 9, 0.3), 4), "comm_ms": 0.3, "sync_ms": 0.1,
                        "kv_regime": "normal", "precision_path": "bf16", "algo_id": 42 if late else 43,
                        "token_id": (request * 31 + step) % 32000 + flips, "margin": 0.05 if flips else 2.5,
                    }) + "\n")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=float, default=1.0, help="of 5 million kernels, 1 GB of log, 1 million records")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    kernels = int(5_000_000 * told.size)
    export(told.folder / "rank0.sqlite", kernels)
    export(told.folder / "tenth.sqlite", kernels // 10)
    export(told.folder / "kernels.sqlite", kernels, others=False, metrics=0)
    export(told.folder / "one_metric.sqlite", kernels // 10, metrics=1)
    nccl_log(told.folder / "nccl.log", int(1_000 * told.size))
    records(told.folder / "s.jsonl", int(1_000_000 * told.size))
    steps(told.folder / "steps", int(1_000_000 * told.size))
    for name in WRITES:
        print(f"{name}  {(told.folder / name).stat().st_size >> 20} MiB")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
