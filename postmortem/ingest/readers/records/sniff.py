"""Recognise x and s records by what the first lines hold."""

from __future__ import annotations

from typing import Any

import msgspec

from postmortem.ingest.reader import HEAD_BYTES, Head
from postmortem.ingest.readers.records.model import KINDS, kind_of

MARKED, FIELDS, LATE = 90, 60, 30  # who knows a text by its beginning, or another line of it, comes before LATE
LINES = 20  # a torn or foreign line may come first; after twenty a record must bear its mark
BOM = b"\xef\xbb\xbf"  # a byte order mark, as Windows' programs put it first
PARQUET_MAGIC = b"PAR1"
TEXTS = {"string", "large_string", "string_view", "null"}  # Arrow's types of a column of texts


def sniff(head: Head) -> int:
    """MARKED where a record bears its mark, FIELDS where its fields say so, LATE where marked ones come late, or 0."""
    if head.data.startswith(PARQUET_MAGIC):
        return _parquet(head)
    lines = head.data.removeprefix(BOM).split(b"\n")
    if len(head.data) == HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]  # cut in the middle
    first = 0 if b"\n" in head.begins else LINES
    if best := max(map(_vote, lines[:first]), default=0):
        return best
    return LATE if any(b'"record"' in line and _vote(line) == MARKED for line in lines[first:]) else 0


def _vote(line: bytes) -> int:
    """What a line says."""
    try:
        record: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    if not isinstance(record, dict) or not kind_of(record):
        return 0
    return MARKED if record.get("record") in KINDS else FIELDS


def _parquet(head: Head) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(head.path)
    except (pa.ArrowException, OSError):
        return 0
    names = set(schema.names)
    if "record" in names and not all(_texts(f.type) for f in schema if f.name == "record"):
        return 0  # another program's: a mark is a text
    if {"record", "req_id"} <= names or any(n.endswith("_sha256") for n in names):
        return MARKED
    return FIELDS if {"req_id", "step"} <= names or {"rank", "iteration"} <= names else 0


def _texts(kind: Any) -> bool:
    """Whether a column of this Arrow type may hold marks: texts, packed as they may be, or nothing at all."""
    packed = str(kind).startswith("dictionary<")
    return str(kind.value_type if packed else kind) in TEXTS
