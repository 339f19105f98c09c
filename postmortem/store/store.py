"""Open, create and fill the store: a DuckDB file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from postmortem.base.errors import StoreError
from postmortem.store.schema import SCHEMA_VERSION, tables

if TYPE_CHECKING:
    import pyarrow as pa

# Both DuckDB majors in use open such a file; 1.x cannot open what 2.x writes by default.
STORAGE_VERSION = "v1.2.0"

# Nothing is fetched, no file is read by SQL, nothing may loosen that again.
READ_ONLY_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
}


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
        rows = run(con, "FROM bundle SELECT value WHERE key = 'store.schema'")
    except duckdb.Error as e:
        raise StoreError(str(path), str(e).splitlines()[0], "delete it and run again") from e
    if rows != [(str(SCHEMA_VERSION),)]:
        con.close()
        raise StoreError(str(path), "written by another version", "delete it and run again")
    return con


class Writer:
    """A store being written; use ``create``. Rows go in as Arrow tables."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    def append(self, table: str, rows: pa.Table, **constants: int) -> int:
        """Append rows by column name, with constant columns beside; returns how many rows.

        Columns that ``rows`` lacks become NULL; a column that the table lacks is a defect.
        """
        known = tables()[table].column_names
        names = [*constants, *rows.column_names]
        unknown = [n for n in names if n not in known]
        if unknown:
            raise StoreError(table, f"has no column {', '.join(unknown)}")
        self.con.register("_rows", rows)
        given = ", ".join([*("?" for _ in constants), *(f'"{n}"' for n in rows.column_names)])
        into = ", ".join(f'"{n}"' for n in names)
        run(self.con, f"INSERT INTO {table} ({into}) SELECT {given} FROM _rows", list(constants.values()))
        self.con.unregister("_rows")
        return int(rows.num_rows)

    def insert(self, table: str, row: dict[str, Any]) -> None:
        """Append one row given by column name."""
        names = ", ".join(f'"{n}"' for n in row)
        marks = ", ".join("?" for _ in row)
        run(self.con, f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))

    def replicas(self) -> set[str]:
        """The replicas that records name."""
        found = run(self.con, "FROM x_records SELECT replica UNION FROM s_records SELECT replica")
        return {r for (r,) in found if r is not None}

    def replica_spans(self) -> dict[str, tuple[int, int]]:
        """First and last step of each replica, UTC epoch ns."""
        found = run(
            self.con,
            "FROM s_records SELECT replica, min(ts_ns), max(ts_ns)"
            " WHERE replica IS NOT NULL AND ts_ns IS NOT NULL GROUP BY replica",
        )
        return {r: (a, b) for r, a, b in found}


def finish(writer: Writer) -> None:
    """Run finish/*.sql in order: doubles out, rows sorted, times of sources."""
    for script in sorted((Path(__file__).parent / "finish").glob("*.sql")):
        for statement in writer.con.extract_statements(script.read_text("utf-8")):
            run(writer.con, statement.query)


@contextlib.contextmanager
def create(path: Path) -> Iterator[Writer]:
    """Write a store: it appears at ``path`` when the block ends well, else nothing does.

    The file grows beside its place under a temporary name and is renamed at the end, so a
    killed process leaves the old store or the new one. Raises StoreError (disk full, no right).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as e:
        raise StoreError(str(path), e.strerror or str(e), "choose a place with --store FILE") from e
    os.close(handle)
    part = Path(name)
    part.unlink()
    con = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
        },
    )
    try:
        run(con, f"ATTACH '{str(part).replace(chr(39), chr(39) * 2)}' AS store (STORAGE_VERSION '{STORAGE_VERSION}')")
        run(con, "USE store")
        for table in tables().values():
            run(con, table.sql)
        run(con, "INSERT INTO bundle VALUES ('store.schema', ?)", [str(SCHEMA_VERSION)])
        yield Writer(con)
        run(con, "USE memory")
        run(con, "DETACH store")
        con.close()
        with part.open("rb") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except (duckdb.IOException, OSError) as e:
        raise StoreError(str(path), str(e).splitlines()[0], "choose a place with --store FILE") from e
    finally:
        con.close()
        for left in (part, part.with_name(part.name + ".wal")):
            left.unlink(missing_ok=True)
