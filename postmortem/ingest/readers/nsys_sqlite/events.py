"""What the GPUs and the CUDA calls did: tables that need no more than renaming and names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.rows import Column, Kind, Ledger, checked_times, rows
from postmortem.ingest.readers.nsys_sqlite.strings import Strings

# The exporter's ENUM_ tables may be absent (lazy) and their labels change; the ids do not.
DIRECTIONS = {
    0: "unknown", 1: "HtoD", 2: "DtoH", 3: "HtoA", 4: "AtoH", 5: "AtoA", 6: "AtoD", 7: "DtoA", 8: "DtoD",
    9: "HtoH", 10: "PtoP", 11: "unified HtoD", 12: "unified DtoH", 13: "unified DtoD",
}  # fmt: skip
SYNCS = {1: "event", 2: "stream_wait", 3: "stream", 4: "context"}
APIS = {0: "runtime", 1: "driver"}


@dataclass(frozen=True)
class Field:
    """A column of the store and the export's column that fills it.

    turn: "" as it is, "name" an id of StringIds, "function" the same without the version
    suffix, or a map of ids to labels (an unknown id is kept as its number).
    """

    store: str
    export: str
    turn: Literal["", "name", "function"] | tuple[tuple[int, str], ...] = ""
    kind: Kind = "int"
    required: bool = False


@dataclass(frozen=True)
class EventTable:
    """A table of the export, and the table of the store that it goes into."""

    export: str
    store: str
    fields: tuple[Field, ...]


_SPAN = (Field("start_ns", "start", required=True), Field("end_ns", "end", required=True))
_GPU = (
    Field("device_id", "deviceId"),
    Field("context_id", "contextId"),
    Field("green_context_id", "greenContextId"),
    Field("stream_id", "streamId"),
    Field("correlation_id", "correlationId"),
    Field("global_pid", "globalPid"),
)


def _same(**pairs: str) -> tuple[Field, ...]:
    return tuple(Field(store, export) for store, export in pairs.items())


TABLES = (
    EventTable(
        "CUPTI_ACTIVITY_KIND_KERNEL",
        "kernels",
        (
            *_SPAN,
            *_GPU,
            Field("demangled_name", "demangledName", "name"),
            Field("short_name", "shortName", "name"),
            Field("mangled_name", "mangledName", "name"),
            *_same(
                launch_type="launchType", cache_config="cacheConfig", registers_per_thread="registersPerThread",
                grid_x="gridX", grid_y="gridY", grid_z="gridZ", block_x="blockX", block_y="blockY", block_z="blockZ",
                static_shared_memory="staticSharedMemory", dynamic_shared_memory="dynamicSharedMemory",
                local_memory_per_thread="localMemoryPerThread", local_memory_total="localMemoryTotal",
                grid_id="gridId", shared_memory_executed="sharedMemoryExecuted", graph_node_id="graphNodeId",
                shared_memory_limit_config="sharedMemoryLimitConfig", qmd_bulk_release_done="qmdBulkReleaseDone",
                qmd_preexit_done="qmdPreexitDone", qmd_last_cta_done="qmdLastCtaDone", graph_id="graphId",
                cluster_x="clusterX", cluster_y="clusterY", cluster_z="clusterZ",
                cluster_scheduling_policy="clusterSchedulingPolicy",
                max_potential_cluster_size="maxPotentialClusterSize", max_active_clusters="maxActiveClusters",
                shared_memory_requested_percentage="sharedMemoryRequestedPercentage",
            ),
            Field("tensor_size_minus_one_elements", "tensorSizeMinusOneElements", kind="text"),
        ),
    ),
    EventTable(
        "CUPTI_ACTIVITY_KIND_RUNTIME",
        "cuda_api",
        (
            *_SPAN,
            Field("api", "eventClass", tuple(APIS.items())),
            Field("name", "nameId", "function"),
            Field("recorded_name", "nameId", "name"),
            *_same(
                global_tid="globalTid", correlation_id="correlationId", return_value="returnValue",
                callchain_id="callchainId",
            ),
        ),
    ),
    EventTable(
        "CUPTI_ACTIVITY_KIND_MEMCPY",
        "memcpys",
        (
            *_SPAN,
            *_GPU,
            Field("direction", "copyKind", tuple(DIRECTIONS.items())),
            *_same(
                bytes="bytes", copy_kind="copyKind", src_kind="srcKind", dst_kind="dstKind",
                src_device_id="srcDeviceId", src_context_id="srcContextId", dst_device_id="dstDeviceId",
                dst_context_id="dstContextId", migration_cause="migrationCause", graph_node_id="graphNodeId",
                virtual_address="virtualAddress", copy_count="copyCount",
            ),
        ),
    ),
    EventTable(
        "CUPTI_ACTIVITY_KIND_MEMSET",
        "memsets",
        (*_SPAN, *_GPU, *_same(value="value", bytes="bytes", graph_node_id="graphNodeId", mem_kind="memKind")),
    ),
    EventTable(
        "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION",
        "synchronizations",
        (
            *_SPAN,
            *_GPU,
            Field("sync_name", "syncType", tuple(SYNCS.items())),
            *_same(sync_type="syncType", event_id="eventId", event_sync_id="eventSyncId"),
        ),
    ),
    EventTable(
        "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
        "graph_launches",
        (*_SPAN, *_GPU, *_same(graph_id="graphId", graph_exec_id="graphExecId")),
    ),
    *(
        EventTable(
            export,
            "profiler_overhead",
            (
                *_SPAN,
                Field("name", "nameId", "name"),
                *_same(
                    global_tid="globalTid", correlation_id="correlationId", overhead_type="overheadType",
                    return_value="returnValue",
                ),
            ),
        )
        for export in ("PROFILER_OVERHEAD", "CUPTI_ACTIVITY_KIND_OVERHEAD")
    ),
)  # fmt: skip


@dataclass
class Seen:
    """What the notes and the source's facts want to know of the events."""

    first_ns: int | None = None
    last_ns: int | None = None
    gpu_processes: set[int] = field(default_factory=set)
    collective_devices: set[tuple[int, int]] = field(default_factory=set)  # (process, device) with NCCL's kernels
    kernels_of_graphs: bool = False
    graph_launch_calls: int = 0

    def span(self, start: pa.Array, end: pa.Array | None = None) -> None:
        """Widens first and last by these times."""
        low = pc.min(start).as_py()
        high = pc.max(start if end is None else end).as_py()
        if low is not None:
            self.first_ns = low if self.first_ns is None else min(low, self.first_ns)
        if high is not None:
            self.last_ns = high if self.last_ns is None else max(high, self.last_ns)


def read(db: Database, table: EventTable, strings: Strings, ledger: Ledger, seen: Seen) -> Iterator[Batch]:
    """Batches of one table; columns that the export lacks are left out."""
    wanted: dict[str, Column] = {}
    fields = [f for f in table.fields if f.required or f.export in db.tables.get(table.export, ())]
    for f in fields:
        wanted.setdefault(f.export, Column(f.export, f.kind, f.required))
    for batch in rows(db, table.export, tuple(wanted.values()), ledger):
        batch = checked_times(table.export, batch, "start", "end", ledger)
        columns = {f.store: _turned(batch.column(f.export), f, strings) for f in fields}
        if table.store == "profiler_overhead":
            columns["recorded_in"] = pa.array([table.export] * batch.num_rows, pa.string())
        _look(table.store, columns, seen)
        yield Batch(table.store, pa.table(columns))


def _turned(values: pa.Array, f: Field, strings: Strings) -> pa.Array:
    if f.turn == "":
        return values
    if f.turn == "name":
        return strings.names(values)
    if f.turn == "function":
        return _without_version(strings.names(values))
    return labelled(values, dict(f.turn))


def _without_version(names: pa.Array) -> pa.Array:
    pattern = "_v[0-9]+$"  # cudaLaunchKernel_v7000
    if pa.types.is_dictionary(names.type):
        plain = pc.replace_substring_regex(names.dictionary, pattern, "")
        return pa.DictionaryArray.from_arrays(names.indices, plain)
    return pc.replace_substring_regex(names, pattern, "")


def labelled(ids: pa.Array, labels: dict[int, str]) -> pa.Array:
    """Labels of ids as a dictionary; an id without a label becomes its number."""
    encoded = ids.dictionary_encode()
    names = pa.array([labels.get(i, str(i)) for i in encoded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(encoded.indices, names)


def _look(store: str, columns: dict[str, pa.Array], seen: Seen) -> None:
    seen.span(columns["start_ns"], columns["end_ns"])
    if store in {"kernels", "graph_launches"}:
        processes = pc.unique(columns["global_pid"]).to_pylist() if "global_pid" in columns else []
        seen.gpu_processes |= {p for p in processes if p is not None}
    if store == "kernels" and {"global_pid", "device_id", "demangled_name"} <= columns.keys():
        where = pa.table([columns["global_pid"], columns["device_id"]], ["pid", "device"])
        met = where.filter(_matching(columns["demangled_name"], "^nccl")).drop_null().group_by(["pid", "device"])
        seen.collective_devices |= {(r["pid"], r["device"]) for r in met.aggregate([]).to_pylist()}
    if store == "kernels" and "graph_node_id" in columns:
        nodes = columns["graph_node_id"]
        seen.kernels_of_graphs |= nodes.null_count < len(nodes)
    if store == "cuda_api" and "name" in columns:
        seen.graph_launch_calls += int(pc.sum(_matching(columns["name"], "^cu(?:da)?GraphLaunch")).as_py() or 0)


def _matching(names: pa.Array, pattern: str) -> pa.Array:
    """Which names match: each distinct one is looked at once."""
    encoded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    hits = pc.fill_null(pc.match_substring_regex(encoded.dictionary, pattern), fill_value=False)
    wanted = np.flatnonzero(hits.to_numpy(zero_copy_only=False)).astype(np.int32)
    return pc.is_in(encoded.indices, pa.array(wanted))
