"""Recognise x and s records by what the first lines hold."""

from __future__ import annotations

from typing import Any

import msgspec

from postmortem.ingest.reader import HEAD_BYTES, Head
from postmortem.ingest.readers.records.model import KINDS, kind_of

LINES = 20  # a torn or foreign line may come first; twenty are read before giving up
PARQUET_MAGIC = b"PAR1"
TEXTS = {"string", "large_string", "string_view", "null"}  # Arrow's types of a column of texts


def sniff(head: Head) -> int:
    """90 where a record bears its mark, 60 where its fields alone say so, 0 otherwise."""
    if head.data.startswith(PARQUET_MAGIC):
        return _parquet(head)
    lines = head.data.split(b"\n")
    if len(head.data) == HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]  # cut in the middle
    best = 0
    for line in lines[:LINES]:
        try:
            record: Any = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(record, dict) and kind_of(record):
            best = max(best, 90 if record.get("record") in KINDS else 60)
    return best


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
        return 90
    return 60 if {"req_id", "step"} <= names or {"rank", "iteration"} <= names else 0


def _texts(kind: Any) -> bool:
    """Whether a column of this Arrow type may hold marks: texts, packed as they may be, or nothing at all."""
    packed = str(kind).startswith("dictionary<")
    return str(kind.value_type if packed else kind) in TEXTS
