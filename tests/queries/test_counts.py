"""Frames of the catalogue, and how many rows they would have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from postmortem.api import read_bundle
from postmortem.base.errors import QueryError
from postmortem.catalogue.catalogue import Catalogue
from postmortem.store.store import open_store

SAMPLE = Path(__file__).parents[2] / "sample_traces" / "incidents" / "straggler" / "bundle"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return read_bundle(SAMPLE, store=tmp_path_factory.mktemp("counts") / "store.duckdb")


@pytest.fixture
def catalogue(store: Path) -> Iterator[Catalogue]:
    con = open_store(store)
    yield Catalogue(con)
    con.close()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("requests", {}),
        ("request_steps", {"req_id": "b-107"}),
        ("request_steps", {"req_id": "nobody"}),
        ("collectives", {"replica": "b"}),
        ("flips", {"req_id": "b-107", "vs": "a-107"}),
    ],
)
def test_a_count_is_the_height_of_the_frame(catalogue: Catalogue, name: str, params: dict[str, str]) -> None:
    """Asked before the frame is there, and after."""
    before = catalogue.count(name, **params)
    assert before == catalogue.run(name, **params).height
    assert before == catalogue.kept(name, **params).height == catalogue.count(name, **params)


def test_a_count_of_an_unknown_query_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(QueryError, match="is not a query"):
        catalogue.count("no_such_query")


@pytest.mark.parametrize("rows", [1, 300_000])
def test_an_error_amid_the_rows_is_a_query_error(rows: int) -> None:
    """Also where DuckDB meets it after thousands of rows have been handed over."""
    con = duckdb.connect()
    late = f"SELECT CASE WHEN i = {rows - 1} THEN error('a bad row') ELSE i END AS i FROM range({rows}) AS t(i)"
    catalogue = Catalogue(con)
    with pytest.raises(QueryError, match="a bad row"):
        catalogue._frame("late", late, {})
    assert catalogue._frame("after", "SELECT 1 AS one", {}).item() == 1


def test_a_table_that_the_store_lacks_is_refused(catalogue: Catalogue) -> None:
    assert catalogue.filled("s_records")
    assert not catalogue.filled("kernels")
    with pytest.raises(QueryError, match="is no table of the store"):
        catalogue.filled("no_such_table")


def test_a_part_of_what_is_kept_is_not_asked_again(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one request out of those of all; those of another comparison are not among them."""
    whole, flips = catalogue.kept("requests"), catalogue.kept("flips")
    monkeypatch.setattr(Catalogue, "run", None)
    mine = catalogue.kept("requests", req_id="b-107")
    assert mine.rows() == [row for row in whole.iter_rows() if row[0] == "b-107"]
    assert catalogue.count("requests", req_id="nobody") == 0
    assert catalogue.count("flips", req_id="b-107") == flips.filter(req_id="b-107").height
    with pytest.raises(TypeError):  # it would have to be run
        catalogue.kept("flips", req_id="b-107", vs="a-107")
