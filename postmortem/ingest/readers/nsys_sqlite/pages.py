"""Reads a table's pages itself, a few thousand at a time: SQLite hands out one value after the other.

Only what is plain is read here: rowid tables of UTF-8 whose records lie whole on their leaf
page. Anything else (overflow pages, other types than the column's, short records, a damaged
page) is left to SQLite, batch by batch. The format: https://sqlite.org/fileformat2.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postmortem.ingest.readers.nsys_sqlite.evidence import Database

LEAF, INTERIOR = 0x0D, 0x05
BATCH_BYTES = 2 << 20  # pages read at once: 20,000 kernels, of which a column (8 bytes each) fits a core's own cache
PAD = 8  # bytes before and after the pages, so that eight bytes can be taken around any value
DEPTH = 20  # SQLite's own limit to the depth of a tree
OVERHEAD = 35  # a record longer than the page less this spills onto overflow pages

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# Bytes of a value by its serial type; text and blobs follow from 12 on by their length.
_WIDTH = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0], np.uint8)
# By how much a number of that width is shifted up and down again, to drop what stood before it.
_SHIFT = np.array([63, 56, 48, 40, 32, 24, 16, 8, 0], np.int64)
_REAL, _ZERO, _ONE, _TEXT = 7, 8, 9, 12


class UnlikeError(Exception):
    """These pages are not plain: SQLite must read them."""


@dataclass(frozen=True)
class Decoded:
    """A run of rows: their rowids, and the columns asked for; None where SQLite must read them."""

    ids: Ints
    columns: list[pa.Array] | None


@dataclass(frozen=True)
class Plan:
    """A table that can be read by its pages: root page, columns of a record, columns wanted."""

    db: Database
    root: int
    stored: int
    wanted: tuple[tuple[int, str], ...]

    def batches(self) -> Iterator[Decoded]:
        """The table's rows in order of rowid. Raises UnlikeError where the tree itself is off."""
        leaves = self._leaves()
        size = self.db.page_size
        step = max(BATCH_BYTES // size, 1)
        for at in range(0, len(leaves), step):
            run = leaves[at : at + step]
            data = np.zeros(len(run) * size + 2 * PAD, np.uint8)
            self._read(run, data)
            cells, ends = _cells(data, len(run), size)
            if not len(cells):
                continue
            length, after = _varints(data, cells)
            ids, payload = _varints(data, after)
            try:
                if ((payload + length > ends) | (length > self.db.usable - OVERHEAD) | (length < 1)).any():
                    raise UnlikeError  # overflow pages, or a damaged cell
                yield Decoded(ids, _records(data, payload, length, self.stored, self.wanted))
            except (UnlikeError, pa.ArrowInvalid):
                yield Decoded(ids, None)

    def _leaves(self) -> Ints:
        """Page numbers of the leaves in order of rowid."""
        level = np.array([self.root], np.int64)
        for _ in range(DEPTH):
            kinds = np.frombuffer(b"".join(self._page(int(p), 1) for p in level[:1]), np.uint8)
            if kinds[0] == LEAF:
                return level
            children = []
            for number in level:
                page = np.frombuffer(self._page(int(number), self.db.page_size), np.uint8).astype(np.int64)
                count = (page[3] << 8) | page[4]
                slots = 12 + 2 * np.arange(count)
                if page[0] != INTERIOR or 12 + 2 * count > len(page):
                    raise UnlikeError
                cells = (page[slots] << 8) | page[slots + 1]
                if len(cells) and cells.max() + 4 > len(page):
                    raise UnlikeError
                at = np.append(cells, 8)  # the last child stands in the page's header
                children.append((page[at] << 24) | (page[at + 1] << 16) | (page[at + 2] << 8) | page[at + 3])
            level = np.concatenate(children)
            if len(level) > self.db.pages or (len(level) and (level.min() < 1 or level.max() > self.db.pages)):
                raise UnlikeError
        raise UnlikeError

    def _page(self, number: int, size: int) -> bytes:
        data = os.pread(self.db.fd, size, (number - 1) * self.db.page_size)
        if len(data) < size:
            raise UnlikeError
        return data

    def _read(self, run: Ints, data: Bytes) -> None:
        """Pages into ``data``, neighbours in one go."""
        size = self.db.page_size
        cuts = np.flatnonzero(np.diff(run) != 1) + 1
        view = memoryview(data.data)
        for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(run)], strict=True):
            here = view[PAD + first * size : PAD + last * size]
            if os.preadv(self.db.fd, [here], (int(run[first]) - 1) * size) < len(here):
                raise UnlikeError


def plan(db: Database, table: str, columns: Sequence[tuple[str, str]]) -> Plan | None:
    """How to read these (column, kind) of a table by its pages, or None where SQLite must."""
    if not db.utf8 or table in db.without_rowid:
        return None
    found = "SELECT rootpage, sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    row = db.con.execute(found, (table,)).fetchone()
    kept = db.con.execute("SELECT name, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid", (table,)).fetchall()
    # An INTEGER PRIMARY KEY is the rowid itself, stored as NULL; a generated column may not be stored.
    if row is None or any(pk or hidden for _, pk, hidden in kept) or re.search(rb"\bGENERATED\b", row[1], re.I):
        return None
    places = {name.decode("utf-8", "replace"): i for i, (name, _, _) in enumerate(kept)}
    return Plan(db, int(row[0]), len(kept), tuple((places[name], kind) for name, kind in columns))


def _cells(data: Bytes, count: int, size: int) -> tuple[Ints, Ints]:
    """Where each cell begins, and where its page ends. Raises UnlikeError where a page is no leaf."""
    base = PAD + np.arange(count, dtype=np.int64) * size
    if (data[base] != LEAF).any():
        raise UnlikeError
    cells = (data[base + 3].astype(np.int64) << 8) | data[base + 4]
    if (8 + 2 * cells > size).any():
        raise UnlikeError
    page = np.repeat(base, cells)
    slot = page + 8 + 2 * (np.arange(len(page)) - np.repeat(np.cumsum(cells) - cells, cells))
    offset = (data[slot].astype(np.int64) << 8) | data[slot + 1]
    if (offset + 4 > size).any():
        raise UnlikeError
    return page + offset, page + size


def _varints(data: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """The variable-length numbers that begin there, and where each ends."""
    byte = data[at].astype(np.int64)
    value = byte & 0x7F
    end = at + 1
    more = np.flatnonzero(byte & 0x80)
    for i in range(1, 9):
        if not len(more):
            break
        where = end[more]
        if where.max() >= len(data):
            raise UnlikeError
        byte = data[where].astype(np.int64)
        # the ninth byte gives eight bits, all others seven
        value[more] = (value[more] << 8) | byte if i == 8 else (value[more] << 7) | (byte & 0x7F)
        end[more] += 1
        more = more[(byte & 0x80) != 0]
    return value, end


@dataclass(frozen=True)
class _Stored:
    """A column of some records: its serial types and widths (one number where all are alike), and where it begins.

    It begins ``fixed`` bytes, and where ``moving`` is there as many more, after its record's header.
    """

    types: npt.NDArray[np.integer]
    same: int | None
    width: npt.NDArray[np.integer] | int
    fixed: int
    moving: Ints | None


def _records(data: Bytes, at: Ints, length: Ints, stored: int, wanted: Sequence[tuple[int, str]]) -> list[pa.Array]:
    """The wanted columns of records that begin at ``at``. Raises UnlikeError where one is not plain."""
    header, place = _varints(data, at)
    if (header > length).any():
        raise UnlikeError
    found = _columns(data, place, at + header, header, length, stored)
    return [_column(data, at + header, found[i], kind) for i, kind in wanted]


def _columns(data: Bytes, place: Ints, end: Ints, header: Ints, length: Ints, stored: int) -> list[_Stored]:
    """All columns of records whose headers lie from ``place`` to ``end``: their widths fill the records exactly."""
    longest = int(length.max())
    simple = bool((header == stored + 1).all())
    if simple:  # every type is one byte
        each = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(data, stored)[place].T)
        if each.max() >= 0x80:
            raise UnlikeError
    found = []
    fixed, moving = 0, None
    for column in range(stored):
        types: npt.NDArray[np.integer]
        if simple:
            types = each[column]
        else:
            if (place >= end).any():
                raise UnlikeError  # a short record: the columns it lacks have their default
            types, place = _varints(data, place)
        low, high = int(types.min()), int(types.max())
        if low < 0 or (low <= 11 and high >= 10 and ((types == 10) | (types == 11)).any()):
            raise UnlikeError
        width = _widths(types, low, high)
        if (high - _TEXT) >> 1 > longest:
            raise UnlikeError  # wider than any record; and so no sum of widths wraps around
        found.append(_Stored(types, low if low == high else None, width, fixed, moving))
        if isinstance(width, int):
            fixed += width
        else:
            moving = width.astype(np.int64) if moving is None else moving + width
    if (header + fixed + (0 if moving is None else moving) != length).any() or (not simple and (place != end).any()):
        raise UnlikeError
    return found


def _widths(types: npt.NDArray[np.integer], low: int, high: int) -> npt.NDArray[np.integer] | int:
    if low == high:
        return int(_WIDTH[low]) if low < _TEXT else (low - _TEXT) >> 1
    if high < _TEXT:
        narrow: npt.NDArray[np.integer] = _WIDTH[types]
        return int(narrow[0]) if (narrow == narrow[0]).all() else narrow
    wide = types.astype(np.int64)
    return np.where(wide < _TEXT, _WIDTH[np.minimum(wide, 9)], (wide - _TEXT) >> 1)


def _column(data: Bytes, base: Ints, column: _Stored, kind: str) -> pa.Array:
    if column.same == 0:
        return pa.nulls(len(base), {"int": pa.int64(), "real": pa.float64(), "text": pa.string()}[kind])
    types = column.types
    absent = None if column.same is not None else types == 0
    mask = absent if absent is not None and absent.any() else None
    at = base + column.fixed
    if column.moving is not None:
        at += column.moving
    if kind == "text":
        return _texts(data, at, types, mask, column.width)
    if int(types.max()) >= _TEXT or (kind == "int" and (types == _REAL).any()):
        raise UnlikeError
    numbers = _integers(data, at, column)
    if kind == "int":
        return pa.array(numbers, mask=mask)
    eight = np.ndarray((len(data) - 7,), ">f8", data.data, 0, (1,))
    reals = np.where(types == _REAL, eight[at].astype(np.float64), numbers.astype(np.float64))
    return pa.array(reals, mask=mask)


def _integers(data: Bytes, at: Ints, column: _Stored) -> Ints:
    """Big-endian numbers of 0 to 8 bytes: the eight bytes that end with the value, shifted down."""
    width = column.width
    if isinstance(width, int) and width == 0:
        ones: Ints = (column.types == _ONE).astype(np.int64)
        return ones
    eight = np.ndarray((len(data) - 7,), ">i8", data.data, 0, (1,))
    at += width
    at -= 8
    numbers: Ints = eight[at].astype(np.int64)
    if isinstance(width, int):
        if width < 8:
            numbers <<= 64 - 8 * width
            numbers >>= 64 - 8 * width
        return numbers
    shifts = _SHIFT[width]
    numbers <<= shifts
    numbers >>= shifts
    nothing = width == 0
    if nothing.any():
        numbers[nothing] = column.types[nothing] == _ONE
    return numbers


def _texts(
    data: Bytes,
    at: Ints,
    types: npt.NDArray[np.integer],
    absent: npt.NDArray[np.bool_] | None,
    width: npt.NDArray[np.integer] | int,
) -> pa.Array:
    """Texts as Arrow keeps them: their bytes end to end, checked to be UTF-8."""
    if ((types < _TEXT) & (types != 0)).any():
        raise UnlikeError
    lengths = np.broadcast_to(np.asarray(width, np.int64), at.shape)
    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    taken = data[np.repeat(at - (ends - lengths), lengths) + np.arange(int(ends[-1]))]
    valid = None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little"))
    texts = pa.StringArray.from_buffers(len(at), pa.py_buffer(offsets), pa.py_buffer(taken), valid)
    texts.validate(full=True)
    return texts
