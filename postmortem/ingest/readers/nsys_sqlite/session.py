"""The session and the machine: clocks, versions, processes, devices, the captured environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.rows import Column, Kind, Ledger, rows
from postmortem.ingest.readers.nsys_sqlite.strings import Strings, tidied

RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
SEVERITIES = {1: "info", 2: "warning", 3: "error", 4: "verbose"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PADDING = {"", "="}  # what base64 has behind a last "=": an empty value looks the same, and tells nothing
SECRET_ENTRIES = {"DeviceEnvironment"}  # of TARGET_INFO_SYSTEM_ENV: the machine's whole environment


@dataclass
class Session:
    """What an export says about itself; None where it does not."""

    exporter: str | None = None
    schema: str | None = None
    exported_at: str | None = None
    start_utc_ns: int | None = None
    duration_ns: int | None = None
    system_clock_ns: int | None = None
    graph_trace: str | None = None
    derived_from: str | None = None
    normalized: bool = False
    shift_ns: int = 0
    only_tables: str | None = None
    only_times: str | None = None
    machine: dict[str, str] = field(default_factory=dict)
    environment: list[tuple[str | None, str, str]] = field(default_factory=list)

    @property
    def origin_ns(self) -> int | None:
        """UTC epoch ns of the export's time 0: ``--ts-normalize`` makes all times UTC, ``--ts-shift`` adds to them."""
        start = 0 if self.normalized else self.start_utc_ns
        return None if start is None else start - self.shift_ns

    @property
    def end_ns(self) -> int | None:
        """The session's end in the export's times, None where it is unknown."""
        start = self.start_utc_ns if self.normalized else 0
        return None if start is None or self.duration_ns is None else start + self.shift_ns + self.duration_ns

    @property
    def renumbers_devices(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES may make a process's ordinals other than the machine's; redacted, it may."""
        orders = [v.split(",") for _, name, v in self.environment if name == "CUDA_VISIBLE_DEVICES"]
        return any(order != [str(i) for i in range(len(order))] for order in orders)

    def ranks(self) -> tuple[str, set[int]] | None:
        """(variable, its values over all processes) of the first variable that tells a rank."""
        for variable in RANK_VARIABLES:
            values = {v for _, name, v in self.environment if name == variable}
            ranks = {int(v) for v in values if v.isascii() and v.isdigit() and len(v) < 10}
            if ranks:
                return variable, ranks
        return None


def records(db: Database, table: str, ledger: Ledger, **columns: Kind) -> Iterator[dict[str, Any]]:
    """The rows of a small table, as dictionaries."""
    for batch in rows(db, table, [Column(c, kind) for c, kind in columns.items()], ledger):
        yield from batch.to_pylist()


def read_session(db: Database, ledger: Ledger) -> Session:
    """The session: one row tables and the tables of names and values."""
    session = Session()
    for table in ("EXPORT_META_DATA", "META_DATA_EXPORT"):
        meta = {r["name"]: r["value"] for r in records(db, table, ledger, name="text", value="text")}
        session.exporter = meta.get("EXPORT_PRODUCT_VERSION") or session.exporter
        session.schema = meta.get("EXPORT_SCHEMA_VERSION") or session.schema
        session.exported_at = meta.get("EXPORT_TIME_UTC") or session.exported_at
        session.derived_from = meta.get("DERIVED_FROM") or session.derived_from
        session.normalized |= meta.get("EXPORT_PARAM_TIME_NORMALIZE") == "true"
        shift = meta.get("EXPORT_PARAM_TIME_SHIFT") or ""
        session.shift_ns = int(shift) if re.fullmatch("-?[0-9]{1,18}", shift) else session.shift_ns
        session.only_tables = meta.get("EXPORT_PARAM_TABLES_TO_EXPORT") or session.only_tables
        session.only_times = meta.get("EXPORT_PARAM_TIMES_TO_EXPORT") or session.only_times
    for r in records(db, "TARGET_INFO_SESSION_START_TIME", ledger, utcEpochNs="int", systemClockNs="int"):
        session.start_utc_ns = r["utcEpochNs"] if _plausible(r["utcEpochNs"]) else None
        session.system_clock_ns = r["systemClockNs"]
    for r in records(db, "ANALYSIS_DETAILS", ledger, duration="int"):
        if r["duration"] is not None:
            session.duration_ns = max(r["duration"], session.duration_ns or 0)
    for r in records(db, "META_DATA_CAPTURE", ledger, name="text", value="text"):
        _capture(session, r["name"] or "", r["value"] or "")
    for r in records(db, "TARGET_INFO_SYSTEM_ENV", ledger, name="text", value="text"):
        if r["name"] in SECRET_ENTRIES:
            session.environment += [(None, name, value) for name, value in _settings((r["value"] or "").strip("\0"))]
        elif r["name"]:
            session.machine[r["name"]] = r["value"] or ""
    return session


def _settings(block: str) -> Iterator[tuple[str, str]]:
    """Names and values of an environment. Where only its lines are told apart, a line may be a piece of the value
    before it, which is no name to show: of a key, of JSON, of a function.
    """
    exact = "\0" in block
    for setting in block.split("\0" if exact else "\n"):
        name, equals, value = setting.partition("=")
        if equals and (exact or (_VARIABLE.fullmatch(name) and value not in _PADDING)):
            yield name, value


def _plausible(ns: int | None) -> bool:
    """A UTC time between 1970 and 2116: what a damaged byte makes of one lies mostly outside."""
    return ns is not None and 0 < ns < 1 << 62


def _capture(session: Session, name: str, value: str) -> None:
    """``[PROCESS_n:]WHAT[:PART]`` of META_DATA_CAPTURE."""
    match = re.fullmatch(r"(PROCESS_\d+):(.+)", name)
    label, what = (match[1], match[2]) if match else (None, name)
    if what == "ENVIRONMENT_VARIABLE":
        variable, equals, setting = value.partition("=")
        if equals:
            session.environment.append((label, variable, setting))
    elif what.startswith("ARGUMENT_"):
        session.environment.append((label, what, value))
    elif what == "CUDA_GRAPH_TRACE_OPTIONS:MODE":
        session.graph_trace = value


def session_batches(session: Session, *, keep_environment: bool) -> Iterator[Batch]:
    """``nsys_sessions`` and ``nsys_environment``; values of the latter only where they may be kept."""
    cuda = session.machine.get("CudaDriverVersion", "")
    yield _batch(
        "nsys_sessions",
        {
            "exporter_version": pa.string(), "schema_version": pa.string(), "exported_at": pa.string(),
            "start_utc_ns": pa.int64(), "duration_ns": pa.int64(), "system_clock_ns": pa.int64(),
            "graph_trace": pa.string(), "host": pa.string(), "driver_version": pa.string(),
            "cuda_version": pa.int64(), "os": pa.string(), "derived_from": pa.string(),
        },
        [(
            session.exporter, session.schema, session.exported_at, session.start_utc_ns, session.duration_ns,
            session.system_clock_ns, session.graph_trace, session.machine.get("Hostname"),
            session.machine.get("NvDriverVersion"), int(cuda) if re.fullmatch("[0-9]{1,9}", cuda) else None,
            session.machine.get("OsDescription"), session.derived_from,
        )],
    )  # fmt: skip
    types = {"process": pa.string(), "name": pa.string(), "value": pa.string()}
    yield _batch(
        "nsys_environment", types, [(p, n, v if keep_environment else None) for p, n, v in session.environment]
    )


def machine_batches(
    db: Database, about: Session, strings: Strings, thread_names: dict[int, str], ledger: Ledger, keep_environment: bool
) -> Iterator[Batch]:
    """GPUs, network cards, streams, processes, threads, the profiler's own messages."""
    yield from _gpus(db, about, ledger)
    yield _table(
        db, ledger, "TARGET_INFO_NIC_INFO", "nics",
        nic_id="nicId!", name="name:text", guid="GUID", state="stateName:text", device_id="deviceId",
        vendor_id="vendorId", link_layer="linkLayer",
    )  # fmt: skip
    yield from _streams(db, ledger)
    processes = _table(db, ledger, "PROCESSES", "processes", global_pid="globalPid", pid="pid", name="name:text")
    names = tidied(processes.rows.column("name").combine_chunks(), keep_environment=keep_environment)
    yield Batch("processes", processes.rows.set_column(2, "name", names))
    threads: list[tuple[Any, ...]] = [(t, name, "nvtx") for t, name in thread_names.items()]
    for batch in rows(db, "ThreadNames", [Column("nameId"), Column("globalTid", required=True)], ledger):
        texts = strings.names(batch.column("nameId")).to_pylist()
        threads += [(t, n, "system") for t, n in zip(batch.column("globalTid").to_pylist(), texts, strict=True)]
    types = dict.fromkeys(("global_tid", "pid", "tid"), pa.int64()) | dict.fromkeys(("name", "named_by"), pa.string())
    yield _batch("threads", types, [(t, (t >> 24) & 0xFFFFFF, t & 0xFFFFFF, n, by) for t, n, by in threads])
    yield from _diagnostics(db, ledger, keep_environment)


def _diagnostics(db: Database, ledger: Ledger, keep_environment: bool) -> Iterator[Batch]:
    batch = _table(
        db, ledger, "DIAGNOSTIC_EVENT", "diagnostics",
        t_ns="timestamp!", severity="severity", source="source", timestamp_type="timestampType",
        global_pid="globalPid", text="text:text",
    )  # fmt: skip
    found = batch.rows
    levels = [None if s is None else SEVERITIES.get(s, str(s)) for s in found.column("severity").to_pylist()]
    texts = tidied(found.column("text").combine_chunks(), keep_environment=keep_environment)
    found = found.set_column(1, "severity", pa.array(levels, pa.string()))
    yield Batch("diagnostics", found.set_column(5, "text", texts))


def _gpus(db: Database, about: Session, ledger: Ledger) -> Iterator[Batch]:
    """GPUs, and which of them a process's CUDA ordinal is: the newest way that the export has, if it has one."""
    old = db.has("TARGET_INFO_GPU", "deviceId") and not db.has("TARGET_INFO_GPU", "id")
    number = "deviceId" if old else "id"
    gpus = _table(
        db, ledger, "TARGET_INFO_GPU", "gpus",
        gpu_id=f"{number}!", name="name:text", bus="busLocation:text", uuid="uuid:text", chip="chipName:text",
        cuda_device="deviceId" if old else "cuDevice", memory_bytes="totalMemory",
        memory_bandwidth="memoryBandwidth", l2_bytes="l2CacheSize", clock_hz="clockRate", sm_count="smCount",
        compute_major="computeMajor", compute_minor="computeMinor",
    )  # fmt: skip
    yield gpus
    devices: list[tuple[Any, ...]] = [
        (r["pid"], r["cudaId"], r["gpuId"], "TARGET_INFO_CUDA_DEVICE")
        for r in records(db, "TARGET_INFO_CUDA_DEVICE", ledger, pid="int", cudaId="int", gpuId="int")
        if r["cudaId"] is not None and r["gpuId"] is not None
    ]
    if not devices and not about.renumbers_devices:
        pairs = zip(gpus.rows.column("cuda_device").to_pylist(), gpus.rows.column("gpu_id").to_pylist(), strict=True)
        devices = [(None, cuda, gpu, "TARGET_INFO_GPU") for cuda, gpu in pairs if cuda is not None]
    types = {"pid": pa.int64(), "device_id": pa.int64(), "gpu_id": pa.int64(), "known_from": pa.string()}
    yield _batch("gpu_devices", types, devices)


def _streams(db: Database, ledger: Ledger) -> Iterator[Batch]:
    """Streams; the default ones come from a table of their own, whose name changed in 2023.4."""
    default: dict[tuple[Any, ...], Any] = {}
    tables = {"TARGET_INFO_CUDA_NULL_STREAM": "streamId", "TARGET_INFO_CUDA_CONTEXT_INFO": "nullStreamId"}
    for table, stream in tables.items():
        columns: dict[str, Kind] = {stream: "int", "processId": "int", "contextId": "int", "deviceId": "int"}
        for r in records(db, table, ledger, **columns):
            default[r["processId"], r["contextId"], r[stream]] = r["deviceId"]
    found: list[tuple[Any, ...]] = []
    wanted: dict[str, Kind] = dict.fromkeys(("processId", "contextId", "streamId", "priority", "flag"), "int")
    for r in records(db, "TARGET_INFO_CUDA_STREAM", ledger, **wanted):
        key = (r["processId"], r["contextId"], r["streamId"])
        priority = r["priority"]
        if priority is not None and priority >= 1 << 31:  # a signed number of 32 bits, exported as unsigned
            priority -= 1 << 32
        found.append((*key, priority, r["flag"], key in default, default.pop(key, None)))
    found += [(*key, None, None, True, device) for key, device in default.items()]
    types = dict.fromkeys(("pid", "context_id", "stream_id", "priority", "flags"), pa.int64())
    types |= {"is_default": pa.bool_(), "device_id": pa.int64()}
    yield _batch("streams", types, [r for r in found if r[2] is not None])


def _table(db: Database, ledger: Ledger, export: str, store: str, **columns: str) -> Batch:
    """A small table with its columns renamed: ``store="export[:text][!]"``, ! = must have a value."""
    wanted = []
    for text in columns.values():
        name, _, kind = text.rstrip("!").partition(":")
        wanted.append(Column(name, "text" if kind == "text" else "int", text.endswith("!")))
    batches = [
        pa.table([b.column(c.name) for c in wanted], names=list(columns))
        for b in rows(db, export, list({c.name: c for c in wanted}.values()), ledger)
    ]
    types = [pa.field(n, pa.string() if c.kind == "text" else pa.int64()) for n, c in zip(columns, wanted, strict=True)]
    return Batch(store, pa.concat_tables([pa.table([[] for _ in types], schema=pa.schema(types)), *batches]))


def _batch(store: str, types: dict[str, Any], found: list[tuple[Any, ...]]) -> Batch:
    by_column = list(zip(*found, strict=True)) or [()] * len(types)
    return Batch(store, pa.table({n: pa.array(v, t) for (n, t), v in zip(types.items(), by_column, strict=True)}))
