"""Every query of the library: header, parameters, columns, order, and its cases.

A case file ``tests/queries/<subject>/<query>.yaml`` lists cases: ``given`` rows by table, ``params``,
``expect`` rows with only the columns that matter.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from postmortem.api import match_and_align
from postmortem.catalogue.catalogue import Catalogue, queries, queries_folder
from postmortem.catalogue.parse import Query
from postmortem.catalogue.views import views
from postmortem.store.schema import tables
from postmortem.store.store import Writer, run

HERE = Path(__file__).parent
QUERIES = sorted(queries().values(), key=lambda q: q.name)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C's takes a tenth of the time, every run of any test here
DEFAULTS: dict[str, Any] = {"VARCHAR": "", "BIGINT": 0, "INTEGER": 0, "DOUBLE": 0.0, "BOOLEAN": False, "UBIGINT": 0}


@cache
def listed_in(path: Path) -> list[dict[str, Any]]:
    """The cases of one file."""
    found: list[dict[str, Any]] = yaml.load(path.read_text("utf-8"), LOADER)
    return found


def cases() -> list[Any]:
    """All cases with the names of their queries."""
    found: list[Any] = []
    for path in sorted(HERE.glob("*/*.yaml")):
        listed = listed_in(path)
        found += [pytest.param(path.stem, case, id=f"{path.stem}: {case['case']}") for case in listed]
    return found


def store_with(given: dict[str, list[dict[str, Any]]]) -> duckdb.DuckDBPyConnection:
    """An empty store with some rows; NOT NULL columns that a case leaves out get the type's zero."""
    con = duckdb.connect(":memory:", config={"threads": "1"})  # a few rows: several cost more than they bring
    for table in tables().values():
        run(con, table.sql)
    return _filled(con, given)


@pytest.fixture(scope="module")
def empty() -> duckdb.DuckDBPyConnection:
    """One store for all cases: to make its tables takes longer than many a case."""
    return store_with({})


@pytest.fixture(scope="module")
def with_views(empty: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same with all shared views made: each case would make a dozen. What a query uses and does not say is
    found where its columns are held against its header, on a store without views.
    """
    con = empty.cursor()
    Catalogue(con)._use(views())
    return con


def _filled(con: duckdb.DuckDBPyConnection, given: dict[str, list[dict[str, Any]]]) -> duckdb.DuckDBPyConnection:
    for name, rows in given.items():
        required = {
            c.name: DEFAULTS[c.type]
            for c in tables()[name].columns
            if re.search(rf"^\s+{c.name}\s.*(NOT NULL|PRIMARY KEY)", tables()[name].sql, re.M)
        }
        for columns, alike in groupby(({**required, **row} for row in rows), key=tuple):
            names = ", ".join(f'"{k}"' for k in columns)
            marks = ", ".join("?" for _ in columns)
            con.executemany(f"INSERT INTO {name} ({names}) VALUES ({marks})", [list(row.values()) for row in alike])
    match_and_align(Writer(con))
    return con


@pytest.mark.parametrize("query", QUERIES, ids=[q.name for q in QUERIES])
def test_columns_are_as_declared(query: Query, empty: duckdb.DuckDBPyConnection) -> None:
    """On an empty store a query gives no row (or one of counts), with the declared columns and types."""
    con = empty.cursor()
    frame = Catalogue(con)._bound(query.name, {})
    described = run(con, f"DESCRIBE {frame[0]}", frame[1])
    assert [(row[0], row[1]) for row in described] == [(c.name, c.type) for c in query.columns]


@pytest.mark.parametrize("query", QUERIES, ids=[q.name for q in QUERIES])
def test_header_and_body_are_whole(query: Query) -> None:
    """A query tells its title and columns, needs tables and columns that exist, and orders its rows."""
    assert query.title.endswith((".", "?"))
    assert query.columns
    for table, columns in query.needs:
        assert table in tables()
        assert set(columns) <= set(tables()[table].column_names)
    assert re.search(r"\bORDER BY\b", query.sql)
    assert len(duckdb.extract_statements(query.sql)) == 1


@pytest.mark.parametrize("query", QUERIES, ids=[q.name for q in QUERIES])
def test_has_cases(query: Query) -> None:
    """Every query has at least two cases, one of them without rows to find."""
    path = HERE / query.subject / f"{query.name}.yaml"
    assert path.is_file(), f"write {path.relative_to(HERE.parents[1])}"
    listed = listed_in(path)
    assert len(listed) >= 2
    assert any(not case.get("given") or not case["expect"] for case in listed)


@pytest.mark.parametrize(("name", "case"), cases())
def test_case(
    name: str, case: dict[str, Any], with_views: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query gives the rows that its case expects, in order, in the columns that the case names.

    A parameter that says "only this …" takes rows out of the answer without it, and does nothing else.
    """
    con = with_views
    monkeypatch.setattr(Catalogue, "_use", lambda *_: None)
    run(con, "BEGIN")
    try:
        _filled(con, case.get("given") or {})
        params = case.get("params") or {}
        rows = Catalogue(con).rows(name, **params)
        for only in queries()[name].filters:
            others = {key: value for key, value in params.items() if key != only}
            every = Catalogue(con).rows(name, **others)
            values = {row[only] for row in every}
            if len(values) > 1:  # of one value alone nothing would be left out
                value = min(values - {None})
                part = Catalogue(con).rows(name, **others, **{only: value})
                assert part == [row for row in every if row[only] == value]
    finally:
        run(con, "ROLLBACK")
    expected = case["expect"] or []
    assert len(rows) == len(expected), rows
    for row, other in zip(rows, expected, strict=True):
        # floats to 1e-9 of themselves: a sum's last bit may depend on its order
        close = {k: pytest.approx(v, rel=1e-9) if isinstance(v, float) else v for k, v in other.items()}
        assert {k: row[k] for k in other} == close


def test_sql_lives_in_query_files_only() -> None:
    """Python code outside the store, the loader and the catalogue holds no SELECT."""
    root = Path(__file__).parents[2] / "postmortem"
    allowed = {"store", "catalogue"}
    guilty = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in allowed
        and re.search(r"\bSELECT\b.*\bFROM\b", path.read_text("utf-8"))
        and "sqlite" not in str(path)
    ]
    assert guilty == []


def test_shared_views_use_only_what_exists() -> None:
    """Every shared view can be created on an empty store."""
    catalogue = Catalogue(store_with({}))
    for path in sorted((queries_folder() / "_shared").glob("*.sql")):
        catalogue._use((path.stem,))


def test_running_figures_are_not_filtered() -> None:
    """DuckDB works out a running aggregate with a FILTER in time that grows with the square of the rows; CASE tells the
    same in one pass.
    """
    guilty = [
        path.name
        for path in sorted(queries_folder().rglob("*.sql"))
        if re.search(r"FILTER \([^)]*\)\s+OVER\s+\([^)]*ORDER BY", path.read_text("utf-8"))
    ]
    assert guilty == []
