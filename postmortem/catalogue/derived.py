"""Shared views that are worked out once, when a bundle is read, and kept in its store as tables.

A view says so in its header (``-- kept: why``). The store remembers by which text each was made: a table
made by another text than today's is passed over, and the view is worked out as ever.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from postmortem.catalogue.views import View, view, views
from postmortem.store.store import run

if TYPE_CHECKING:
    import duckdb

SCHEMA = "derived"


def derive(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of all kept views in a store that is being written."""
    run(con, f"CREATE SCHEMA {SCHEMA}")
    made: set[str] = set()

    def make(name: str) -> None:
        if name in made:
            return
        made.add(name)
        one = view(name)
        for other in one.uses:
            make(other)
        if not one.kept:
            run(con, one.statement)
            return
        # Straight from its text: to make a view, DuckDB works its whole plan out, and would do so twice.
        run(con, one.statement.replace(one.head, f"CREATE TABLE {SCHEMA}.{name} AS", 1))
        run(con, standing(name))

    keeps = [name for name in views() if view(name).kept]
    for name in keeps:
        make(name)
    texts = [text_of(view(name)) for name in keeps]
    run(con, "INSERT INTO bundle SELECT unnest($1), unnest($2)", [[_key(name) for name in keeps], texts])
    for name in made:
        run(con, f"DROP {view(name).kind} temp.{name}")


def kept(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the views that this store holds as tables, made by today's text."""
    prefix = _key("")
    rows = run(con, "FROM bundle SELECT key, value WHERE starts_with(key, ?)", [prefix])
    found = {key.removeprefix(prefix): value for key, value in rows}
    return {name for name, value in found.items() if name in views() and text_of(view(name)) == value}


def standing(name: str) -> str:
    """The statement that puts the table in the view's place."""
    return f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {SCHEMA}.{name}"


def text_of(one: View) -> str:
    """A digest of the view's text and of all that it builds on."""
    digest = hashlib.sha256(one.statement.encode())
    for name in one.uses:
        digest.update(text_of(view(name)).encode())
    return digest.hexdigest()


def _key(name: str) -> str:
    return f"{SCHEMA}.{name}"
