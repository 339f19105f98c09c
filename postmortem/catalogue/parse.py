"""A query file: prose, then its parameters, columns and needs, then one SELECT.

-- Who arrived last at each collective.
-- One row a collective. It can't tell why.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: wait_ns BIGINT ns — end of the last arrival minus the first
-- needs: nvtx_events(kind, start_ns, end_ns) or what would do instead (how to record it)
-- fact: hbm_gbps GB/s — memory bandwidth of one GPU
-- uses: _shared/nvtx_utc
SELECT ... ORDER BY ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postmortem.base.errors import QueryError

_PARAM = re.compile(r"^(\w+) ([A-Z]+(?:\[\])?) (\S+) = (.+?) — (.+)$")
_COLUMN = re.compile(r"^(\w+) ([A-Z]+(?:\[\])?) (\S+) — (.+)$")
_FACT = re.compile(r"^(\w+) (\S+) — (.+)$")
_NEEDS = re.compile(r"^(\w+)\(([\w, ]+)\)(?: or (.+))?$")
_ONLY = re.compile(r"only this .*; NULL: all")  # the meaning of a parameter that is a filter, and nothing besides


@dataclass(frozen=True)
class Param:
    """A parameter: ``default`` is its value where none is given; None stands for SQL's NULL."""

    name: str
    type: str
    unit: str
    default: Any
    says: str


@dataclass(frozen=True)
class QueryColumn:
    """A column of the answer."""

    name: str
    type: str
    unit: str
    says: str


@dataclass(frozen=True)
class Fact:
    """A fact about the deployment that the question needs (a row of the view deployment_facts)."""

    name: str
    unit: str
    says: str


@dataclass(frozen=True)
class Header:
    """What a question says of itself: ``title`` is the first line of ``doc``.

    ``instead``: for a table of ``needs``, what would do in its place and how to record it.
    """

    name: str
    subject: str
    title: str
    doc: str
    params: tuple[Param, ...]
    columns: tuple[QueryColumn, ...]
    needs: tuple[tuple[str, tuple[str, ...]], ...]
    facts: tuple[Fact, ...]
    uses: tuple[str, ...]
    path: Path
    instead: dict[str, str]

    @property
    def filters(self) -> set[str]:
        """Parameters that leave the rows whose column of that name has their value, and do nothing besides."""
        columns = {c.name for c in self.columns}
        return {p.name for p in self.params if p.name in columns and _ONLY.fullmatch(p.says)}

    def bound(self, params: dict[str, Any]) -> dict[str, Any]:
        """A value for every parameter; those given as text are read by their type.

        Raises QueryError where a parameter is unknown or its value off; so is NULL where another value is the default.
        """
        bound = {p.name: p.default for p in self.params}
        known = {p.name: p for p in self.params}
        for key, value in params.items():
            where = f"{self.name}: parameter {key}"
            if key not in known:
                raise QueryError(where, "is not declared", f"it takes: {', '.join(bound) or 'none'}")
            kind = known[key].type
            bound[key] = value_of(kind, value, where) if kind != "VARCHAR" and isinstance(value, str) else value
            if bound[key] is None and known[key].default is not None:
                raise QueryError(where, f"NULL is no {kind}", f"leave it out for {known[key].default}")
        return bound


@dataclass(frozen=True)
class Query(Header):
    """One question to the store."""

    sql: str


def value_of(type_: str, text: str, where: str) -> Any:
    """A parameter's value from text, by its SQL type; ``NULL`` is None. Raises QueryError."""
    if text.upper() == "NULL":
        return None
    try:
        if type_ in {"BIGINT", "INTEGER"}:
            return int(text)
        if type_ == "DOUBLE":
            return float(text)
        if type_ == "BOOLEAN":
            return {"true": True, "false": False}[text.lower()]
        if type_ == "VARCHAR[]":
            return [part for part in text.split(",") if part]
    except (ValueError, KeyError) as e:
        raise QueryError(where, f"{text!r} is no {type_}") from e
    return text.strip("'")


def header(path: Path, subject: str, lines: list[str]) -> Header:
    """A header from its lines, each without comment marks. Raises QueryError naming the file and line that is off."""
    prose: list[str] = []
    params: list[Param] = []
    columns: list[QueryColumn] = []
    needs: list[tuple[str, tuple[str, ...]]] = []
    facts: list[Fact] = []
    uses: list[str] = []
    instead: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path.name}:{number}"
        key, _, rest = line.partition(": ")
        if key == "param":
            m = _PARAM.match(rest)
            if not m:
                raise QueryError(where, "wants 'param: name TYPE unit = default — meaning'")
            params.append(Param(m[1], m[2], m[3], value_of(m[2], m[4], where), m[5]))
        elif key == "column":
            m = _COLUMN.match(rest)
            if not m:
                raise QueryError(where, "wants 'column: name TYPE unit — meaning'")
            columns.append(QueryColumn(m[1], m[2], m[3], m[4]))
        elif key == "needs":
            m = _NEEDS.match(rest)
            if not m:
                raise QueryError(where, "wants 'needs: table(column, ...)', perhaps with 'or what would do instead'")
            needs.append((m[1], tuple(c.strip() for c in m[2].split(","))))
            if m[3]:
                instead[m[1]] = m[3]
        elif key == "fact":
            m = _FACT.match(rest)
            if not m:
                raise QueryError(where, "wants 'fact: name unit — meaning'")
            facts.append(Fact(m[1], m[2], m[3]))
        elif key == "uses":
            uses += [u.strip().removeprefix("_shared/") for u in rest.split(",")]
        else:
            prose.append(line)
    doc = "\n".join(prose).strip()
    if not doc:
        raise QueryError(path.name, "wants a title in prose")
    return Header(
        path.stem, subject, doc.splitlines()[0], doc, tuple(params), tuple(columns), tuple(needs), tuple(facts),
        tuple(uses), path, instead,
    )  # fmt: skip


def parse(path: Path, text: str) -> Query:
    """A query from its file. Raises QueryError naming the file and line that is off."""
    lines = text.splitlines()
    body = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    head = header(path, path.parent.name, [line[2:].strip() for line in lines[:body]])
    sql = "\n".join(lines[body:]).strip().rstrip(";")
    if not sql:
        raise QueryError(path.name, "wants one SELECT")
    used = set(re.findall(r"\$(\w+)", re.sub(r"'[^']*'", "''", re.sub(r"--[^\n]*", "", sql))))
    declared = {p.name for p in head.params}
    if used != declared:
        raise QueryError(path.name, f"parameters declared {sorted(declared)}, used {sorted(used)}")
    return Query(**head.__dict__, sql=sql)
