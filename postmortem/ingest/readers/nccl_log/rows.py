"""Rows of the reader's tables, gathered column by column and handed on as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from postmortem.ingest.reader import Batch

_S, _I32, _I64, _U64, _F, _B = (
    pa.string(), pa.int32(), pa.int64(), pa.uint64(), pa.float64(), pa.bool_(),
)  # fmt: skip
_PLACE = [("line", _I64), ("piece", _I32), ("host", _S), ("pid", _I64)]

SCHEMAS: dict[str, pa.Schema] = {
    "nccl_records": pa.schema([
        ("line", _I64), ("piece", _I32), ("level", _S), ("kind", _S), ("host", _S), ("pid", _I64),
        ("tid", _I64), ("dev", _I32), ("t_ns", _I64), ("time_from", _S), ("time_local", _B),
        ("loc", _S), ("msg", _S), ("torn", _B), ("prefix_rank", _I32),
    ]),
    "nccl_communicators": pa.schema([
        ("comm_no", _I32), ("comm_key", _S), ("comm_id", _S), ("host", _S), ("pid", _I64),
        ("comm", _U64), ("parent", _U64), ("parent_key", _S), ("split_count", _I64), ("color", _I64),
        ("key", _I64), ("rank", _I32), ("nranks", _I32), ("cuda_dev", _I32), ("nvml_dev", _I32),
        ("bus_id", _S), ("n_nodes", _I32), ("local_ranks", _I32), ("local_rank", _I32),
        ("function", _S), ("version", _S), ("start_line", _I64), ("complete_line", _I64),
        ("end_line", _I64), ("end_how", _S), ("complete_ns", _I64), ("init_s", _F),
    ]),
    "nccl_calls": pa.schema([
        *_PLACE, ("tid", _I64), ("dev", _I32), ("t_ns", _I64), ("time_from", _S), ("func", _S),
        ("op_count", _U64), ("count", _U64), ("datatype", _S), ("op", _S), ("bytes", _U64),
        ("root", _I32), ("nranks", _I32), ("comm", _U64), ("comm_no", _I32), ("comm_key", _S),
        ("rank", _I32), ("call_no", _I64), ("stream", _U64),
    ]),
    "nccl_tuning": pa.schema([
        *_PLACE, ("tid", _I64), ("dev", _I32), ("t_ns", _I64), ("func", _S), ("variant", _S),
        ("bytes", _U64), ("algo", _S), ("proto", _S), ("channel_lo", _I32), ("channel_hi", _I32),
        ("predicted_us", _F), ("kernel", _S), ("channels", _I32), ("threads", _I32),
        ("comm_key", _S), ("call_no", _I64),
    ]),
    "nccl_connections": pa.schema([
        *_PLACE, ("dev", _I32), ("channel", _I32), ("conn_index", _I32), ("from_rank", _I32),
        ("to_rank", _I32), ("from_dev", _S), ("to_dev", _S), ("direction", _S), ("transport", _S),
        ("nic", _S), ("proxy_rank", _I32), ("gdr", _B),
    ]),
    "nccl_errors": pa.schema([
        *_PLACE, ("tid", _I64), ("dev", _I32), ("t_ns", _I64), ("kind", _S), ("peer", _S),
        ("peer_port", _I32), ("status", _I32), ("vendor", _I32), ("result", _I32), ("hca", _S),
        ("loc", _S), ("first_cause", _B), ("msg", _S),
    ]),
    "nccl_settings": pa.schema([*_PLACE, ("tid", _I64), ("name", _S), ("value", _S)]),
    "torch_watchdog": pa.schema([
        ("line", _I64), ("kind", _S), ("rank", _I32), ("prefix_rank", _I32), ("pg", _S), ("pg_name", _S), ("seq", _I64),
        ("op", _S), ("numel", _I64), ("numel_out", _I64), ("timeout_ms", _F), ("ran_ms", _F),
        ("last_enqueued", _I64), ("last_completed", _I64), ("t_ns", _I64), ("time_text", _S),
    ]),
}  # fmt: skip


class Rows:
    """Columns of every table, filled row by row."""

    def __init__(self) -> None:
        self._columns: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}

    def add(self, table: str, *values: Any) -> None:
        """Append a row: its values in the order of the table's schema."""
        self._columns[table].append(values)

    def take(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a table, which are then gone from here."""
        rows = self._columns[table]
        self._columns[table] = []
        return rows

    def batches(self) -> Iterator[Batch]:
        """All that was gathered, as one batch a table; then they are gone from here."""
        for name in SCHEMAS:
            rows = self.take(name)
            if rows:
                yield batch(name, rows)


def batch(table: str, rows: list[tuple[Any, ...]]) -> Batch:
    """Rows as a batch of ``table``."""
    schema = SCHEMAS[table]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
    return Batch(table, pa.Table.from_arrays(arrays, schema=schema))


def integer(text: str | None) -> int | None:
    """A decimal number; None stays None."""
    return None if text is None else int(text)


def pointer(text: str | None) -> int | None:
    """A printed pointer as a number; ``(nil)`` is 0, None stays None."""
    if text is None:
        return None
    return 0 if text == "(nil)" else int(text, 16)
