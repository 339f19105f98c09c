"""What a store holds, in a form that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postmortem.ingest.load import ingest
from postmortem.store.schema import tables
from postmortem.store.store import open_store, run

VARIES = {"seconds", "line"}  # the time that it took; where a record stood, where order shall leave no trace


def contents(store: Path, leave: set[str] = VARIES, only: set[str] | None = None) -> dict[str, list[Any]]:
    """Rows of every table (or of some), sorted, without the columns that may vary."""
    con = open_store(store)
    try:
        found = {}
        for name, table in tables().items():
            if only is None or name in only:
                columns = ", ".join(c for c in table.column_names if c not in leave)
                found[name] = sorted(run(con, f"SELECT {columns} FROM {name}"), key=repr)
        return found
    finally:
        con.close()


def ingested(bundle: Path, store: Path, **leave: Any) -> dict[str, list[Any]]:
    """Contents of a bundle's store."""
    ingest(bundle, store)
    return contents(store, **leave)


def rows(store: Path, sql: str) -> list[Any]:
    """Rows of one statement."""
    con = open_store(store)
    try:
        return run(con, sql)
    finally:
        con.close()
