"""Small exports, built as nsys builds them: a table exists only if it has rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def global_id(pid: int, tid: int = 0, machine: int = 1) -> int:
    """A globalTid, or with tid 0 the globalPid."""
    return (machine << 48) | (pid << 24) | tid


SCHEMA = {
    "StringIds": "id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    "META_DATA_EXPORT": "name TEXT NOT NULL, value TEXT",
    "META_DATA_CAPTURE": "name TEXT NOT NULL, value TEXT",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER, utcTime TEXT, localTime TEXT",
    "ANALYSIS_DETAILS": "globalVid INTEGER NOT NULL, duration INTEGER NOT NULL, startTime INTEGER, stopTime INTEGER",
    "TARGET_INFO_SYSTEM_ENV": "globalVid INTEGER, devStateName TEXT, name TEXT NOT NULL, nameEnum INTEGER, value TEXT",
    "TARGET_INFO_GPU": "vmId INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT, cuDevice INTEGER",
    "TARGET_INFO_CUDA_DEVICE": "gpuId INTEGER, cudaId INTEGER NOT NULL, pid INTEGER NOT NULL",
    "PROCESSES": "globalPid INTEGER, pid INTEGER, name TEXT",
    "CUPTI_ACTIVITY_KIND_KERNEL": (
        "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, "
        "streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, demangledName INTEGER NOT NULL, "
        "shortName INTEGER NOT NULL, graphNodeId INTEGER"
    ),
    "CUPTI_ACTIVITY_KIND_RUNTIME": (
        "start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, globalTid INTEGER, "
        "correlationId INTEGER, nameId INTEGER NOT NULL, returnValue INTEGER NOT NULL, callchainId INTEGER"
    ),
    "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": (
        "start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER, contextId INTEGER, streamId INTEGER, "
        "correlationId INTEGER, globalPid INTEGER, graphId INTEGER NOT NULL, graphExecId INTEGER NOT NULL"
    ),
    "NVTX_EVENTS": (
        "start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, rangeId INTEGER, category INTEGER, "
        "color INTEGER, text TEXT, globalTid INTEGER, endGlobalTid INTEGER, textId INTEGER, domainId INTEGER, "
        "uint64Value INTEGER, int64Value INTEGER, doubleValue REAL, uint32Value INTEGER, int32Value INTEGER, "
        "floatValue REAL, jsonTextId INTEGER, jsonText TEXT"
    ),
    "GPU_METRICS": "timestamp INTEGER, typeId INTEGER NOT NULL, metricId INTEGER NOT NULL, value INTEGER NOT NULL",
    "TARGET_INFO_GPU_METRICS": (
        "typeId INTEGER NOT NULL, sourceId INTEGER NOT NULL, typeName TEXT NOT NULL, metricId INTEGER NOT NULL, "
        "metricName TEXT NOT NULL"
    ),
    "GENERIC_EVENTS": (
        "rawTimestamp INTEGER NOT NULL, timestamp INTEGER, typeId INTEGER NOT NULL, data TEXT NOT NULL"
    ),
    "GENERIC_EVENT_TYPES": "typeId INTEGER NOT NULL PRIMARY KEY, sourceId INTEGER NOT NULL, data TEXT NOT NULL",
    "DIAGNOSTIC_EVENT": (
        "timestamp INTEGER NOT NULL, timestampType INTEGER NOT NULL, source INTEGER NOT NULL, "
        "severity INTEGER NOT NULL, text TEXT NOT NULL, globalPid INTEGER"
    ),
}  # fmt: skip


def build(path: Path, **tables: list[dict[str, Any]]) -> Path:
    """An export with these tables' rows; each has what makes it one (META_DATA_EXPORT)."""
    tables.setdefault("META_DATA_EXPORT", [{"name": "EXPORT_SCHEMA_VERSION", "value": "3.24.0"}])
    con = sqlite3.connect(path)
    for table, rows in tables.items():
        con.execute(f"CREATE TABLE {table} ({SCHEMA[table]})")
        for row in rows:
            con.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})", list(row.values())
            )
    con.commit()
    con.close()
    return path


def kernel(start: int, end: int, name: int = 1, **more: Any) -> dict[str, Any]:
    """A row of the kernel table."""
    base = {"start": start, "end": end, "deviceId": 0, "contextId": 1, "streamId": 7, "globalPid": global_id(10)}
    return {**base, "demangledName": name, "shortName": name, **more}


def call(start: int, end: int, correlation: int, name: int = 2, **more: Any) -> dict[str, Any]:
    """A row of the table of CUDA calls."""
    base = {"start": start, "end": end, "eventClass": 0, "globalTid": global_id(10, 10), "returnValue": 0}
    return {**base, "correlationId": correlation, "nameId": name, **more}


def nvtx(start: int, end: int | None, text: str | None, kind: int = 59, **more: Any) -> dict[str, Any]:
    """A row of the NVTX table."""
    base = {"start": start, "end": end, "eventType": kind, "globalTid": global_id(10, 10), "domainId": 0}
    return {**base, "text": text, **more}


STRINGS = [{"id": 1, "value": "gemm<float>"}, {"id": 2, "value": "cudaLaunchKernel_v7000"}]


def ordinary(path: Path) -> Path:
    """An export with a little of everything, over a few pages of the file."""
    domain = nvtx(0, None, "postmortem", 75, domainId=1)
    ranges = [nvtx(1000 * i, 1000 * i + 900, f"iteration n={i} batch=4", domainId=1) for i in range(200)]
    return build(
        path,
        StringIds=STRINGS,
        TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": 1_800_000_000_000_000_000}],
        ANALYSIS_DETAILS=[{"globalVid": 0, "duration": 1_000_000}],
        META_DATA_CAPTURE=[{"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "RANK=3"}],
        TARGET_INFO_GPU=[{"vmId": 0, "id": 0, "name": "H100", "cuDevice": 0}],
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(1000 * i + 100, 1000 * i + 500, correlationId=i) for i in range(200)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[call(1000 * i + 10, 1000 * i + 60, i) for i in range(200)],
        NVTX_EVENTS=[domain, *ranges],
        GPU_METRICS=[{"timestamp": 100 * i, "typeId": 256, "metricId": 1, "value": i % 100} for i in range(300)],
        TARGET_INFO_GPU_METRICS=[
            {"typeId": 256, "sourceId": 1, "typeName": "GPU", "metricId": 1, "metricName": "SMs Active [Throughput %]"}
        ],
    )
