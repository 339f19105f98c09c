"""Read x and s records: each line is decoded by its type; what does not fit is a reject."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Batch, Facts, Ignored, Item, Note, Reject, Source
from postmortem.ingest.readers.records.model import KINDS, arrow_schema, fault, kind_of
from postmortem.ingest.readers.records.sniff import PARQUET_MAGIC

ROWS = 20_000  # records a batch: some 10 MB of Python objects
TEXT = 200  # characters kept of a reject, as the contract says
MAX_LINE = 1 << 20  # a record is about 1 KB; a "line" of a binary file is not held in memory


class _Columns:
    """Rows of one record kind on their way to Arrow."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.schema = arrow_schema(kind)
        self.records: list[msgspec.Struct] = []
        self.lines: list[int] = []
        self.extras: list[str | None] = []

    def add(self, record: msgspec.Struct, line: int, extra: str | None) -> None:
        self.records.append(record)
        self.lines.append(line)
        self.extras.append(extra)

    def batch(self) -> Batch:
        """All rows so far as one batch; the columns are empty again afterwards."""
        arrays = [pa.array(self._values(field.name), type=field.type) for field in self.schema]
        self.records, self.lines, self.extras = [], [], []
        return Batch(KINDS[self.kind][1], pa.Table.from_arrays(arrays, schema=self.schema))

    def _values(self, name: str) -> list[Any]:
        if name == "line":
            return self.lines
        if name == "extra":
            return self.extras
        values = [getattr(r, name) for r in self.records]
        if name == "decode_cfg_applied":
            return [None if v is None else _json(v) for v in values]
        if name in {"algo_id", "kernel_variant", "expected_algo_id"}:
            return [None if v is None else str(v) for v in values]
        return values


def _json(value: Any) -> str:
    """Canonical JSON: the same object gives the same text."""
    return msgspec.json.encode(value, order="sorted").decode()


class _Decoder:
    """Decode one record; the fast way where every field is known, the careful way otherwise."""

    def __init__(self) -> None:
        self.fast = {kind: msgspec.json.Decoder(struct) for kind, (struct, _) in KINDS.items()}

    def decode(self, line: bytes) -> tuple[str, msgspec.Struct, str | None]:
        """Kind, record, unknown fields as JSON. Raises msgspec.MsgspecError, UnicodeDecodeError, ValueError."""
        mark = line[:24]  # {"record": "s", ...: a recorder writes the mark first
        for kind, decoder in self.fast.items():
            if b'"%s"' % kind.encode() in mark:
                try:
                    return kind, self._whole(decoder.decode(line)), None
                except msgspec.ValidationError:
                    break  # perhaps only an unknown field: look closely
        record = msgspec.json.decode(line)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        return self.convert(record)

    def convert(self, record: dict[str, Any]) -> tuple[str, msgspec.Struct, str | None]:
        """The same for a record that is an object already."""
        kind = kind_of(record)
        if kind is None:
            raise ValueError("neither an x nor an s record")
        struct, _ = KINDS[kind]
        known = {k: v for k, v in record.items() if k in struct.__struct_fields__}
        unknown = {k: v for k, v in record.items() if k not in struct.__struct_fields__}
        whole = self._whole(msgspec.convert(known, struct))
        return kind, whole, _json(unknown) if unknown else None

    @staticmethod
    def _whole(record: msgspec.Struct) -> msgspec.Struct:
        reason = fault(record)
        if reason:
            raise ValueError(reason)
        return record


def read(source: Source) -> Iterator[Item]:
    """Batches of x_records, s_records and recorder_losses; rejects with their lines."""
    with source.open() as f:
        parquet = f.read(4) == PARQUET_MAGIC
    if parquet:
        yield from _read(_parquet_records(source))
        return
    yield from _read(_json_records(source))


def _json_records(source: Source) -> Iterator[tuple[int, bytes | Exception]]:
    """Lines with their numbers; a damaged end of a packed file is an exception in its place."""
    number = 0
    try:
        with source.open() as f:
            while line := f.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE and not line.endswith(b"\n"):
                    while (rest := f.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                        pass
                    yield number, ValueError("line longer than 1 MiB")
                    continue
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        yield number + 1, ValueError(f"packed file is damaged here: {e}")
    except Exception as e:
        if type(e).__name__ != "ZstdError":  # zstandard is imported only where a file needs it
            raise
        yield number + 1, ValueError(f"packed file is damaged here: {e}")


def _parquet_records(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {k: v for k, v in row.items() if v is not None}
    except (pa.ArrowException, OSError) as e:
        raise SourceUnreadable(source.name, f"Parquet: {str(e).splitlines()[0]}", "copy it again") from e


def _read(records: Iterable[tuple[int, bytes | dict[str, Any] | Exception]]) -> Iterator[Item]:
    decoder = _Decoder()
    columns = {kind: _Columns(kind) for kind in KINDS}
    lines = parsed = blank = dropped = 0
    for number, record in records:
        lines = number
        if isinstance(record, bytes) and record.isspace():
            blank += 1
            continue
        try:
            if isinstance(record, Exception):
                raise record
            if isinstance(record, bytes):
                kind, row, extra = decoder.decode(record)
            else:
                kind, row, extra = decoder.convert(_nested(record))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as e:
            text = record if isinstance(record, bytes) else b""
            yield Reject(
                number, " ".join(str(e).split()), text[: TEXT * 4].decode("utf-8", "replace").rstrip("\n")[:TEXT]
            )
            continue
        parsed += 1
        into = columns[kind]
        into.add(row, number, extra)
        if kind == "recorder":
            dropped += getattr(row, "dropped", 0) or 0
        if len(into.records) >= ROWS:
            yield into.batch()
    for into in columns.values():
        if into.records:
            yield into.batch()
    if blank:
        yield Ignored("blank line", blank)
    if dropped:
        yield Note("data_loss", "recorder-dropped", f"the recorder dropped {dropped} records: its queue was full")
    yield Facts(lines=lines, parsed=parsed, origin_ns=0, clock="recorded in UTC")


def _nested(record: dict[str, Any]) -> dict[str, Any]:
    """A Parquet row, its JSON text columns as the objects they stand for."""
    config = record.get("decode_cfg_applied")
    if isinstance(config, str):
        record["decode_cfg_applied"] = msgspec.json.decode(config)
    return record
