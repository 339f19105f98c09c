"""Late ranks over whole recordings, against what the lab switched on."""

from __future__ import annotations

import tomllib
from pathlib import Path

from postmortem.api import Incident

INCIDENTS = Path(__file__).parents[2] / "sample_traces" / "incidents"


def test_the_stalled_rank_is_late(shipped: dict[str, Incident]) -> None:
    """The lab's straggler, on its replica, since its fault; the calm recording has none."""
    truth = tomllib.loads((INCIDENTS / "straggler" / "truth.toml").read_text("utf-8"))
    rows = shipped["straggler"].query("late_ranks").to_dicts()
    assert [(row["replica"], row["rank"]) for row in rows] == [(truth["replica"], truth["rank"])]
    assert rows[0]["share_low"] > 1 / 2
    assert shipped["calm"].query("late_ranks").is_empty()
