"""What is worked out when a bundle is read answers as if it were worked out at the question."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident, read_bundle
from postmortem.catalogue.views import view, views
from postmortem.ingest.load import ingest
from tests.ingest.nsys.exports import ordinary

KEPT = [name for name in views() if view(name).kept]


def test_some_views_are_kept(tmp_path: Path) -> None:
    """The store holds each kept view as a table, and only those."""
    store = read_bundle(write_bundle(tmp_path / "b", *straggler()), store=tmp_path / "s.duckdb")
    with duckdb.connect(str(store), read_only=True) as con:
        rows = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'derived'").fetchall()
    assert sorted(name for (name,) in rows) == KEPT != []


def bundle_in(folder: Path) -> Path:
    """Records of two replicas with requests that changed batches, and a rank's export with kernels and GPU metrics."""
    bundle = write_bundle(folder / "b", *straggler(aside={5: range(90, 94)}))
    ordinary(bundle / "rank3.sqlite")
    return bundle


@pytest.mark.slow
def test_the_answers_are_the_same(tmp_path: Path) -> None:
    """A store without the tables gives the same chain and the same rows."""
    bundle = bundle_in(tmp_path)
    ingest(bundle, tmp_path / "plain.duckdb")
    with (
        Incident(bundle, tmp_path / "plain.duckdb") as plain,
        Incident(bundle, read_bundle(bundle, store=tmp_path / "s.duckdb")) as whole,
    ):
        assert plain.chain("b-1") == whole.chain("b-1")
        for name in KEPT:
            assert plain.sql(f"FROM {name} ORDER BY ALL").equals(whole.sql(f"FROM {name} ORDER BY ALL"))


@pytest.mark.slow
@pytest.mark.parametrize("name", KEPT)
def test_a_table_made_by_another_text_is_passed_over(tmp_path: Path, name: str) -> None:
    """After an update that changed a view, its old table is not believed."""
    bundle = bundle_in(tmp_path)
    store = read_bundle(bundle, store=tmp_path / "s.duckdb")
    with Incident(bundle, store) as incident:
        expected = incident.sql(f"FROM {name}").height
    with duckdb.connect(str(store)) as con:
        con.execute(f"DELETE FROM derived.{name}")
        con.execute("UPDATE bundle SET value = 'older' WHERE key = ?", [f"derived.{name}"])
    with Incident(bundle, store) as incident:
        assert incident.sql(f"FROM {name}").height == expected > 0
