"""Large tables hold a column from its first value on, and show all of them; batches come in whole row groups."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.ingest import groups as groups_module
from postmortem.ingest.reader import Batch
from postmortem.store import store as stores
from postmortem.store.schema import tables
from postmortem.store.store import create, finish, open_store, run

COLUMNS = [c.name for c in tables()["kernels"].columns if c.name != "source_id"]
NUMBERS = ["stream_id", "graph_id", "cluster_x", "short_name"]

value = st.none() | st.integers(0, 9)
batch = st.lists(
    st.fixed_dictionaries({"start_ns": st.integers(0, 9), **dict.fromkeys(NUMBERS, value)}), min_size=1, max_size=6
)


def arrow(rows: list[dict[str, Any]], names: list[str]) -> pa.Table:
    """Kernels with these columns; short_name as a dictionary of texts."""
    columns = {"start_ns": pa.array([r["start_ns"] for r in rows], pa.int64())}
    columns["end_ns"] = columns["start_ns"]
    for name in names:
        numbers = pa.array([r[name] for r in rows], pa.int64())
        columns[name] = numbers.cast(pa.string()).dictionary_encode() if name == "short_name" else numbers
    return pa.table(columns)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.tuples(batch, st.sets(st.sampled_from(NUMBERS))), min_size=1, max_size=4), st.integers(1, 6))
def test_what_was_put_in_comes_out(batches: list[tuple[list[dict[str, Any]], set[str]]], large: int) -> None:
    """Whatever columns which batch brings, and whichever of them is the first large one."""
    wanted = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "LARGE_ROWS", large)
        place = Path(folder) / "s.duckdb"
        with create(place) as writer:
            for rows, names in batches:
                writer.append("kernels", arrow(rows, sorted(names)), source_id=7)
                for r in rows:
                    given_ = {"start_ns": r["start_ns"], "end_ns": r["start_ns"], **{n: r[n] for n in names}}
                    wanted.append({n: given_.get(n) for n in COLUMNS})
            finish(writer)
        con = open_store(place)
        found = run(con, "FROM kernels")
        described = [(r[0], r[1]) for r in run(con, "DESCRIBE kernels")]
        con.close()
    assert described == [(c.name, c.type) for c in tables()["kernels"].columns]
    for w in wanted:
        w["short_name"] = None if w["short_name"] is None else str(w["short_name"])
    assert found == [(7, *w.values()) for w in wanted]


def test_columns_without_a_value_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table behind the view has only those with a value, and those that every row must have."""
    monkeypatch.setattr(stores, "LARGE_ROWS", 2)
    rows = [{"start_ns": 1, "stream_id": 7}, {"start_ns": 2, "stream_id": None}]
    with create(tmp_path / "s.duckdb") as writer:
        writer.append("kernels", arrow(rows, ["stream_id"]), source_id=0)
        finish(writer)
    con = open_store(tmp_path / "s.duckdb")
    assert [r[0] for r in run(con, "DESCRIBE kernels_recorded")] == ["source_id", "start_ns", "end_ns", "stream_id"]
    con.close()


def test_a_row_without_a_required_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving columns out does not leave out what every row must have."""
    monkeypatch.setattr(stores, "LARGE_ROWS", 1)
    with (
        pytest.raises(duckdb.ConstraintException),
        create(tmp_path / "s.duckdb") as writer,
    ):
        writer.append("kernels", pa.table({"start_ns": pa.array([1], pa.int64())}), source_id=0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 99), max_size=20)), max_size=12),
    st.integers(1, 7),
    st.integers(1, 3),
)
def test_batches_in_whole_row_groups(parts: list[tuple[str, list[int]]], rows: int, groups: int) -> None:
    """Of each table and its columns the same rows in the same order; all but the last batch are full."""
    names = {"a": ("one", "x"), "b": ("one", "y"), "c": ("two", "x")}  # two kinds of batches of one table
    given_: dict[tuple[str, str], list[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups_module, "GROUP_ROWS", rows)
        patch.setattr(groups_module, "GROUPS", groups)
        held, out = groups_module.RowGroups(), []
        for kind, values in parts:
            table, column = names[kind]
            given_.setdefault(names[kind], []).extend(map(str, values))
            out += held.add(Batch(table, pa.table({column: pa.array(map(str, values)).dictionary_encode()})))
        out += held.rest()
        assert list(held.rest()) == []
    found: dict[tuple[str, str], list[pa.Table]] = {}
    for batch_ in out:
        assert all(len(chunk) <= rows for chunk in batch_.rows.column(0).chunks)
        found.setdefault((batch_.table, batch_.rows.column_names[0]), []).append(batch_.rows)
    whole = rows * groups
    for key, values_ in given_.items():
        assert [v for r in found.get(key, []) for v in r.column(0).to_pylist()] == values_
        sizes = [min(whole, len(values_) - at) for at in range(0, len(values_), whole)]
        assert [r.num_rows for r in found.get(key, [])] == sizes
