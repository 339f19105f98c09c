"""Late ranks over whole recordings, against what the lab switched on."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import ask
from tests.findings.test_fabric_spells import served
from tests.queries.test_every_query import store_with

INCIDENTS = Path(__file__).parents[2] / "sample_traces" / "incidents"


def test_the_stalled_rank_is_late(shipped: dict[str, Incident]) -> None:
    """The lab's straggler, on its replica, since its fault; the calm recording has none."""
    truth = tomllib.loads((INCIDENTS / "straggler" / "truth.toml").read_text("utf-8"))
    rows = shipped["straggler"].query("late_ranks").to_dicts()
    assert [(row["replica"], row["rank"]) for row in rows] == [(truth["replica"], truth["rank"])]
    assert rows[0]["share_low"] > 1 / 2
    assert shipped["calm"].query("late_ranks").is_empty()


def test_it_is_late_until_the_fault_ends(shipped: dict[str, Incident]) -> None:
    """A rank that is late by half a millisecond, in the iterations that the fault lasted: at most 5 more or less."""
    truth = tomllib.loads((INCIDENTS / "memory_evaporation" / "truth.toml").read_text("utf-8"))
    incident = shipped["memory_evaporation"]
    (row,) = incident.query("late_ranks").to_dicts()
    assert (row["replica"], row["rank"]) == (truth["replica"], truth["rank"])
    laps = incident.query("rank_iterations", replica=truth["replica"], rank=truth["rank"])
    lasted = laps.filter(laps["start_ns"].is_between(truth["on_ns"], truth["off_ns"]))["iteration"]
    assert abs(row["first_iteration"] - lasted.min()) <= 5
    assert abs(row["first_iteration"] + row["iterations"] - 1 - lasted.max()) <= 5


def test_by_hand(tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """Rank 1 of replica b is late by 5 ms in iterations 70 to 99, and in no other."""
    (row,) = opened(write_bundle(tmp_path, *straggler())).query("late_ranks").to_dicts()
    assert (row["replica"], row["rank"], row["first_iteration"], row["iterations"]) == ("b", 1, 70, 30)
    assert row["p_value"] < 0.05


def test_a_hole_in_a_record_is_no_lateness() -> None:
    """Rank 1 records no collectives from 60 to 99: what it computed there is not known, and nobody was late."""
    records = served([8] * 160)
    for row in records["s_records"]:
        if row["rank"] == 1 and 60 <= row["iteration"] < 100:
            row["comm_ms"] = row["sync_ms"] = None
    catalogue = Catalogue(store_with(records))
    assert ask(catalogue, "late_ranks").is_empty()
    assert ask(catalogue, "fabric_spells")["regime"].to_list() == ["normal"]
