"""Large tables hold a column from its first value on, and show all of them; batches come in whole row groups."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.nsys_sqlite import events
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


@settings(deadline=None, max_examples=40)
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


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 99), min_size=1, max_size=20)), max_size=8),
    st.integers(1, 7),
    st.integers(1, 3),
)
def test_batches_in_whole_row_groups(parts: list[tuple[str, list[int]]], rows: int, groups: int) -> None:
    """The same rows in the same order; of each run of one table all but the last are full, in pieces of a row group."""
    batches = [Batch(t, pa.table({"x": pa.array([str(v) for v in vs]).dictionary_encode()})) for t, vs in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "GROUP_ROWS", rows)
        patch.setattr(events, "GROUPS", groups)
        out = list(events.grouped(iter(batches)))
    flat = [(b.table, v) for b in out for v in b.rows.column("x").to_pylist()]
    assert flat == [(t, str(v)) for t, vs in parts for v in vs]
    assert all(len(chunk) <= rows for b in out for chunk in b.rows.column("x").chunks)
    whole = rows * groups
    sizes = [len(list(run)) for _, run in itertools.groupby(flat, key=lambda pair: pair[0])]
    assert [b.rows.num_rows for b in out] == [min(whole, n - at) for n in sizes for at in range(0, n, whole)]
