"""Nsight Systems exports of a simulated replica, one a rank: kernels, NVTX ranges, L2 hits and warp stalls.

A small part of the schema that nsys 2025 writes; what the ranks did comes from the run's own records.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.incidents.world import START_NS, Run, World

# Shares of a rank's compute; norms and the rest are short.
KERNELS = {"sm90_xmma_gemm_bf16bf16_bf16f32_128x64": 0.55, "flash_fwd_splitkv_kernel": 0.3, "rms_norm_kernel": 0.15}
NCCL, DEQUANT = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "dequantize_int8_kernel"
LAUNCH = "cudaLaunchKernel_v7000"
LEAD_NS = 4_000  # from the launching call to its kernel
HIT = "lts__t_sector_hit_rate.pct"
STALL, OTHER = (f"smsp__warps_issue_stalled_{reason}.avg" for reason in ("long_scoreboard", "barrier"))
PID = 4000
TABLES = {
    "META_DATA_EXPORT": "name TEXT NOT NULL, value TEXT",
    "META_DATA_CAPTURE": "name TEXT NOT NULL, value TEXT",
    "StringIds": "id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER, utcTime TEXT, localTime TEXT",
    "CUPTI_ACTIVITY_KIND_KERNEL": (
        "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, "
        "streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, demangledName INTEGER NOT NULL, "
        "shortName INTEGER NOT NULL"
    ),
    "CUPTI_ACTIVITY_KIND_RUNTIME": (
        "start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, globalTid INTEGER, "
        "correlationId INTEGER, nameId INTEGER NOT NULL, returnValue INTEGER NOT NULL"
    ),
    "NVTX_EVENTS": (
        "start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, text TEXT, globalTid INTEGER, "
        "textId INTEGER, domainId INTEGER"
    ),
    "GPU_METRICS": "timestamp INTEGER, typeId INTEGER NOT NULL, metricId INTEGER NOT NULL, value INTEGER NOT NULL",
    "TARGET_INFO_GPU_METRICS": (
        "typeId INTEGER NOT NULL, sourceId INTEGER NOT NULL, typeName TEXT NOT NULL, metricId INTEGER NOT NULL, "
        "metricName TEXT NOT NULL"
    ),
}


def write_traces(world: World, records: Run, folder: Path, missing: int | None = None) -> None:
    """``folder``/rank0.sqlite and so on, without the ``missing`` rank; times by each rank's own clock."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([world.seed, 17])
    for rank in set(range(world.tp)) - {missing}:
        rows = [r for r in records.s if r.get("rank") == rank]
        _export(folder / f"rank{rank}.sqlite", rank, _rows(world, rank, rows, rng))


def _rows(
    world: World, rank: int, rows: list[dict[str, Any]], rng: np.random.Generator
) -> dict[str, list[tuple[Any, ...]]]:
    names = {name: k for k, name in enumerate([*KERNELS, NCCL, DEQUANT, LAUNCH], 1)}
    kernels, ranges, metrics = [], [(0, None, 75, "postmortem", PID << 24, None, 1)], []
    for row in rows:
        i, start = row["iteration"], row["ts_ns"] - START_NS
        on = {f.kind: f for f in world.faults if f.first <= i < f.stop and f.rank == rank}
        compute, at = (row["gpu_ms"] - row["comm_ms"]) * 1e6 - LEAD_NS, start + LEAD_NS
        stalled = compute - _usual(world, row) if "quant_stall" in on else 0.0
        lost = compute - _usual(world, row) if "kv_residency_loss" in on else 0.0
        if stalled > 0:
            kernels.append((at, at + stalled, names[DEQUANT]))
            ranges.append((round(at), round(at + stalled), 59, "dequant layer=3", PID << 24 | 1, None, 1))
            at += stalled
        for name, share in KERNELS.items():
            took = (compute - max(stalled, 0) - max(lost, 0)) * share
            took += max(lost, 0) if name.startswith("flash") else 0.0  # attention reads the KV cache
            kernels.append((at, at + took, names[name]))
            at += took
        kernels.append((at, at + row["comm_ms"] * 1e6, names[NCCL]))
        end = start + row["gpu_ms"] * 1e6
        ranges.append(
            (round(start), round(end), 59, f"iteration n={i} batch={row['batch_size']}", PID << 24 | 1, None, 1)
        )
        hit, wait = (52, 61) if "kv_residency_loss" in on else (78, 38)
        for metric, value in ((1, hit), (2, wait), (3, 100 - wait)):
            metrics.append((round(start + compute / 2), 1, metric, round(value + rng.normal(0, 2))))
    return {
        "StringIds": [(k, name) for name, k in names.items()],
        "CUPTI_ACTIVITY_KIND_KERNEL": [_kernel(k, *kernel) for k, kernel in enumerate(kernels, 1)],
        "CUPTI_ACTIVITY_KIND_RUNTIME": [_call(k, at, names[LAUNCH]) for k, (at, _, _) in enumerate(kernels, 1)],
        "NVTX_EVENTS": ranges, "GPU_METRICS": metrics,
        "TARGET_INFO_GPU_METRICS": [(1, 1, "GPU", k, name) for k, name in enumerate((HIT, STALL, OTHER), 1)],
    }  # fmt: skip


def _usual(world: World, row: dict[str, Any]) -> float:
    """Compute of a calm iteration of this batch, ns: as world.py has it."""
    return 0.85 * world.base_ms * (0.75 + 0.25 * row["batch_size"] / world.limit) * 1e6


def _kernel(number: int, start: float, end: float, name: int) -> tuple[Any, ...]:
    return round(start), round(end), 0, 1, 7, number, PID << 24, name, name


def _call(number: int, kernel_start: float, name: int) -> tuple[Any, ...]:
    at = round(kernel_start) - LEAD_NS
    return at, at + LEAD_NS // 2, 0, PID << 24 | 1, number, name, 0


def _export(path: Path, rank: int, tables: dict[str, list[tuple[Any, ...]]]) -> None:
    tables |= {
        "META_DATA_EXPORT": [("EXPORT_SCHEMA_VERSION", "3.24.0")],
        "META_DATA_CAPTURE": [("PROCESS_0:ENVIRONMENT_VARIABLE", f"RANK={rank}")],
        "TARGET_INFO_SESSION_START_TIME": [(START_NS, None, None)],
    }
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as con:
        for name, rows in tables.items():
            con.execute(f"CREATE TABLE {name} ({TABLES[name]})")
            con.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    con.close()
