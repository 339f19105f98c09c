"""Find, describe and run queries. Values are bound, never formatted in."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from postmortem.base.errors import QueryError
from postmortem.catalogue.derived import kept, standing
from postmortem.catalogue.parse import Header, Query, parse
from postmortem.catalogue.views import queries_folder, view, views
from postmortem.store.schema import tables
from postmortem.store.store import run

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

KEPT = 64  # frames kept; a chain asks for about fifteen, most of them its neighbours' too


@cache
def _paths() -> dict[str, Path]:
    """The file of each query by its name. Raises QueryError where two share a name."""
    found: dict[str, Path] = {}
    for path in sorted(queries_folder().glob("*/*.sql")):
        if path.parent.name.startswith("_"):
            continue
        if path.stem in found:
            raise QueryError(path.stem, f"stands twice: {found[path.stem]} and {path}")
        found[path.stem] = path
    return found


@cache
def _query(name: str) -> Query:
    """One query, read when it is first asked for: a chain asks for a few of them. Raises QueryError."""
    path = _paths()[name]
    return parse(path, path.read_text("utf-8"))


@cache
def queries() -> dict[str, Query]:
    """All queries by name. Raises QueryError where two share a name or a header is off."""
    return {name: _query(name) for name in _paths()}


_Asked = tuple[str, tuple[tuple[str, Any], ...]]  # a query's name and its parameters


class Catalogue:
    """The queries over one open store."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._views: set[str] = set()
        self._derived: set[str] | None = None
        self._filled: dict[str, bool] = {}
        self.memo: dict[tuple[Any, ...], Any] = {}  # figures worked out of this store's rows, by whoever asked
        self._kept: OrderedDict[_Asked, pl.DataFrame] = OrderedDict()
        self._counts: dict[_Asked, int] = {}

    def describe(self, name: str) -> Query:
        """A query's header. Raises QueryError where there is none of that name."""
        if name not in _paths():
            raise QueryError(name, "is not a query", "postmortem query BUNDLE lists them")
        return _query(name)

    def sql_text(self, name: str) -> str:
        """The query's SELECT as it stands in its file."""
        return self.describe(name).sql

    def absent(self, asked: Header, source: str | None = None) -> list[str]:
        """What the question would need and the bundle, or its one source, does not hold: a sentence each, with how to
        bring it.
        """
        said = []
        for table, _ in asked.needs:
            what = table.replace("_", " ")
            record = tables()[table].record + (f", or {asked.instead[table]}" if table in asked.instead else "")
            if not self.filled(table):
                said.append(f"no {what} in this bundle; record with: {record}")
            elif source is not None and not self._filled_by(table, source):
                sql = (
                    "FROM nsys_tables JOIN sources USING (source_id) SELECT table_name WHERE path = ? AND read_into = ?"
                )
                lacks = [name for (name,) in run(self._con, f"{sql} AND NOT present ORDER BY ALL", [source, table])]
                why = f": it has no table {' nor '.join(lacks)}" if lacks else ""
                said.append(f"no {what} in {source}{why}; record with: {record}")
        if asked.facts:
            known = set(self.view("deployment_facts")["fact"].to_list())
            said += [
                f"{f.name} is not known ({f.says}, {f.unit}); write it into bundle.toml under [deployment]"
                for f in asked.facts
                if f.name not in known
            ]
        return said

    def filled(self, table: str) -> bool:
        """Whether the store's table holds any row."""
        if table not in self._filled:
            try:
                self._filled[table] = bool(run(self._con, f"SELECT 1 FROM {table} LIMIT 1"))
            except duckdb.CatalogException as e:
                raise QueryError(table, "is no table of the store") from e
        return self._filled[table]

    def _filled_by(self, table: str, source: str) -> bool:
        """Whether this source gave the store's table any row."""
        sql = f"SELECT 1 FROM {table} JOIN sources USING (source_id) WHERE path = ? LIMIT 1"
        return bool(run(self._con, sql, [source]))

    def _bound(self, name: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The query's SQL and its parameters' values; those given as text are read by their type.

        Raises QueryError where a parameter is unknown or its value off, also where a source is none of the bundle's.
        """
        query = self.describe(name)
        bound = query.bound(params)
        if (source := bound.get("source")) is not None:
            paths = [path for (path,) in run(self._con, "FROM sources SELECT path ORDER BY path")]
            if source not in paths:
                what = f"{source} is no source of this bundle"
                raise QueryError(f"{name}: parameter source", what, f"it has: {', '.join(paths) or 'none'}")
        self._use(query.uses)
        return query.sql, bound

    def run(self, name: str, **params: Any) -> pl.DataFrame:
        """The query's answer as a polars frame; empty where the bundle lacks what it needs (see ``absent``)."""
        return self._frame(name, *self._bound(name, params))

    def kept(self, name: str, **params: Any) -> pl.DataFrame:
        """The same as ``run``, and kept for the next who asks: the chains of one bundle share most rows."""
        key = (name, tuple(sorted(params.items())))
        if key not in self._kept:
            part = self._part(name, params)
            self._kept[key] = self.run(name, **params) if part is None else part
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _part(self, name: str, params: dict[str, Any]) -> pl.DataFrame | None:
        """The rows out of an answer that is kept and has them all; None where none is."""
        query = self.describe(name)
        wanted = {k: v for k, v in query.bound(params).items() if v is not None and k in query.filters}
        for key, frame in self._kept.items():
            if key[0] == name:
                rest = {k: wanted[k] for k, v in query.bound(dict(key[1])).items() if k in wanted and v is None}
                if rest and query.bound(params) == query.bound({**dict(key[1]), **rest}):
                    self._kept.move_to_end(key)
                    return frame.filter(**rest)
        return None

    def count(self, name: str, **params: Any) -> int:
        """How many rows ``run`` would give, without fetching them where none has."""
        key = (name, tuple(sorted(params.items())))
        if key in self._kept:
            return self._kept[key].height
        if key not in self._counts:
            part = self._part(name, params)
            self._counts[key] = self._count(name, params) if part is None else part.height
        return self._counts[key]

    def _count(self, name: str, params: dict[str, Any]) -> int:
        sql, bound = self._bound(name, params)
        try:
            return int(run(self._con, f"SELECT count(*) FROM ({sql})", bound)[0][0])
        except duckdb.Error as e:
            raise QueryError(name, str(e).splitlines()[0]) from e

    def rows(self, name: str, **params: Any) -> list[dict[str, Any]]:
        """The query's answer as dictionaries: for small answers, without loading polars."""
        sql, bound = self._bound(name, params)
        try:
            cursor = self._con.execute(sql, bound)
            columns = [d[0] for d in cursor.description or []]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.Error as e:
            raise QueryError(name, str(e).splitlines()[0]) from e

    def view(self, name: str) -> pl.DataFrame:
        """All rows of a shared view: for analyses that fill the store's own tables."""
        self._use((name,))
        return self._frame(f"_shared/{name}", f"FROM {name}", {})

    def sql(self, text: str) -> pl.DataFrame:
        """One's own read-only SQL over the store's tables. Raises QueryError."""
        import polars as pl

        self._use(views())
        try:
            text.encode()  # DuckDB takes no other text
            # Anything else might put a table of its own before the store's. A PIVOT is several statements in one.
            if [s.type.name for s in self._con.extract_statements(text)] not in (["SELECT"], ["MULTI"]):
                raise QueryError(
                    "--sql", "is not one SELECT", "write one; DESCRIBE TABLE and SHOW TABLES tell what is there"
                )
            frame = pl.from_arrow(self._table(text))
        except (duckdb.Error, pl.exceptions.PolarsError, UnicodeEncodeError) as e:
            raise QueryError("--sql", str(e).splitlines()[0]) from e
        assert isinstance(frame, pl.DataFrame)  # noqa: S101  a table is never a series
        times = pl.col(pl.Date, pl.Datetime)
        within = times.cast(pl.Datetime("us"), strict=False).is_between(date.min, date.max)
        for column in frame.select(within.sum() < times.count()):
            if column.item():  # no Python time, nor any text that polars writes, is so early or late
                what = f"column {column.name} has times beyond the years 1 to 9999"
                raise QueryError("--sql", what, "times of the store are ns: make_timestamp_ns(...)")
        return frame

    def _table(self, text: str) -> pa.Table:
        """The rows of a SELECT; pyarrow knows every type that may come but intervals, which become text."""
        relation = self._con.sql(text).select("*")  # doubled names become name_1 by being selected from
        cells = [duckdb.ColumnExpression(name) for name in relation.columns]
        for at, kind in enumerate(relation.types):
            if "INTERVAL" in str(kind):
                cells[at] = cells[at].cast(duckdb.sqltypes.VARCHAR).alias(relation.columns[at])
        return relation.select(*cells).to_arrow_table()

    def _frame(self, name: str, sql: str, bound: dict[str, Any]) -> pl.DataFrame:
        """The rows of a query of the library, handed over as an Arrow stream: pyarrow is not loaded."""
        import polars as pl

        try:
            return pl.DataFrame(self._con.sql(sql, params=bound or None))
        except (duckdb.Error, pl.exceptions.PolarsError) as e:  # polars tells what DuckDB said amid the rows
            raise QueryError(name, str(e).splitlines()[0]) from e

    def _use(self, names: tuple[str, ...]) -> None:
        """Create the shared views that a query builds on, deepest first; kept ones are there already."""
        if self._derived is None:
            self._derived = kept(self._con)
        for name in names:
            if name in self._views:
                continue
            if name in self._derived:
                run(self._con, standing(name))
            else:
                one = view(name)
                self._use(one.uses)
                run(self._con, one.statement)
            self._views.add(name)
