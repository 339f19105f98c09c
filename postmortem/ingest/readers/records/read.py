"""Read x and s records: each line is decoded by its type; what does not fit is a reject."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.packed import Damage
from postmortem.ingest.reader import Batch, Facts, Ignored, Item, Note, Reject, Source
from postmortem.ingest.readers.records.blocks import MAX_LINE, blocks
from postmortem.ingest.readers.records.bulk import batch_of, bulk
from postmortem.ingest.readers.records.careful import Columns, Decoder
from postmortem.ingest.readers.records.model import KINDS, RecorderRecord
from postmortem.ingest.readers.records.sniff import BOM, PARQUET_MAGIC

if TYPE_CHECKING:
    import polars as pl

ROWS = 20_000  # records a batch on the careful way: some 10 MB of Python objects
THREADS = 2  # that parse blocks: polars has its own besides, and numpy lets others run
AHEAD = 4  # blocks parsed while one batch is stored: with two, the storing was waited for
BULK_ROWS = 120_000  # records a batch on the fast way: some 40 MB of columns
TEXT = 200  # characters kept of a reject, as the contract says
# What a record that does not fit raises: malformed, another type, bad UTF-8, nested beyond measure.
MISFIT = (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError)


class _Reading:
    """The ledger of one source, and its rows on their way."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self.columns = {kind: Columns(kind) for kind in KINDS}
        self.frames: list[pl.DataFrame] = []
        self.starts: list[int] = []
        self.bulk_rows = 0
        self.lines = self.parsed = self.blank = 0
        self.recorders: dict[tuple[Any, ...], RecorderRecord] = {}

    def record(self, record: bytes | dict[str, Any]) -> Iterator[Item]:
        """Take in the next line or row."""
        self.lines += 1
        if self.lines == 1 and isinstance(record, bytes):
            record = record.removeprefix(BOM)
        if isinstance(record, bytes) and not record.strip():
            self.blank += 1
            return
        try:
            if isinstance(record, bytes):
                if len(record) > MAX_LINE:
                    raise ValueError("line longer than 1 MiB")
                kind, row, extra = self.decoder.decode(record)
            else:
                kind, row, extra = self.decoder.convert(_nested(record))
        except MISFIT as e:
            yield Reject(self.lines, _reason(e), _text(record))
            return
        self.parsed += 1
        into = self.columns[kind]
        into.add(row, self.lines, extra)
        if isinstance(row, RecorderRecord):
            # Counts are since the recorder's start: its last line holds.
            self.recorders[row.replica, row.rank, row.started_ns] = row
        if len(into.records) >= ROWS:
            yield into.batch()

    def plain(self, frame: pl.DataFrame) -> Iterator[Item]:
        """Take in a block of plain s records."""
        self.frames.append(frame)
        self.starts.append(self.lines + 1)
        self.lines += frame.height
        self.parsed += frame.height
        self.bulk_rows += frame.height
        if self.bulk_rows >= BULK_ROWS:
            yield from self.bulk_batch()

    def bulk_batch(self) -> Iterator[Item]:
        """The plain rows so far as one batch."""
        if self.frames:
            yield Batch(KINDS["s"][1], batch_of(self.frames, self.starts))
            self.frames, self.starts, self.bulk_rows = [], [], 0

    def end(self) -> Iterator[Item]:
        """What is left, and the sums."""
        yield from self.bulk_batch()
        for into in self.columns.values():
            if into.records:
                yield into.batch()
        if self.blank:
            yield Ignored("blank line", self.blank)
        dropped = sum(r.dropped or 0 for r in self.recorders.values())
        failed = sum(r.errors or 0 for r in self.recorders.values())
        if dropped:
            yield Note("data_loss", "recorder-dropped", f"the recorder dropped {dropped} records: its queue was full")
        if failed:
            yield Note(
                "data_loss",
                "recorder-errors",
                f"the recorder failed {failed} times: records that do not fit, a full disk, or NVTX",
            )
        yield Facts(lines=self.lines, parsed=self.parsed, origin_ns=0, clock="recorded in UTC")


def read(source: Source, *, fast: bool = True) -> Iterator[Item]:
    """Batches of x_records, s_records and recorder_losses; rejects with their lines.

    ``fast`` parses blocks of plain s records at once; the rows are the same without it.
    Raises SourceUnreadable where a Parquet file is damaged.
    """
    reading = _Reading()
    with source.path.open("rb") as f:
        parquet = f.read(4) == PARQUET_MAGIC
    if parquet:
        for row in _parquet_rows(source):
            yield from reading.record(row)
    else:
        for block, frame in _parsed(source, fast):
            if isinstance(block, Damage):
                reading.lines += 1
                yield Reject(reading.lines, str(block))
            elif frame is not None:
                yield from reading.plain(frame)
            else:
                for line in block.removesuffix(b"\n").split(b"\n"):
                    yield from reading.record(line)
    yield from reading.end()


def _parsed(source: Source, fast: bool) -> Iterator[tuple[bytes | Damage, pl.DataFrame | None]]:
    """Blocks, each with its frame where it is plain; the next is parsed while one is stored."""
    if not fast:
        for block in blocks(source):
            yield block, None
        return
    with ThreadPoolExecutor(THREADS, "records") as threads:
        waiting: deque[tuple[bytes | Damage, Future[pl.DataFrame | None]]] = deque()
        for block in blocks(source):
            waiting.append((block, threads.submit(bulk, block if isinstance(block, bytes) else b"")))
            if len(waiting) > AHEAD:
                first, frame = waiting.popleft()
                yield first, frame.result()
        for first, frame in waiting:
            yield first, frame.result()


def _reason(e: BaseException) -> str:
    if isinstance(e, RecursionError):
        return "nested too deep"
    return " ".join(str(e).split())


def _text(record: bytes | dict[str, Any]) -> str:
    """The record's first characters; a character of UTF-8 has four bytes at most."""
    if isinstance(record, bytes):
        return record[: TEXT * 4].decode("utf-8", "replace").rstrip("\r")[:TEXT]
    return str(record)[:TEXT]


def _parquet_rows(source: Source) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=ROWS):
                for row in _as_text(batch).to_pylist():
                    yield {k: v for k, v in row.items() if v is not None}
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as e:
        why = (str(e).splitlines() or [type(e).__name__])[0]
        raise SourceUnreadable(source.name, f"Parquet: {why}", "copy it again") from e


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times and durations as text: no field is one, and Python holds no nanoseconds of them."""
    for i, field in enumerate(batch.schema):
        kind = _untimed(field.type)
        if kind != field.type:
            batch = batch.set_column(i, field.name, batch.column(i).cast(kind))
    return batch


def _untimed(kind: pa.DataType) -> pa.DataType:
    """The type with texts in the place of times, also within lists and structs."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([f.with_type(_untimed(f.type)) for f in fields])
    return kind


def _nested(record: dict[str, Any]) -> dict[str, Any]:
    """A Parquet row with its JSON text columns as the objects they stand for; ValueError where a number is none."""
    for name, value in record.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is no number - at `$.{name}`")
    config = record.get("decode_cfg_applied")
    if isinstance(config, str):
        record["decode_cfg_applied"] = msgspec.json.decode(config)
    return record
