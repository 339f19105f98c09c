"""Nsight Compute CSV: ``--page raw`` (a launch a row) and the long form (a metric a row).

Both stand among ``==PROF==`` lines and the program's own output. Numbers carry the locale's
separators of thousands and decimals; the wide form has its units in a second line.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

from postmortem.base.metric_names import told_by
from postmortem.ingest.reader import Batch, Facts, Head, Ignored, Item, Note, Reader, Reject, Source

# Columns that tell of the launch; every other column of the wide form is a metric.
LAUNCH = {
    "Kernel Name": "kernel_name", "Process ID": "process_id", "Process Name": "process_name", "Host Name": "host",
    "Context": "context", "Stream": "stream", "Device": "device", "CC": "compute_capability",
    "Block Size": "block_size", "Grid Size": "grid_size", "Kernel Time": "launched_at",
}  # fmt: skip
ABOUT_METRIC = {"Section Name", "Metric Name", "Metric Unit", "Metric Value"}
LONG = {"Kernel Name", "Metric Name", "Metric Value"}
BATCH_ROWS = 100_000  # metrics kept in memory before they are handed on
LINE_BYTES = 1 << 20  # a longer line is no row: the widest real ones have some 4,000 metrics of 30 characters
SHOWN = 200

_POINT, _COMMA = (
    re.compile(rf"-?(?:[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+|\d+)(?:{decimals}\d+)?(?:[eE][+-]?\d+)?")
    for thousands, decimals in ((",", r"\."), (r"[.\s]", ","))
)
_ROW = re.compile(r'\s*(?:"|\d+,)')
_METRIC = re.compile(r"[a-z0-9]+__\w")


@dataclass
class _State:
    """Where the reader stands in the file: the last header, and what was read under it."""

    header: list[str] = field(default_factory=list)
    units: list[str] | None = None
    kernels: dict[tuple[str, ...], int] = field(default_factory=dict)
    launches: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    headers: int = 0
    parsed: int = 0
    texts: int = 0
    points: int = 0  # numbers that are ones with a decimal point only, and with a comma only: 1,234 may be either
    commas: int = 0


def sniff(head: Head) -> int:
    """90 where a line is the header of either form."""
    if b"Kernel Name" not in head.data:
        return 0
    for line in head.data.decode("utf-8-sig", "replace").splitlines():
        if "Kernel Name" in line and _header(_fields(line)):
            return 90  # less than a certain magic number: other tools copy this header
    return 0


def read(source: Source) -> Iterator[Item]:
    """Launches and metrics; every line is parsed, ignored by kind, or a reject."""
    state = _State()
    lines = 0
    with source.open() as stream:
        for lines, (raw, cut) in enumerate(_physical(stream), 1):
            text = raw.decode("utf-8-sig" if lines == 1 else "utf-8", "replace").rstrip("\r\n")
            reason = f"is longer than {LINE_BYTES} bytes" if cut else _line(state, text)
            if reason:
                yield Reject(lines, reason, text[:SHOWN])
            if len(state.metrics) >= BATCH_ROWS:
                yield from _batches(state)
    yield from _batches(state)
    for why, count in sorted(state.ignored.items()):
        yield Ignored(why, count)
    if state.commas > state.points:
        yield Note(
            "info", "ncu_decimal_comma", "its numbers are read with a decimal comma, as most can be read only so"
        )
    if state.texts:
        yield Note("info", "ncu_no_numbers", f"{state.texts} metric values are no numbers and are kept as text")
    if not state.kernels:
        yield Note("notice", "ncu_no_launch", "no kernel launch was profiled")
    yield Facts(lines=lines, parsed=state.parsed)


def _physical(stream: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each physical line, and whether it was cut for its length."""
    while line := stream.readline(LINE_BYTES):
        rest = line
        while len(rest) == LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(LINE_BYTES)
        yield line, rest is not line


def _line(state: _State, text: str) -> str | None:
    """Takes one line in; returns why it is a reject, or None."""
    if not text.strip():
        state.ignored["blank"] += 1
        return None
    if text.startswith("=="):
        state.ignored["the profiler's own lines"] += 1
        return None
    if not state.header or "Kernel Name" in text:
        fields = _fields(text)
        if _header(fields):
            state.header, state.units = fields, None
            state.headers += 1
            state.parsed += 1
            return None
    if not state.header or not _ROW.match(text):
        state.ignored["other programs' lines"] += 1
        return None
    fields = _fields(text)
    width = len(state.header)
    if len(fields) != width:
        return f"has {len(fields)} fields where its header has {width}"
    row = dict(zip(state.header, fields, strict=True))
    if state.units is None and not row.get("ID") and not row["Kernel Name"]:
        state.units = fields
        state.parsed += 1
        return None
    return _row(state, row)


def _row(state: _State, row: dict[str, str]) -> str | None:
    if not row["Kernel Name"]:
        return "has no kernel name"
    wide = "Metric Name" not in row
    if not wide and not row["Metric Name"]:
        state.ignored["rules, which hold no metric"] += 1
        return None
    launch = {column: row.get(name, "") for name, column in LAUNCH.items()}
    # A file of several runs starts its numbers anew under each header.
    key = (str(state.headers), row.get("ID", ""), *(launch[c] for c in ("process_id", "kernel_name", "context")))
    if wide and not row.get("ID"):
        key = (str(state.headers), str(state.parsed))
    number = state.kernels.get(key)
    if number is None:
        number = state.kernels[key] = len(state.kernels)
        pid = launch["process_id"]
        known: dict[str, Any] = {c: v or None for c, v in launch.items()}
        state.launches.append({"kernel_id": number, **known, "process_id": int(pid) if _whole(pid) else None})
    if wide:
        units = state.units or [""] * len(state.header)
        for name, unit, value in zip(state.header, units, row.values(), strict=True):
            if name != "ID" and name not in LAUNCH and value:
                _metric(state, number, name, unit, value)
    else:
        _metric(state, number, row["Metric Name"], row.get("Metric Unit", ""), row["Metric Value"])
    state.parsed += 1
    return None


def _metric(state: _State, kernel: int, name: str, unit: str, text: str) -> None:
    told = told_by(name)
    by_point, by_comma = _POINT.fullmatch(text) is not None, _COMMA.fullmatch(text) is not None
    state.points += by_point and not by_comma
    state.commas += by_comma and not by_point
    state.metrics.append({
        "kernel_id": kernel,
        "metric": name,
        "kind": told.kind if told else None,
        "reason": told.reason if told else None,
        "family": told.family if told else None,
        "unit": unit or None,
        "text": text,
    })  # fmt: skip


def _number(text: str, comma: bool) -> float | None:
    if comma:
        return float(re.sub(r"[.\s]", "", text).replace(",", ".")) if _COMMA.fullmatch(text) else None
    return float(text.replace(",", "")) if _POINT.fullmatch(text) else None


def _fields(line: str) -> list[str]:
    """The fields of one line of CSV; none where its quotes do not close."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _header(fields: list[str]) -> bool:
    """Whether these are the column names of either form."""
    found = set(fields)
    if len(found) != len(fields) or "Kernel Name" not in found:
        return False
    return found >= LONG or ("ID" in found and any(_METRIC.match(f) for f in found - ABOUT_METRIC))


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _batches(state: _State) -> Iterator[Batch]:
    words = {c: pa.string() for c in LAUNCH.values()} | {"process_id": pa.int64()}
    launches = pa.schema([("kernel_id", pa.int64()), *words.items()])
    yield Batch("ncu_kernels", pa.Table.from_pylist(state.launches, schema=launches))
    texts = [(c, pa.string()) for c in ("metric", "kind", "reason", "family", "unit", "text")]
    for row in state.metrics:
        row["value"] = _number(row["text"], state.commas > state.points)
        state.texts += row["value"] is None
    metrics = pa.schema([("kernel_id", pa.int64()), ("value", pa.float64()), *texts])
    yield Batch("ncu_metrics", pa.Table.from_pylist(state.metrics, schema=metrics))
    state.launches, state.metrics = [], []


READER = Reader(
    name="ncu",
    says="Nsight Compute CSV (ncu --csv, with or without --page raw)",
    sniff=sniff,
    read=read,
    anywhere=True,
)
