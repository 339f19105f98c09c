"""One record after the other: decoded by its type, unknown fields kept beside it."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.records.model import KINDS, TACTICS, arrow_schema, fault, kind_of


class Columns:
    """Rows of one record kind on their way to Arrow."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.schema = arrow_schema(kind)
        self.records: list[msgspec.Struct] = []
        self.lines: list[int] = []
        self.extras: list[str | None] = []

    def add(self, record: msgspec.Struct, line: int, extra: str | None) -> None:
        """Take a row in."""
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
            # A setting that is null is not set: some servers write all that there are.
            return [None if v is None else canonical({k: s for k, s in v.items() if s is not None}) for v in values]
        if name in TACTICS:
            return [None if v is None else str(v) for v in values]
        return values


def canonical(value: Any) -> str:
    """Canonical JSON: the same object gives the same text. What JSON has no form for (Parquet) is its text."""
    return msgspec.json.encode(value, order="sorted", enc_hook=str).decode()


class Decoder:
    """Decode one record; the fast way where every field is known, the careful way otherwise."""

    def __init__(self) -> None:
        # A recorder writes the mark first, compact or as json.dumps does.
        self.marked = [
            (mark % kind.encode(), kind, msgspec.json.Decoder(struct))
            for kind, (struct, _) in KINDS.items()
            for mark in (b'{"record":"%s",', b'{"record": "%s",')
        ]

    def decode(self, line: bytes) -> tuple[str, msgspec.Struct, str | None]:
        """Kind, record, unknown fields as JSON.

        Raises msgspec.MsgspecError, ValueError (UnicodeDecodeError with it), RecursionError.
        """
        for mark, kind, decoder in self.marked:
            if line.startswith(mark):
                try:
                    row = decoder.decode(line)
                except msgspec.ValidationError:
                    break  # perhaps only an unknown field: look closely
                if getattr(row, "record", None) == kind:  # else the mark stands twice
                    return kind, _whole(row), None
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
        whole = _whole(msgspec.convert(known, struct))
        return kind, whole, canonical(unknown) if unknown else None


def _whole(record: msgspec.Struct) -> msgspec.Struct:
    reason = fault(record)
    if reason:
        raise ValueError(reason)
    return record
