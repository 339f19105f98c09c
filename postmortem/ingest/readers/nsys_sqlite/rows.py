"""The one seam between SQLite and Arrow: a table's columns as record batches.

Plain pages are decoded here (``pages``), everything else comes from SQLite's own cursor.
SQLite types values, not columns: a batch is built in one go where every value fits its
column, and value by value where one does not, so that the record that is off, and only
that, becomes a reject.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from postmortem.ingest.reader import Reject
from postmortem.ingest.readers.nsys_sqlite import pages
from postmortem.ingest.readers.nsys_sqlite.evidence import DAMAGE, Database

BATCH_ROWS = 122_880  # a row group of DuckDB: smaller batches make it seal smaller groups
CHECKED = 16  # rows of each batch decoded from pages that are held against SQLite's own answer
SHOWN = 200  # characters of a value shown in a reject

Kind = Literal["int", "real", "text"]
ARROW = {"int": pa.int64(), "real": pa.float64(), "text": pa.string()}
_PYTHON: dict[str, tuple[type, ...]] = {"int": (int,), "real": (float, int), "text": (bytes,)}
_WORD: dict[type, str] = {int: "integer", float: "real", bytes: "text"}
_WANTED = {"int": "an integer", "real": "a number", "text": "text"}


@dataclass(frozen=True)
class Column:
    """A column asked for: where ``required``, a record without a value is a reject."""

    name: str
    kind: Kind = "int"
    required: bool = False


@dataclass
class Ledger:
    """What became of the rows: read, rejected, lost; drained by ``take``."""

    rows: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    mended: int = 0  # texts that were no UTF-8, kept with U+FFFD
    dangling: int = 0  # ids of strings that the export lacks

    def take(self) -> list[Reject]:
        """The rejects since the last call."""
        taken, self.rejects = self.rejects, []
        return taken


def rows(
    db: Database, table: str, columns: Sequence[Column], ledger: Ledger, where: str = ""
) -> Iterator[pa.RecordBatch]:
    """The table's rows by rowid, as ``_rowid`` and the columns asked for.

    A column that this export lacks is all NULL; a table that it lacks gives no batch. A
    damaged page ends the table: ``ledger.damaged`` says where.
    """
    if table not in db.tables:
        return
    have = db.tables[table]
    reading = _Reading(db, table, columns, [c for c in columns if c.name in have], ledger)
    try:
        for batch in reading.by_sqlite(where) if where else reading.batches():
            if table not in db.without_rowid and batch.num_rows:
                ids = batch.column(0).to_numpy()
                if (reading.last is not None and ids[0] <= reading.last) or (np.diff(ids) <= 0).any():
                    raise sqlite3.DatabaseError("its rows are out of order")
                reading.last = int(ids[-1])
            yield required(table, batch, columns, ledger)
    except DAMAGE as e:
        ledger.damaged[table] = str(e)
        place = 0 if reading.last is None else reading.last
        ledger.rejects.append(Reject(place, f"{table}: {e}; the rows after this one are lost"))
    ledger.rows[table] += reading.count


@dataclass
class _Reading:
    """One table being read: rows so far, and the last rowid of them."""

    db: Database
    table: str
    columns: Sequence[Column]
    present: Sequence[Column]
    ledger: Ledger
    count: int = 0
    last: int | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """By pages as far as they are plain, the rest by SQLite."""
        plan = pages.plan(self.db, self.table, [(c.name, c.kind) for c in self.present])
        try:
            for found in plan.batches() if plan else ():
                batch = self._decoded(found)
                if batch is None:
                    before = self.count
                    yield from self.by_sqlite(f"rowid BETWEEN {int(found.ids[0])} AND {int(found.ids[-1])}")
                    if self.count - before != len(found.ids):
                        raise sqlite3.DatabaseError("its rows are not where its tree says")
                else:
                    self.count += batch.num_rows
                    yield batch
            if plan:
                return
        except pages.UnlikeError:
            pass  # SQLite goes on behind the last row that was read
        yield from self.by_sqlite("" if self.last is None else f"rowid > {self.last}")

    def _decoded(self, found: pages.Decoded) -> pa.RecordBatch | None:
        """The rows as a batch, if its first rows are what SQLite itself says they are."""
        if (np.diff(found.ids) <= 0).any():
            raise pages.UnlikeError
        if found.columns is None:
            return None
        arrays = dict(zip((c.name for c in self.present), found.columns, strict=True))
        batch = _whole(pa.array(found.ids), arrays, self.columns)
        few = batch.slice(0, CHECKED)
        first, last = int(found.ids[0]), int(found.ids[few.num_rows - 1])
        raw = self.db.con.execute(self._sql(f"rowid BETWEEN {first} AND {last}")).fetchall()
        return batch if _batch(self.table, raw, self.columns, self.present, Ledger()).equals(few) else None

    def by_sqlite(self, where: str) -> Iterator[pa.RecordBatch]:
        """Batches of the rows that SQLite's own cursor gives."""
        cursor = self.db.con.execute(self._sql(where))
        while raw := cursor.fetchmany(BATCH_ROWS):
            self.count += len(raw)
            yield _batch(self.table, raw, self.columns, self.present, self.ledger)

    def _sql(self, where: str) -> str:
        bare = self.table in self.db.without_rowid
        wanted = ["0" if bare else "rowid", *(_quoted(c.name) for c in self.present)]
        sql = f"SELECT {', '.join(wanted)} FROM {_quoted(self.table)} NOT INDEXED"
        sql += f" WHERE {where}" if where else ""
        return sql if bare else sql + " ORDER BY rowid"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _batch(
    table: str, raw: list[tuple[Any, ...]], columns: Sequence[Column], present: Sequence[Column], ledger: Ledger
) -> pa.RecordBatch:
    by_column = list(zip(*raw, strict=True))
    try:
        arrays = {c.name: _array(values, c.kind) for c, values in zip(present, by_column[1:], strict=True)}
        ids = pa.array(by_column[0], pa.int64())
    except (pa.ArrowException, TypeError, UnicodeDecodeError, OverflowError):
        good = []
        for record in raw:
            bad = next((i for i, c in enumerate(present, 1) if not _fits(record[i], c.kind)), None)
            if bad is None:
                good.append(record)
            else:
                column, value = present[bad - 1], record[bad]
                found = _WORD.get(type(value), type(value).__name__)
                reason = f"{table}.{column.name}: {found} where {_WANTED[column.kind]} belongs"
                ledger.rejects.append(Reject(int(record[0]), reason, repr(value)[:SHOWN]))
        by_column = list(zip(*good, strict=True)) or [() for _ in range(len(present) + 1)]
        ids = pa.array(by_column[0], pa.int64())
        arrays = {c.name: _mended(v, c.kind, ledger) for c, v in zip(present, by_column[1:], strict=True)}
    return _whole(ids, arrays, columns)


def _whole(ids: pa.Array, arrays: dict[str, pa.Array], columns: Sequence[Column]) -> pa.RecordBatch:
    """The batch with all columns asked for, those that the export lacks as NULL."""
    every = [arrays.get(c.name, pa.nulls(len(ids), ARROW[c.kind])) for c in columns]
    return pa.RecordBatch.from_arrays([ids, *every], names=["_rowid", *(c.name for c in columns)])


def _array(values: Sequence[Any], kind: Kind) -> pa.Array:
    if kind == "text":
        return pa.array(values, pa.binary()).cast(pa.string())
    return pa.array(values, ARROW[kind])


def _fits(value: Any, kind: Kind) -> bool:
    return value is None or isinstance(value, _PYTHON[kind])


def _mended(values: Sequence[Any], kind: Kind, ledger: Ledger) -> pa.Array:
    if kind != "text":
        return pa.array(values, ARROW[kind])
    texts = [None if v is None else v.decode("utf-8", "replace") for v in values]
    ledger.mended += sum(1 for v, t in zip(values, texts, strict=True) if t is not None and t.encode() != v)
    return pa.array(texts, pa.string())


def required(table: str, batch: pa.RecordBatch, columns: Sequence[Column], ledger: Ledger) -> pa.RecordBatch:
    """The batch without records that lack a required value: each is a reject."""
    for column in columns:
        if column.required and batch.column(column.name).null_count:
            missing = batch.filter(pc.is_null(batch.column(column.name)))
            reason = f"{table}.{column.name}: has no value"
            ledger.rejects += [Reject(i, reason) for i in missing.column("_rowid").to_pylist()]
            batch = batch.filter(pc.is_valid(batch.column(column.name)))
    return batch


def checked_times(table: str, batch: pa.RecordBatch, start: str, end: str | None, ledger: Ledger) -> pa.RecordBatch:
    """The batch without records whose times cannot be: reversed, or beyond what 64 bits can sum."""
    limit = 1 << 61  # 73 years in ns: the sum of a session's start (UTC), a time and an offset still fits
    late = pc.or_(pc.greater(batch.column(start), limit), pc.less(batch.column(start), -limit))
    bad = pc.fill_null(late, fill_value=True)
    if end is not None:
        beyond = pc.or_(pc.greater(batch.column(end), limit), pc.less(batch.column(end), batch.column(start)))
        bad = pc.or_(bad, pc.fill_null(beyond, fill_value=False))
    if pc.any(bad).as_py():
        for record in batch.filter(bad).to_pylist():
            times = f"{start}={record[start]}" + (f" {end}={record[end]}" if end else "")
            ledger.rejects.append(Reject(record["_rowid"], f"{table}: impossible times", times))
        batch = batch.filter(pc.invert(bad))
    return batch
