"""JSON Lines: one object a row."""

from __future__ import annotations

import msgspec
import polars as pl

from postmortem.render.format import Format, Look, rows


def write(frame: pl.DataFrame, _look: Look) -> bytes:
    """The rows, each an object on its own line."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows(frame))


FORMAT = Format("jsonl", "one JSON object a line", binary=False, make=write)
