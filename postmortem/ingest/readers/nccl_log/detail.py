"""From a record of a known kind to the row of its own table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from postmortem.ingest.readers.nccl_log.comms import PIECES
from postmortem.ingest.readers.nccl_log.grammar import (
    ALGORITHMS,
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


def _place(record: Record, line: int) -> int:
    return line * PIECES + record.piece


def _ns(record: Record) -> int | None:
    return record.stamp.ns if record.stamp else None


def _version(run: Pass, record: Record, _line: int, kind: Kind) -> None:
    run.communicators.say_version((record.host, record.pid), kind.parts["version"] or "")


def _communicator(run: Pass, record: Record, line: int, kind: Kind) -> None:
    process = (record.host, record.pid)
    run.communicators.tell(kind.kind, process, _place(record, line), kind.parts, _ns(record))
    if kind.kind == "init_complete":
        run.troubles.came_up(process)


def _timings(run: Pass, record: Record, _line: int, kind: Kind) -> None:
    run.communicators.took((record.host, record.pid), kind.parts)


def _shared(run: Pass, record: Record, line: int) -> dict[str, Any]:
    """What a call and a choice have in common."""
    return {
        "line": line, "piece": record.piece, "host": record.host, "pid": record.pid, "tid": record.tid,
        "dev": record.dev, "t_ns": _ns(record), "time_from": record.stamp.whose if record.stamp else None,
        "thread": run.calls.threads.of((record.host, record.pid, record.tid)),
    }  # fmt: skip


def _call(run: Pass, record: Record, line: int, kind: Kind) -> None:
    whole = {name: int(kind.parts[name] or 0) for name in ("count", "datatype", "op", "root", "nranks")}
    run.waiting.calls.append(
        {
            **_shared(run, record, line), **whole, "func": kind.parts["func"],
            "process": run.calls.processes.of((record.host, record.pid)),
            "op_count": int(kind.parts["op_count"] or "0", 16), "comm": pointer(kind.parts["comm"]),
            "stream": pointer(kind.parts["stream"]),
        }
    )  # fmt: skip


def _tuning(run: Pass, record: Record, line: int, kind: Kind) -> None:
    parts = kind.parts
    algo, proto = parts.get("algo"), parts.get("proto")
    if kind.kind == "tuning_numeric":
        algo = named(ALGORITHMS, algo or "-1", "algo")
        proto = named(PROTOCOLS, proto or "-1", "proto")
    predicted = parts.get("predicted_us")
    whole = {name: integer(parts.get(name)) for name in ("channel_lo", "channel_hi", "channels", "threads")}
    run.waiting.choices.append(
        {
            **_shared(run, record, line), **whole, "func": parts.get("func"), "variant": parts.get("variant"),
            "bytes": int(parts["bytes"] or 0), "algo": algo, "proto": proto, "kernel": parts.get("kernel"),
            "predicted_us": float(predicted) if predicted else None,
        }
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
