"""CSV as RFC 4180 has it, with a header; null is an empty field, an empty string is quoted."""

from __future__ import annotations

import polars as pl

from postmortem.render.format import Cell, Format, Look, rows, text

_QUOTED = frozenset('",\r\n')


def _field(value: Cell) -> str:
    written = text(value)
    if value == "" or not _QUOTED.isdisjoint(written) or written != written.strip():
        return '"' + written.replace('"', '""') + '"'
    return written


def write(frame: pl.DataFrame, _look: Look) -> bytes:
    """A header and the rows, lines ended by LF, UTF-8."""
    lines = [",".join(_field(name) for name in frame.columns)]
    lines += [",".join(_field(value) for value in row.values()) for row in rows(frame)]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


FORMAT = Format("csv", "comma-separated, with a header", binary=False, make=write)
