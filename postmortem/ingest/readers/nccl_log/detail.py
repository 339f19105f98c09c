"""From a record of a known kind to the row of its own table."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from postmortem.ingest.readers.nccl_log.calls import tuning_bytes
from postmortem.ingest.readers.nccl_log.comms import PIECES
from postmortem.ingest.readers.nccl_log.grammar import (
    ALGORITHMS,
    DATATYPE_BYTES,
    DATATYPES,
    OPS,
    PROTOCOLS,
    Kind,
    named,
)
from postmortem.ingest.readers.nccl_log.rows import integer, pointer

if TYPE_CHECKING:
    from postmortem.ingest.readers.nccl_log.read import Pass
    from postmortem.ingest.readers.nccl_log.records import Record

Writer = Callable[["Pass", "Record", int, Kind], None]

# NET/NAME/DEVICE[(rank whose NIC it is)][/GDRDMA[(PCI)]][/Shared]; NAME may hold blanks.
_NET = re.compile(r"NET/(.+?/-?\d+)(?:\((\d{1,9})\))?(/GDRDMA(?:\([^)]*\))?)?(?:/.*)?")
_SEPARATOR = re.compile(r"-?\d+\.")  # some versions print a number and a full stop


def year_of(ns: int) -> int | None:
    """The year of a UTC epoch time in ns; None outside of what a calendar knows."""
    try:
        return datetime.fromtimestamp(ns // 1_000_000_000, UTC).year
    except (ValueError, OverflowError, OSError):
        return None


def _place(record: Record, line: int) -> int:
    return line * PIECES + record.piece


def _ns(record: Record) -> int | None:
    return record.stamp.ns if record.stamp else None


def _version(run: Pass, record: Record, _line: int, kind: Kind) -> None:
    run.communicators.say_version((record.host, record.pid), kind.parts["version"] or "")


def _communicator(run: Pass, record: Record, line: int, kind: Kind) -> None:
    process = (record.host, record.pid)
    run.communicators.tell(kind.kind, process, _place(record, line), kind.parts, _ns(record))


def _timings(run: Pass, record: Record, _line: int, kind: Kind) -> None:
    run.communicators.took((record.host, record.pid), kind.parts)


def _call(run: Pass, record: Record, line: int, kind: Kind) -> None:
    parts = kind.parts
    func, root = parts["func"] or "", int(parts["root"] or 0)
    count, datatype = int(parts["count"] or 0), int(parts["datatype"] or 0)
    nranks, address = int(parts["nranks"] or 0), pointer(parts["comm"]) or 0
    process = (record.host, record.pid)
    found, key, k = run.calls.number(process, _place(record, line), address, func, root)
    rank = found.rank if found else None
    if rank in (0, None):
        thread = (record.host, record.pid, record.tid)
        run.calls.made(thread, func, tuning_bytes(func, count, datatype, nranks), key, k, rank == 0)
    size = DATATYPE_BYTES[datatype] * count if datatype < len(DATATYPE_BYTES) else None
    run.rows.add(
        "nccl_calls", line, record.piece, record.host, record.pid, record.tid, record.dev,
        _ns(record), record.stamp.whose if record.stamp else None, func,
        int(parts["op_count"] or "0", 16), count, named(DATATYPES, parts["datatype"] or "0", "type"),
        named(OPS, parts["op"] or "0", "user"),
        size if size is not None and size < 1 << 64 else None,
        root, nranks, address, found.number if found else None, key, rank, k,
        pointer(parts["stream"]) or 0,
    )  # fmt: skip


def _tuning(run: Pass, record: Record, line: int, kind: Kind) -> None:
    parts = kind.parts
    algo, proto = parts.get("algo"), parts.get("proto")
    if kind.kind == "tuning_numeric":
        algo = named(ALGORITHMS, algo or "-1", "algo")
        proto = named(PROTOCOLS, proto or "-1", "proto")
    size = int(parts["bytes"] or 0)
    predicted = parts.get("predicted_us")
    thread = (record.host, record.pid, record.tid)
    key, k = run.calls.chosen_for(thread, parts.get("func"), size)
    run.rows.add(
        "nccl_tuning", line, record.piece, record.host, record.pid, record.tid, record.dev,
        _ns(record), parts.get("func"), parts.get("variant"), size, algo, proto,
        integer(parts.get("channel_lo")), integer(parts.get("channel_hi")),
        float(predicted) if predicted else None, parts.get("kernel"), integer(parts.get("channels")),
        integer(parts.get("threads")), key, k,
    )  # fmt: skip


def _connection(run: Pass, record: Record, line: int, kind: Kind) -> None:
    parts = kind.parts
    via = parts["via"] or ""
    net = _NET.fullmatch(via)
    run.rows.add(
        "nccl_connections", line, record.piece, record.host, record.pid, record.dev,
        int(parts["channel"] or 0), integer(parts["index"]), int(parts["from_rank"] or 0),
        int(parts["to_rank"] or 0), parts["from_dev"], parts["to_dev"], parts["direction"],
        "NET" if net else via, net[1] if net else None, integer(net[2]) if net else None,
        net[3] is not None if net else None,
    )  # fmt: skip


def _setting(run: Pass, record: Record, line: int, kind: Kind) -> None:
    value = (kind.parts["value"] or "").strip()
    if _SEPARATOR.fullmatch(value):
        value = value[:-1]
    run.rows.add(
        "nccl_settings", line, record.piece, record.host, record.pid, record.tid,
        kind.parts["name"], value,
    )  # fmt: skip


def _error(run: Pass, record: Record, line: int, kind: Kind) -> None:
    process = (record.host, record.pid)
    told = run.troubles.read(kind.kind, process, record.message, integer(kind.parts.get("result")))
    run.rows.add(
        "nccl_errors", line, record.piece, record.host, record.pid, record.tid, record.dev,
        _ns(record), kind.kind, told.peer, told.port, told.status, told.vendor, told.result,
        told.hca, record.loc or kind.parts.get("place"), told.first_cause, record.message,
    )  # fmt: skip


WRITERS: dict[str, Writer] = {
    "version": _version,
    "init_start": _communicator,
    "init_complete": _communicator,
    "destroy_abort": _communicator,
    "comm_topo": _communicator,
    "init_timings": _timings,
    "coll": _call,
    "tuning_named": _tuning,
    "tuning_numeric": _tuning,
    "channel_conn": _connection,
    "env_set": _setting,
    "error_unwind": _error,
    "socket_retry": _error,
    "socket_fail": _error,
    "ib_completion": _error,
    "ib_async": _error,
    "warn_other": _error,
}
