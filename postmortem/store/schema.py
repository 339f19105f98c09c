"""The store's tables, read from tables/*.sql: names, columns, types, units, and what records them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from postmortem.base.rooms import RoomError

SCHEMA_VERSION = 4  # 1: first; 2: collective_calls and clock_fits; 3: fits of the s records; 4: watchdogs by prefix

TABLES = Path(__file__).parent / "tables"

_COLUMN = re.compile(r"^\s+(\w+)\s+([A-Z]\w*(?:\([^)]*\))?(?:\[\])?)((?: NOT NULL| PRIMARY KEY)*),?\s*-- (.+)$")


@dataclass(frozen=True)
class Column:
    """A column: its SQL type, its comment (meaning and unit), and whether every row has a value."""

    name: str
    type: str
    says: str
    required: bool


@dataclass(frozen=True)
class Table:
    """A table: what one row is, what records it, its columns and its CREATE statement."""

    name: str
    row: str
    record: str
    columns: tuple[Column, ...]
    sql: str

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(c.name for c in self.columns)


def parse(name: str, text: str) -> Table:
    """A table from the text of its file; RoomError where it breaks the rules of such files."""
    row = re.search(r"^-- (one row .+)$", text, re.M)
    record = re.search(r"^-- record: (.+)$", text, re.M)
    if not row or not record:
        raise RoomError(f"tables/{name}.sql: wants '-- one row a ...' and '-- record: ...'")
    body = text[text.index("CREATE TABLE") :]
    if not body.startswith(f"CREATE TABLE {name} ("):
        raise RoomError(f"tables/{name}.sql: must create the table {name}")
    columns = []
    for line in body.splitlines()[1:]:
        if line.strip() in {");", ")", ""}:
            continue
        match = _COLUMN.match(line)
        if not match:
            raise RoomError(f"tables/{name}.sql: wants 'name TYPE -- meaning, unit': {line.strip()}")
        columns.append(Column(match[1], match[2], match[4].strip(), bool(match[3])))
    return Table(name, row[1], record[1], tuple(columns), body)


@cache
def tables() -> dict[str, Table]:
    """All tables by name."""
    return {p.stem: parse(p.stem, p.read_text("utf-8")) for p in sorted(TABLES.glob("*.sql"))}
