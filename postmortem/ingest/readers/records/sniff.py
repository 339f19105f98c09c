"""Recognise x and s records by what the first lines hold."""

from __future__ import annotations

from typing import Any

import msgspec

from postmortem.ingest.reader import HEAD_BYTES, Head
from postmortem.ingest.readers.records.model import KINDS, kind_of

LINES = 20  # a torn or foreign line may come first; twenty are read before giving up
PARQUET_MAGIC = b"PAR1"


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
        names = set(pq.read_schema(head.path).names)
    except (pa.ArrowException, OSError):
        return 0
    if {"record", "req_id"} <= names or any(n.endswith("_sha256") for n in names):
        return 90
    return 60 if {"req_id", "step"} <= names or {"rank", "iteration"} <= names else 0
