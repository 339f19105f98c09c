"""Open, create and fill the store: a DuckDB file, written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from postmortem.base.errors import StoreError
from postmortem.store.schema import SCHEMA_VERSION, tables

if TYPE_CHECKING:
    import pyarrow as pa

# What the oldest DuckDB that we ask for opens; 1.x cannot open what 2.x writes by default.
STORAGE_VERSION = "v1.5.0"

# Nothing is fetched, no file is read by SQL, nothing may loosen that again.
READ_ONLY_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",  # a table's name in SQL is never a variable of the program
}

# Held aside, uncompressed, until finish/ takes out their doubles and writes them once, sorted.
STAGED = {"x_records": "staged_x_records", "s_records": "staged_s_records"}

# A column of NULLs costs a table as much as one of numbers. From this many rows on, a row group of DuckDB, columns
# without a value are left out of the table; see Writer.
LARGE_ROWS = 122_880
RECORDED = "{}_recorded"

# An ingest that has written nothing for a day is dead: what it left is swept at the next one.
STALE_S = 86_400
DUCKDB_MAGIC = (8, b"DUCK")  # offset and text in the file's first block

# What DuckDB and the system raise where a file cannot be written; anything else is a defect.
NO_SPACE = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    duckdb.FatalException,
    OSError,
)


def run(con: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
    """Execute a statement and fetch all its rows: DuckDB 2 wants a result finished before the next."""
    return con.execute(sql, values or None).fetchall()


def open_store(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection that can reach nothing but this file.

    Raises StoreError if the file is missing, damaged, or of another schema version.
    """
    try:
        con = duckdb.connect(str(path), read_only=True, config=READ_ONLY_CONFIG)
        if run(con, "SELECT current_setting('lock_configuration')") != [(True,)]:  # else opened twice
            run(con, "SET TimeZone = 'UTC'")
            run(con, "SET lock_configuration = true")
        # the first is the store's own: a bundle.toml may tell of a store, too
        rows = run(con, "FROM bundle SELECT value WHERE key = 'store.schema' ORDER BY rowid LIMIT 1")
    except duckdb.Error as e:
        raise StoreError(str(path), str(e).splitlines()[0], "delete it and run again") from e
    if rows != [(str(SCHEMA_VERSION),)]:
        con.close()
        raise StoreError(str(path), "written by another version", "delete it and run again")
    return con


class Writer:
    """A store being written; use ``create``. Rows go in as Arrow tables; ``finish`` puts the staged ones in place.

    A large table holds a column from its first value on: exports of most versions leave a dozen empty. ``finish``
    puts a view with all columns in its place.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self._valued: dict[str, set[str]] = {}  # by table: columns that had a value so far
        self._left_out: dict[str, set[str]] = {}  # by large table: columns taken out of it
        self._settled = False

    def append(self, table: str, rows: pa.Table, **constants: int) -> int:
        """Append rows by column name, with constant columns beside; returns how many rows.

        Columns that ``rows`` lacks become NULL; a column that the table lacks is a defect.
        """
        known = tables()[table].column_names
        names = [*constants, *rows.column_names]
        unknown = [n for n in names if n not in known]
        if unknown:
            raise StoreError(table, f"has no column {', '.join(unknown)}")
        place = STAGED.get(table, table)
        left_out = self._shape(table, rows, constants) if place == table else ()
        present = [n for n in rows.column_names if n not in left_out]
        given = ", ".join([*("?" for _ in constants), *(f'"{n}"' for n in present)])
        into = ", ".join(f'"{n}"' for n in (*constants, *present))
        self.con.register("_rows", rows)
        run(self.con, f"INSERT INTO {place} ({into}) SELECT {given} FROM _rows", list(constants.values()))
        self.con.unregister("_rows")
        return int(rows.num_rows)

    def _shape(self, table: str, rows: pa.Table, constants: Iterable[str]) -> set[str]:
        """Give a table the columns for these rows; returns those that it holds none of."""
        here = {n for n in rows.column_names if rows.column(n).null_count < rows.num_rows}.union(constants)
        valued = self._valued.setdefault(table, set())
        valued |= here
        columns = tables()[table].columns
        left_out = self._left_out.get(table)
        if left_out is None:
            if rows.num_rows < LARGE_ROWS or self._settled:
                return set()
            left_out = {c.name for c in columns if not c.required and c.name not in valued}
            for name in left_out:
                run(self.con, f'ALTER TABLE {table} DROP COLUMN "{name}"')
            self._left_out[table] = left_out
        for column in columns:
            if column.name in left_out & here:
                run(self.con, f'ALTER TABLE {table} ADD COLUMN "{column.name}" {column.type}')
                left_out.remove(column.name)
        return left_out

    def settle(self) -> None:
        """A view with all columns for every table that lacks some."""
        self._settled = True
        for table, left_out in self._left_out.items():
            recorded = RECORDED.format(table)
            columns = (
                f'CAST(NULL AS {c.type}) AS "{c.name}"' if c.name in left_out else f'"{c.name}"'
                for c in tables()[table].columns
            )
            run(self.con, f"ALTER TABLE {table} RENAME TO {recorded}")
            run(self.con, f"CREATE VIEW {table} AS SELECT {', '.join(columns)} FROM {recorded}")

    def insert(self, table: str, row: dict[str, Any]) -> None:
        """Append one row given by column name."""
        names = ", ".join(f'"{n}"' for n in row)
        marks = ", ".join("?" for _ in row)
        run(self.con, f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))

    def replicas(self) -> set[str]:
        """The replicas that records name."""
        found = run(self.con, "FROM staged_x_records SELECT replica UNION FROM staged_s_records SELECT replica")
        return {r for (r,) in found if r is not None}

    def replica_spans(self) -> dict[str, tuple[int, int]]:
        """First and last step of each replica, UTC epoch ns."""
        found = run(
            self.con,
            "FROM staged_s_records SELECT replica, min(ts_ns), max(ts_ns)"
            " WHERE replica IS NOT NULL AND ts_ns IS NOT NULL GROUP BY replica",
        )
        return {r: (a, b) for r, a, b in found}


def finish(writer: Writer) -> None:
    """Run finish/*.sql in order: doubles out, rows sorted, times of sources; then every table has all its columns."""
    for script in sorted((Path(__file__).parent / "finish").glob("*.sql")):
        for statement in writer.con.extract_statements(script.read_text("utf-8")):
            run(writer.con, statement.query)
    writer.settle()


@contextlib.contextmanager
def create(path: Path) -> Iterator[Writer]:
    """Write a store: it appears at ``path`` when the block ends well, else nothing does.

    The file grows beside its place under a temporary name and is renamed at the end, so a
    killed process leaves the old store or the new one. Raises StoreError (disk full, no right).
    """
    path = Path(path)
    part = _part(path)
    con = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
            "temp_directory": str(_spill(part)),  # by default it would be the folder that the command runs in
        },
    )
    try:
        run(con, f"ATTACH '{str(part).replace(chr(39), chr(39) * 2)}' AS store (STORAGE_VERSION '{STORAGE_VERSION}')")
        run(con, "USE store")
        run(con, "BEGIN")  # else each table is written and synced by itself
        for table in tables().values():
            run(con, table.sql)
        run(con, "COMMIT")
        for name, staged in STAGED.items():
            run(con, f"CREATE TEMP TABLE {staged} AS FROM {name}")
        run(con, "INSERT INTO bundle VALUES ('store.schema', ?)", [str(SCHEMA_VERSION)])
        yield Writer(con)
        run(con, "USE memory")
        run(con, "DETACH store")
        con.close()
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except NO_SPACE as e:
        why = (str(e).splitlines() or [type(e).__name__])[0]
        raise StoreError(str(path), why, "look for space there, or choose a place with --store FILE") from e
    finally:
        with contextlib.suppress(duckdb.Error):  # a full disk has been told already
            con.close()
        _remove(part)


def _part(path: Path) -> Path:
    """A temporary name beside ``path``, which must be free or hold a store. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _is_store(path):
            raise StoreError(str(path), "exists and is not a store", "choose another place with --store FILE")
        sweep(path.parent, f".{glob.escape(path.name)}.*.part")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        part.unlink()
        str(part).encode()  # DuckDB takes no other bytes
    except (OSError, UnicodeEncodeError) as e:
        why = getattr(e, "strerror", None) or "its name is no UTF-8"
        raise StoreError(str(path), why, "choose a place with --store FILE") from e
    return part


def _is_store(path: Path) -> bool:
    """Whether it is a store, of whatever version, or what is left of one; a database of somebody else's is none."""
    with path.open("rb") as f:
        at, text = DUCKDB_MAGIC
        if f.read(at + len(text))[at:] != text:
            return False
    try:
        with duckdb.connect(str(path), read_only=True, config=READ_ONLY_CONFIG) as con:
            return bool(run(con, "FROM bundle SELECT key WHERE key = 'store.schema'"))
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ConnectionException):
        return False  # other tables, or open in this process as no store is
    except duckdb.Error as e:
        return "lock" not in str(e)  # that somebody writes to is theirs; a torn copy may be replaced


def _spill(part: Path) -> Path:
    """Where DuckDB puts rows that do not fit into memory."""
    return part.with_name(part.name + ".spill")


def sweep(folder: Path, pattern: str) -> None:
    """Remove what ingests left that were killed: parts of stores that nobody has written to for a day."""
    with contextlib.suppress(OSError):  # a folder that may not be listed
        for part in folder.glob(pattern):
            with contextlib.suppress(OSError):  # another ingest sweeps, too; another user's part stays
                if time.time() - part.stat().st_mtime > STALE_S:
                    _remove(part)


def _remove(part: Path) -> None:
    """A part of a store, with DuckDB's log and spilled rows beside it."""
    for left in (part, part.with_name(part.name + ".wal")):
        left.unlink(missing_ok=True)
    shutil.rmtree(_spill(part), ignore_errors=True)
