"""Batches of readers as the store likes them: whole row groups, several at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from postmortem.ingest.reader import Batch

GROUP_ROWS = 122_880  # a row group of DuckDB
GROUPS = 4  # handed on at once, to be compressed on all cores: some 100 MB of kernels


class RowGroups:
    """Rows of one source, by table and columns; within these they keep their order.

    Each row group is one piece of memory: where a piece ends, DuckDB ends a row group, and merges those that are short
    at last, which is to write them twice.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, pa.Schema], list[pa.Table]] = {}  # less than a row group
        self._groups: dict[tuple[str, pa.Schema], list[pa.Table]] = {}

    def add(self, batch: Batch) -> Iterator[Batch]:
        """Take rows; gives what is full."""
        rows = batch.rows
        key = (batch.table, rows.schema)
        held, groups = self._held.setdefault(key, []), self._groups.setdefault(key, [])
        count = sum(r.num_rows for r in held)
        while count + rows.num_rows >= GROUP_ROWS:
            fits = GROUP_ROWS - count
            groups.append(_one([*held, rows.slice(0, fits)]))
            held.clear()
            rows, count = rows.slice(fits), 0
            if len(groups) == GROUPS:
                yield _joined(batch.table, groups)
                groups.clear()
        if rows.num_rows:
            held.append(rows)

    def rest(self) -> Iterator[Batch]:
        """What is left; then nothing is held."""
        for (table, schema), held in self._held.items():
            groups = self._groups[table, schema]
            if held:
                groups.append(_one(held))
            if groups:
                yield _joined(table, groups)
            held.clear()
            groups.clear()


def _one(parts: list[pa.Table]) -> pa.Table:
    """The rows of all, every column in one piece, of memory that numpy and polars gave back."""
    rows = parts[0] if len(parts) == 1 else pa.concat_tables(parts).unify_dictionaries()
    return rows.combine_chunks(memory_pool=pa.system_memory_pool())


def _joined(table: str, groups: list[pa.Table]) -> Batch:
    return Batch(table, pa.concat_tables(groups).unify_dictionaries())
