"""The calls and choices of a stretch of the file, numbered and as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.nccl_log.calls import ALL_RANKS, CALL, CHOICE, Calls
from postmortem.ingest.readers.nccl_log.comms import PIECES
from postmortem.ingest.readers.nccl_log.grammar import DATATYPE_BYTES, DATATYPES, OPS
from postmortem.ingest.readers.nccl_log.rows import SCHEMAS

_HEAD = {
    "line": pl.Int64, "piece": pl.Int32, "host": pl.String, "pid": pl.Int64, "tid": pl.Int64,
    "dev": pl.Int32, "t_ns": pl.Int64, "time_from": pl.String,
}  # fmt: skip
CALL_ROW = {
    **_HEAD, "op_count": pl.UInt64, "op": pl.Int64, "stream": pl.UInt64,
    **{name: kind for name, kind in CALL.items() if name != "place"},
}  # fmt: skip
CHOICE_ROW = {
    **_HEAD, "thread": pl.Int64, "func": pl.String, "variant": pl.String, "bytes": pl.UInt64,
    "algo": pl.String, "proto": pl.String, "channel_lo": pl.Int32, "channel_hi": pl.Int32,
    "predicted_us": pl.Float64, "kernel": pl.String, "channels": pl.Int32, "threads": pl.Int32,
}  # fmt: skip


@dataclass
class Waiting:
    """Calls and choices that were read line by line, until their stretch is numbered."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)

    def batches(self, numbers: Calls, calls: pl.DataFrame, choices: pl.DataFrame) -> Iterator[Batch]:
        """Rows of nccl_calls and nccl_tuning: those that waited and those read as columns."""
        all_calls = _together(self.calls, calls, CALL_ROW, numbers)
        all_choices = _together(self.choices, choices, CHOICE_ROW, numbers)
        self.calls, self.choices = [], []
        made = numbers.number(all_calls.select(list(CALL))) if len(all_calls) else None
        if made is not None:
            rows = _named(all_calls, made, numbers)
            yield frame_batch("nccl_calls", rows)
        if len(all_choices):
            numbers_alone = pl.col("predicted_us").is_not_null() & pl.col("variant").is_null()
            of_all = (numbers_alone & pl.col("func").is_in(ALL_RANKS)).fill_null(value=False)
            asked = all_choices.select("place", "thread", "func", size="bytes", of_all=of_all).cast(pl.Schema(CHOICE))
            empty = pl.DataFrame(schema={**CALL, "owner": pl.Int64, "call_no": pl.Int64})
            chosen = numbers.choose(empty if made is None else made, asked)
            told = all_choices.with_columns(chosen["owner"], chosen["call_no"])
            yield frame_batch("nccl_tuning", told.join(_owners(told, numbers), on="owner", how="left"))
        elif made is not None:
            numbers.choose(made, pl.DataFrame(schema=CHOICE))


def column_records(calls: pl.DataFrame, choices: pl.DataFrame) -> Iterator[Batch]:
    """Rows of nccl_records for lines that were read as columns."""
    for rows, kind in ((calls, "coll"), (choices, "tuning_named")):
        if len(rows):
            yield frame_batch(
                "nccl_records",
                rows.with_columns(piece=0, level=pl.lit("INFO"), kind=pl.lit(kind), torn=pl.lit(False)),
            )


def _together(
    waiting: list[dict[str, Any]], columns: pl.DataFrame, schema: dict[str, Any], numbers: Calls
) -> pl.DataFrame:
    """Both kinds of reading in the file's order, with their place, process and thread."""
    slow = pl.DataFrame(waiting, schema=schema)
    if len(columns):
        who = columns.select("who", "host", "pid", "tid").unique("who")
        who = who.with_columns(
            process=pl.Series([numbers.processes.of((h, p)) for _, h, p, _ in who.iter_rows()], dtype=pl.Int64),
            thread=pl.Series([numbers.threads.of((h, p, t)) for _, h, p, t in who.iter_rows()], dtype=pl.Int64),
        )
        fast = columns.join(who.select("who", "process", "thread"), on="who", how="left", maintain_order="left")
        missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in fast.columns]
        fast = fast.with_columns(missing).with_columns(piece=pl.lit(0, pl.Int32)).select(list(schema))
        slow = pl.concat([slow, fast]) if len(slow) else fast
    return slow.with_columns(place=pl.col("line") * PIECES + pl.col("piece")).sort("place")


def _owners(rows: pl.DataFrame, numbers: Calls) -> pl.DataFrame:
    """comm_no, comm_key and rank of each owner in ``rows``."""
    owners = rows["owner"].drop_nulls().unique().to_list()
    return pl.DataFrame(
        {
            "owner": owners,
            "comm_no": [o if o >= 0 else None for o in owners],
            "comm_key": [numbers.key_of(o) for o in owners],
            "rank": [numbers.rank_of(o) for o in owners],
        },
        schema={"owner": pl.Int64, "comm_no": pl.Int32, "comm_key": pl.String, "rank": pl.Int32},
    )


def _named(calls: pl.DataFrame, made: pl.DataFrame, numbers: Calls) -> pl.DataFrame:
    """Calls as rows of nccl_calls: numbers by name, sizes, owners."""
    calls = calls.with_columns(made["owner"], made["call_no"])
    kind, op = pl.col("datatype"), pl.col("op")
    width = kind.replace_strict(dict(enumerate(DATATYPE_BYTES)), default=None, return_dtype=pl.UInt64)
    types = kind.replace_strict(dict(enumerate(DATATYPES)), default=None, return_dtype=pl.String)
    ops = op.replace_strict(dict(enumerate(OPS)), default=None, return_dtype=pl.String)
    # 8 bytes are the widest element: counts from 2^60 on would run over.
    size = pl.when(pl.col("count") < 1 << 60).then(pl.col("count") * width)
    return calls.with_columns(
        datatype=types.fill_null(pl.format("type{}", kind)), op=ops.fill_null(pl.format("user{}", op)), bytes=size
    ).join(_owners(calls, numbers), on="owner", how="left", maintain_order="left")


def frame_batch(table: str, rows: pl.DataFrame) -> Batch:
    """A frame as a batch of ``table``: its columns that the table has, in the table's types."""
    schema = SCHEMAS[table]
    present = [name for name in schema.names if name in rows.columns]
    arrow = rows.select(present).to_arrow(compat_level=pl.CompatLevel.oldest())
    casts = [arrow[n].cast(schema.field(n).type) if _other(arrow, schema, n) else arrow[n] for n in present]
    return Batch(table, type(arrow).from_arrays(casts, names=present))


def _other(arrow: Any, schema: Any, name: str) -> bool:
    """Whether a column's type must change; long strings may stay long."""
    have, want = str(arrow.schema.field(name).type), str(schema.field(name).type)
    return have != want and have != f"large_{want}"
