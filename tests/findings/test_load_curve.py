"""The curve of churn and flips over load: paper and pencil, sums that hold, the shipped recordings."""

from __future__ import annotations

import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.test_state_collapse import served
from tests.queries.test_every_query import store_with

FINDING = findings()["load_curve"]


def test_by_hand() -> None:
    """Sizes 1 to 20, a tenth of the iterations two sizes each; those above 10 run another tactic."""
    sizes = list(range(1, 21))
    rows = FINDING.run(Catalogue(store_with(served(sizes, [size > 10 for size in sizes])))).filter(load="concurrency")
    assert rows["load_from"].to_list() == list(range(1, 20, 2))
    assert rows["load_to"].to_list() == list(range(2, 21, 2))
    assert rows["churn"].to_list() == [0.0] * 5 + [1.0] * 5
    assert rows["steps"].to_list() == [2] * 10
    assert rows["flip"].to_list() == [0.0] * 10


def test_less_free_memory_is_more_load() -> None:
    """1000 less ten a request are free: rows run from 990 down to 800, from no churn to all, as concurrency's do."""
    sizes = list(range(1, 21))
    rows = FINDING.run(Catalogue(store_with(served(sizes, [size > 10 for size in sizes])))).filter(load="free_mb")
    assert rows["load_from"].to_list() == list(range(980, 780, -20))
    assert rows["load_to"].to_list() == list(range(990, 790, -20))
    assert rows["churn"].to_list() == [0.0] * 5 + [1.0] * 5


def test_one_load_is_one_row() -> None:
    """Nine of ten iterations at one load stand together."""
    sizes = [5] * 18 + [9, 9]
    rows = FINDING.run(Catalogue(store_with(served(sizes, [False] * 20)))).filter(load="concurrency")
    assert rows.select("load_from", "load_to", "iterations").rows() == [(5.0, 5.0, 18), (9.0, 9.0, 2)]


def test_without_plans_no_churn_is_told() -> None:
    """Where no step's tactic is recorded, that none ran another is not known; in half of them, it is of that half."""
    given = served([5, 9] * 10, [False, True] * 10)
    for record in given["s_records"]:
        if record.get("iteration", 0) % 4 < 2:
            record.pop("algo_id", None)
    (_, more) = FINDING.run(Catalogue(store_with(given))).filter(load="concurrency").to_dicts()
    assert (more["steps"], more["churn"], more["churn_low"]) == (10, 1.0, pytest.approx(5 / (5 + 1.959964**2)))
    for record in given["s_records"]:
        record.pop("algo_id", None)
    rows = FINDING.run(Catalogue(store_with(given)))
    assert rows.height
    assert rows.select("churn", "churn_low", "churn_high").null_count().row(0) == (rows.height,) * 3
    assert rows["flip"].to_list() == [0.0] * rows.height
    assert findings()["state_collapse"].run(Catalogue(store_with(given))).is_empty()


@pytest.mark.slow
def test_fewer_records_are_no_surer() -> None:
    """Half of the iterations have wider intervals."""
    for n in (20, 40):
        sizes = [5, 9] * (n // 2)
        (low, _) = FINDING.run(Catalogue(store_with(served(sizes, [False] * n)))).filter(load="concurrency").to_dicts()
        assert low["churn_high"] == pytest.approx(1.959964**2 / (n / 2 + 1.959964**2))  # Wilson's, of 0 of n/2


def test_the_shipped_recordings(shipped: dict[str, Incident]) -> None:
    """Every iteration with a known load is in one row of each measure, and every flip is counted once."""
    for incident in shipped.values():
        rows, iterations = incident.query("load_curve"), incident.query("load_iterations")
        for (replica, load), part in rows.group_by("replica", "load"):
            own = iterations.filter(replica=replica).drop_nulls(str(load))
            assert part["iterations"].sum() == own.height
            assert part["flips"].sum() == own["flips"].sum()
            assert part["steps"].sum() == own["steps"].sum()
