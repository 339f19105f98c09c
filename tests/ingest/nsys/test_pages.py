"""Rows decoded from pages against SQLite's own: every real table, and tables made to be awkward."""

from __future__ import annotations

import random
import sqlite3

import pytest

from postmortem.ingest.reader import Source
from postmortem.ingest.readers.nsys_sqlite import pages
from postmortem.ingest.readers.nsys_sqlite.evidence import opened
from postmortem.ingest.readers.nsys_sqlite.rows import Column, Ledger, rows

from .conftest import real_files


def kinds(con: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """(column, kind) of a table by its declared types."""
    types = {"TEXT": "text", "REAL": "real"}
    return [(r[1], types.get(r[2].upper(), "int")) for r in con.execute(f"PRAGMA table_info({table})")]


def both(path, table: str, columns: list[tuple[str, str]]) -> tuple[list[tuple] | None, list[tuple]]:
    """Rows by the decoder (None where it declines the table), and by SQLite; batches left to SQLite are skipped."""
    with opened(Source(path.name, path)) as db:
        plan = pages.plan(db, table, columns)
        if plan is None:
            return None, []
        got, want = [], []
        names = ", ".join(f'"{c}"' for c, _ in columns)
        for found in plan.batches():
            ids = found.ids
            span = (int(ids[0]), int(ids[-1]))
            raw = db.con.execute(
                f"SELECT rowid, {names} FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid", span
            ).fetchall()
            assert len(raw) == len(ids)
            if found.columns is not None:
                got += zip(ids.tolist(), *(c.to_pylist() for c in found.columns), strict=True)
                want += [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in raw]
        return got, want


@pytest.mark.parametrize("stem", real_files())
def test_every_real_table(real, stem):
    """Every table and column of a real export decodes to SQLite's values, or is left to SQLite as a whole batch."""
    path = real / f"{stem}.sqlite"
    con = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    decoded = 0
    for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall():
        got, want = both(path, table, kinds(con, table))
        if got is not None:
            assert got == want, table
            decoded += len(got)
    if "torch" in stem:
        assert decoded > 1000  # the event tables are plain: it is they that are large


def made(path, ddl: str, values: list[tuple], page_size: int = 512, **pragmas: str):
    """A table ``t`` beside what makes a file an export."""
    con = sqlite3.connect(path)
    con.execute(f"PRAGMA page_size = {page_size}")
    for name, value in pragmas.items():
        con.execute(f"PRAGMA {name} = {value}")
    con.execute("CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT)")
    con.execute(ddl)
    if values:
        con.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(values[0]))})", values)
    con.commit()
    return con


EDGES = [0, 1, -1, 2, 127, 128, -128, -129, 2**15 - 1, 2**15, -(2**15), 2**23 - 1, -(2**23), 2**31 - 1, 2**31, -(2**31),
         2**47 - 1, 2**47, -(2**47), 2**60 + 1, 2**63 - 1, -(2**63), None]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_numbers_of_every_width(tmp_path, seed):
    """Integers at the edges of every width, reals, NULLs and texts of any length, over many pages of 512 bytes."""
    random_ = random.Random(seed)
    reals, texts = [0.5, -1e300, None, 3, 0.0], ["", "ä" * 20, "x" * 90, None]
    values = [tuple(random_.choice(c) for c in (EDGES, reals, texts, EDGES)) for _ in range(700)]
    path = tmp_path / "edges.sqlite"
    made(path, "CREATE TABLE t (a INTEGER, b REAL, c TEXT, d INTEGER)", values).close()
    columns = [("a", "int"), ("b", "real"), ("c", "text"), ("d", "int")]
    got, want = both(path, "t", columns)
    assert got == want
    assert [row[1:] for row in got] == values


def through(path, *columns: Column) -> list[tuple]:
    """Rows of ``t`` as the reader gets them, whoever read them."""
    with opened(Source(path.name, path)) as db:
        ledger = Ledger()
        batches = list(rows(db, "t", columns, ledger))
        assert not ledger.damaged
        assert ledger.rows["t"] == sum(b.num_rows for b in batches) + len(ledger.rejects)
        return [tuple(r.values()) for b in batches for r in b.to_pylist()]


A, B = Column("a"), Column("b", "text")


def test_a_primary_key_is_the_rowid(tmp_path):
    """An INTEGER PRIMARY KEY is stored as NULL: its value is the rowid, negative ones too."""
    path = tmp_path / "key.sqlite"
    made(path, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)", [(7, "x"), (-3, "y"), (2**40, "z")]).close()
    assert through(path, A, B) == [(-3, -3, "y"), (7, 7, "x"), (2**40, 2**40, "z")]


def test_an_added_column_has_its_default(tmp_path):
    """Records from before ALTER TABLE are short: the column that they lack is its default, not NULL."""
    path = tmp_path / "added.sqlite"
    con = made(path, "CREATE TABLE t (a INTEGER)", [(1,), (2,)])
    con.execute("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'none'")
    con.execute("INSERT INTO t VALUES (3, 'own')")
    con.commit()
    con.close()
    assert through(path, A, B) == [(1, 1, "none"), (2, 2, "none"), (3, 3, "own")]


def test_overflow_pages(tmp_path):
    """A text longer than a page comes whole, and so do its neighbours."""
    path = tmp_path / "long.sqlite"
    made(path, "CREATE TABLE t (a INTEGER, b TEXT)", [(1, "short"), (2, "x" * 5000), (3, "short")]).close()
    assert through(path, A, B) == [(1, 1, "short"), (2, 2, "x" * 5000), (3, 3, "short")]


@pytest.mark.parametrize(("ddl", "pragmas"), [
    ("CREATE TABLE t (a INTEGER, b TEXT)", {"encoding": "'UTF-16le'"}),
    ("CREATE TABLE t (a INTEGER, b TEXT)", {"auto_vacuum": "FULL"}),
])  # fmt: skip
def test_other_kinds_of_file(tmp_path, ddl, pragmas):
    """UTF-16 and auto-vacuum files give the same rows."""
    path = tmp_path / "other.sqlite"
    made(path, ddl, [(i, f"täxt {i}") for i in range(100)], **pragmas).close()
    assert through(path, A, B) == [(i + 1, i, f"täxt {i}") for i in range(100)]


def test_generated_columns_and_tables_without_rowid(tmp_path):
    """Neither stores what its definition lists; SQLite reads them."""
    path = tmp_path / "generated.sqlite"
    con = made(path, "CREATE TABLE t (a INTEGER, b TEXT AS (a || '!') VIRTUAL)", [])
    con.execute("INSERT INTO t (a) VALUES (5)")
    con.commit()
    con.close()
    assert through(path, A, B) == [(1, 5, "5!")]
    bare = tmp_path / "bare.sqlite"
    made(bare, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID", [(3, "x"), (1, "y")]).close()
    assert [row[1:] for row in through(bare, A, B)] == [(1, "y"), (3, "x")]


def test_deleted_rows_and_gaps(tmp_path):
    """Rows deleted and inserted again leave holes on pages: only what is there is read."""
    path = tmp_path / "gaps.sqlite"
    con = made(path, "CREATE TABLE t (a INTEGER, b TEXT)", [(i, "x" * (i % 60)) for i in range(2000)])
    con.execute("DELETE FROM t WHERE a % 3 = 0")
    con.executemany("INSERT INTO t (rowid, a, b) VALUES (?, ?, ?)", [(i * 3 + 1, -i, "new") for i in range(200)])
    con.commit()
    want = con.execute("SELECT rowid, a, b FROM t ORDER BY rowid").fetchall()
    con.close()
    assert through(path, A, B) == want


def test_one_odd_value_costs_one_reject(tmp_path):
    """A text among a million integers would hand its batch to SQLite, and only its record is refused."""
    path = tmp_path / "odd.sqlite"
    made(path, "CREATE TABLE t (a INTEGER, b TEXT)", [(i if i != 50 else "odd", None) for i in range(300)]).close()
    with opened(Source(path.name, path)) as db:
        ledger = Ledger()
        assert sum(b.num_rows for b in rows(db, "t", [A, B], ledger)) == 299
    assert [(r.place, r.reason) for r in ledger.rejects] == [(51, "t.a: text where an integer belongs")]
