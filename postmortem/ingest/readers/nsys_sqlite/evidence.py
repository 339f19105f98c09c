"""Opens an export without touching it: read-only, immutable, nothing beside it.

``immutable=1`` keeps SQLite from creating or reading ``-wal``, ``-shm`` and ``-journal``
files. So changes that were never written back into the file would be missing without a
word; an export with such a file beside it is refused.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Head, Source

MAGIC = b"SQLite format 3\0"
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # of a hot journal; SQLite zeroes it when done
HEADER_BYTES = 100
UTF8 = 1  # bytes 56 to 59: 1 = UTF-8, 2 and 3 = UTF-16
WAL_VERSION = 2  # bytes 18 and 19 of the header: 1 = rollback journal, 2 = write-ahead log
# SQLite quotes damaged bytes in its messages, which then are no UTF-8 and come as another error.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
SCAN_BYTES = 64 << 20  # a damaged file is searched this far for the names of its tables

_MARKS = re.compile(
    rb"CREATE TABLE (?:CUPTI_ACTIVITY_KIND_|NVTX_EVENTS|TARGET_INFO_|META_DATA_EXPORT|EXPORT_META_DATA)"
)


@dataclass(frozen=True)
class Database:
    """An open export: ``tables`` holds name → columns of every ordinary table.

    ``without_rowid``: tables whose rows have no rowid. ``truncated``: (bytes there, bytes
    that its header promises), None where it is whole. ``wal``: its header says WAL mode.
    For those who read pages: ``fd`` open for reading, ``page_size`` and ``usable`` bytes of a
    page, ``pages`` in the file, ``utf8`` whether its texts are.
    """

    name: str
    con: sqlite3.Connection
    tables: dict[str, tuple[str, ...]]
    without_rowid: frozenset[str]
    truncated: tuple[int, int] | None
    wal: bool
    fd: int
    page_size: int
    usable: int
    pages: int
    utf8: bool

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there with all these columns."""
        return table in self.tables and set(columns) <= set(self.tables[table])


def sniff(head: Head) -> int:
    """100 for a SQLite file with the tables of an Nsight Systems export, 0 for any other."""
    if not head.data.startswith(MAGIC):
        return 0
    if not head.packed:
        try:
            with contextlib.closing(_connect(head.path)) as con:
                return 100 if _is_export(_tables(con)[0]) else 0
        except DAMAGE:  # its bytes still say what it was
            with head.path.open("rb") as f:
                return 100 if _MARKS.search(f.read(SCAN_BYTES)) else 0
    return 100 if _MARKS.search(head.data) else 0


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Database]:
    """The export, open for reading. Raises SourceUnreadable (damaged, locked, forbidden)."""
    with contextlib.ExitStack() as stack:
        path = source.path
        if source.packed:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="postmortem-"))
            path = Path(folder) / "export.sqlite"
            with source.open() as packed, path.open("wb") as f:
                shutil.copyfileobj(packed, f)
        truncated, wal = _check(source.name, path)
        try:
            con = stack.enter_context(contextlib.closing(_connect(path)))
            if truncated:  # else SQLite refuses the whole file for its missing end
                con.execute("PRAGMA writable_schema=ON")
            tables, without_rowid = _tables(con)
        except (*DAMAGE, OSError) as e:
            raise SourceUnreadable(source.name, f"its SQLite schema cannot be read ({e})", "export it again") from e
        if not _is_export(tables):
            raise SourceUnreadable(source.name, "no table of an Nsight Systems export can be read", "export it again")
        file = stack.enter_context(path.open("rb"))
        header = file.read(HEADER_BYTES)
        page = _page_size(header)
        yield Database(
            source.name, con, tables, frozenset(without_rowid), truncated, wal,
            fd=file.fileno(), page_size=page, usable=page - header[20], pages=path.stat().st_size // page,
            utf8=int.from_bytes(header[56:60], "big") == UTF8,
        )  # fmt: skip


def _connect(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    con.text_factory = bytes  # real exports hold invalid UTF-8 and NUL bytes
    con.execute("PRAGMA trusted_schema=OFF")
    return con


def _check(name: str, path: Path) -> tuple[tuple[int, int] | None, bool]:
    """(bytes there, bytes promised) of a truncated file or None; whether it is in WAL mode."""
    try:
        with path.open("rb") as f:
            header = f.read(HEADER_BYTES)
        size = path.stat().st_size
        wal, journal = (path.with_name(path.name + end) for end in ("-wal", "-journal"))
        if wal.is_file() and wal.stat().st_size > 0:
            raise SourceUnreadable(
                name, "changes not yet written back lie in the -wal file beside it", "export it again or checkpoint it"
            )
        if journal.is_file():
            with journal.open("rb") as f:
                if f.read(8) == JOURNAL_MAGIC:
                    raise SourceUnreadable(
                        name, "a hot -journal beside it says that writing was cut short", "export it again"
                    )
    except OSError as e:
        raise SourceUnreadable(name, e.strerror or str(e), "give the right to read it") from e
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise SourceUnreadable(name, "it is no whole SQLite file", "export it again")
    promised = _page_size(header) * int.from_bytes(header[28:32], "big")
    # The count of pages holds only where its change counter is the file's own.
    counted = header[24:28] == header[92:96]
    return ((size, promised) if counted and size < promised else None), WAL_VERSION in header[18:20]


def _page_size(header: bytes) -> int:
    page = int.from_bytes(header[16:18], "big")
    return 65536 if page == 1 else page


def _tables(con: sqlite3.Connection) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Ordinary tables with their columns, and those of them without rowid."""
    tables: dict[str, tuple[str, ...]] = {}
    without = set()
    found = con.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
    for raw_name, raw_sql in found:
        if not isinstance(raw_name, bytes) or not isinstance(raw_sql, bytes):
            continue
        name, sql = raw_name.decode("utf-8", "replace"), raw_sql.decode("utf-8", "replace")
        try:
            columns = con.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (name,)).fetchall()
        except DAMAGE:  # one damaged definition; the others may be sound
            continue
        tables[name] = tuple(c[0].decode("utf-8", "replace") for c in columns)
        if re.search(r"\)\s*WITHOUT\s+ROWID\b", sql, re.I):
            without.add(name)
    return tables, without


def _is_export(tables: dict[str, tuple[str, ...]]) -> bool:
    """Names alone tell: nvprof's files share CUPTI_ names, but keep strings in StringTable."""
    if {"META_DATA_EXPORT", "EXPORT_META_DATA"} & set(tables):
        return True
    own = any(t.startswith(("CUPTI_ACTIVITY_KIND_", "NVTX_EVENTS", "TARGET_INFO_")) for t in tables)
    return own and "StringTable" not in tables
