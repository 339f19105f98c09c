"""One JSON document: an array of objects, an empty array where there are no rows."""

from __future__ import annotations

import msgspec
import polars as pl

from postmortem.render.format import Format, Look, rows


def write(frame: pl.DataFrame, _look: Look) -> bytes:
    """The rows as an array of objects, one a line."""
    lines = [msgspec.json.encode(row) for row in rows(frame)]
    if not lines:
        return b"[]\n"
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


FORMAT = Format("json", "one array of objects", binary=False, make=write)
