"""The contract of an output format: rows in, bytes out, the same cells in all.

What a cell is, for every text format: integers exact; floats shortest that reads back the
same, decimals as floats where these hold them exactly; NaN is no figure and is written as
null, infinities as ``inf`` and ``-inf``; times in ISO 8601; lists and structs as JSON; binary
as hexadecimal. Parquet keeps the types themselves.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

#: What a cell can be once it is ready to be written.
Cell: TypeAlias = "bool | int | float | str | list[Any] | dict[str, Any] | None"

_LARGEST = 2**63


@dataclass(frozen=True)
class Look:
    """How a format may look on its way out: columns of the terminal, and whether in colour."""

    width: int = 80
    colour: bool = False


@dataclass(frozen=True)
class Format:
    """A format: its name, one line on it, whether it is binary, and how it makes bytes of rows."""

    name: str
    says: str
    binary: bool
    make: Callable[[pl.DataFrame, Look], bytes]

    def write(self, frame: pl.DataFrame, look: Look | None = None) -> bytes:
        """The rows as bytes; ``look`` matters to formats for people only."""
        return self.make(frame, look or Look())


def cell(value: object) -> Cell:
    """One value as JSON would hold it, nothing rounded."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < 2 * _LARGEST else str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return cell(int(value))
        near = float(value)
        return near if Decimal(repr(near)) == value else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b16encode(value).decode().lower()
    if isinstance(value, pl.Series):
        return [cell(v) for v in value.to_list()]
    if isinstance(value, list | tuple):
        return [cell(v) for v in value]
    if isinstance(value, dict):
        return {str(k): cell(v) for k, v in value.items()}
    return str(value)


def rows(frame: pl.DataFrame) -> Iterator[dict[str, Cell]]:
    """The frame's rows as cells by column name."""
    exact = frame.with_columns(_exact(pl.col(name), kind).alias(name) for name, kind in frame.schema.items())
    for row in exact.iter_rows(named=True):
        yield {name: cell(value) for name, value in row.items()}


def _exact(column: pl.Expr, kind: pl.DataType | DataTypeClass) -> pl.Expr:
    """The column with times of ns as text, also within lists and structs: Python's own times end at us."""
    if isinstance(kind, pl.Datetime) and kind.time_unit == "ns":
        return column.dt.to_string("iso:strict")
    if isinstance(kind, pl.List):
        return column.list.eval(_exact(pl.element(), kind.inner))
    if isinstance(kind, pl.Struct):
        return column.struct.with_fields(_exact(pl.field(f.name), f.dtype).alias(f.name) for f in kind.fields)
    return column


def text(value: Cell) -> str:
    """A cell as text; null is empty, lists and structs are JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return repr(value) if isinstance(value, float) else str(value)


def is_figure(dtype: pl.DataType) -> bool:
    """Whether a column holds figures, which stand right-aligned."""
    return dtype.is_numeric() or dtype == pl.Duration
