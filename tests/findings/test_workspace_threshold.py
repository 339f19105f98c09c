"""Workspace below which a tactic is no longer chosen: paper and pencil, ranks renamed, a simulated shortage, chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.incidents.simulate import scenario_of, simulate
from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings, workspace_threshold
from tests.analyses.test_stats import within_sampling_error
from tests.queries.test_every_query import store_with

FINDING = findings()["workspace_threshold"]


def ask(rows: list[dict[str, Any]], **params: Any) -> list[dict[str, Any]]:
    return FINDING.run(Catalogue(store_with({"s_records": rows})), **params).to_dicts()


def recorded(short_rank: int, seed: int = 1, exceptions: int = 0, iterations: int = 60) -> list[dict[str, Any]]:
    """Two ranks, batches of 16 and 24. One has 8, 16, 24 MiB and so on free, in any order; from 128 MiB on it runs
    ``wide``, else ``spare``, but for so many exceptions. The other has enough."""
    rng = np.random.default_rng(seed)
    free = 8.0 * rng.permutation(np.arange(1, 1 + iterations))
    wide = free >= 128
    wide[rng.permutation(iterations)[:exceptions]] ^= True
    return [
        {
            "line": 2 * i + r, "replica": "a", "rank": r, "iteration": i, "batch_size": 16 + 8 * (i % 2),
            "workspace_free_mb": free[i] if r == short_rank else 500.0,
            "algo_id": "wide" if r != short_rank or wide[i] else "spare", "kernel_variant": "k",
        }
        for i in range(iterations)
        for r in (0, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("rank", [0, 1])
def test_by_hand(rank: int) -> None:
    """At each shape: wholly told apart, between the largest figure without ``wide`` and the least with it."""
    rows = recorded(rank)
    found = ask(rows)
    assert [(r["rank"], r["shape_class"], r["algo_id"], r["instead"]) for r in found] == [
        (rank, "tokens=16", "wide", "spare"), (rank, "tokens=17-31", "wide", "spare")
    ]  # fmt: skip
    for row, batch in zip(found, (16, 24), strict=True):
        own = [r for r in rows if r["rank"] == rank and r["batch_size"] == batch]
        without = max(r["workspace_free_mb"] for r in own if r["algo_id"] == "spare")
        with_it = min(r["workspace_free_mb"] for r in own if r["algo_id"] == "wide")
        assert (row["low_mb"], row["threshold_mb"], row["high_mb"]) == (without, (without + with_it) / 2, with_it)
        assert without < 128 <= with_it
        assert (row["separable"], row["separation"], row["chosen_above"], row["chosen_below"]) == (True, 1, 1, 0)
        assert row["iterations_chosen"] == sum(r["algo_id"] == "wide" for r in own)
        assert row["iterations_chosen"] + row["iterations_otherwise"] == 30
        # the best of 30 turns: 1/30, and four were looked at: two tactics at two shapes
        assert row["p_value"] == pytest.approx(4 / 30)


def test_with_exceptions() -> None:
    """One of ten times it ran otherwise: an interval round the true 128 MiB, separation below 1."""
    found = ask([{**row, "batch_size": 16} for row in recorded(0, exceptions=6)])
    (row,) = found
    assert not row["separable"]
    assert row["low_mb"] <= 128 <= row["high_mb"]
    assert row["low_mb"] <= row["threshold_mb"] <= row["high_mb"]
    assert 0.3 < row["separation"] < 1
    assert row["chosen_above"] > row["chosen_below"] > 0
    assert row["p_value"] < 0.05


@pytest.mark.slow
def test_fewer_records_are_no_surer() -> None:
    """Every fifth iteration alone is too little; without workspace, or with the same at all times, nothing is said."""
    assert ask([row for row in recorded(1) if row["iteration"] % 5 == 0]) == []
    assert ask([{**row, "workspace_free_mb": None} for row in recorded(1)]) == []
    assert ask([{**row, "workspace_free_mb": 2.0} for row in recorded(1)]) == []
    whole, part = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frame = iterations_of(rng, threshold=128)
        kept = frame.filter(pl.col("iteration").is_in(rng.permutation(60)[:35].tolist()))
        whole.append(p_value(frame))
        part.append(p_value(kept))
    assert np.median(part) > np.median(whole)


class Rows:
    """A catalogue whose every answer is one frame: for many recordings at once, without their stores."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def run(self, name: str) -> pl.DataFrame:
        assert name == "rank_tactics"
        return self.frame


def iterations_of(rng: np.random.Generator, threshold: float | None) -> pl.DataFrame:
    """60 iterations of a rank; one in four ignores the threshold, all do where there is none."""
    free = rng.uniform(0, 512, 60)
    coin = rng.random(60) < 0.5
    wide = coin if threshold is None else np.where(rng.random(60) < 0.5, coin, free >= threshold)
    return pl.DataFrame(
        {
            "replica": "a", "rank": 0, "iteration": np.arange(60), "shape_class": "s", "kernel_variant": "k",
            "algo_id": np.where(wide, "wide", "spare"), "workspace_free_mb": free,
        }
    )  # fmt: skip


def p_value(frame: pl.DataFrame) -> float:
    """Of the one tactic that is told; 1 where none is."""
    rows = workspace_threshold.find(Rows(frame))  # type: ignore[arg-type]
    assert len(rows) <= 1
    return float(rows[0]["p_value"]) if rows else 1.0


def test_replicas_renamed_and_records_shuffled() -> None:
    """The same figures under other names and in another order."""
    rows = recorded(1, exceptions=8)
    again = [{**row, "replica": "z", "line": 500 - row["line"]} for row in reversed(rows)]
    for one, other in zip(ask(rows), ask(again), strict=True):
        assert {**one, "replica": "z"} == other


@pytest.mark.slow
def test_a_simulated_shortage(tmp_path: Path, opened: Any) -> None:
    """The simulator's rank has 24 MiB during the fault and 512 otherwise, and falls back then: so says the finding."""
    scenario = scenario_of(1, "workspace_fallback")
    simulate(scenario, tmp_path)
    (row,) = opened(tmp_path / "bundle").query("workspace_threshold").to_dicts()
    assert row["rank"] == scenario.fault.rank
    assert (row["low_mb"], row["high_mb"], row["separable"]) == (24, 512, True)
    assert row["p_value"] < 0.05


def test_shipped_recordings(shipped: dict[str, Incident]) -> None:
    """The lab's ranks had 2 MiB free at all times, and one tactic a shape: workspace chose nothing."""
    for incident in shipped.values():
        assert incident.query("workspace_threshold").is_empty()
        ran = incident.query("rank_tactics")
        assert set(ran["workspace_free_mb"]) == {2.0}
        assert set(ran.group_by("replica", "rank", "shape_class").n_unique()["algo_id"]) == {1}


@pytest.mark.slow
def test_p_keeps_its_level_on_null_records() -> None:
    """500 seeded recordings of tactics that know nothing of the workspace: p is below a level as often as it says.

    Both tactics are tried, each one-sided, one of them rises: corrected for both, its p is uniform.
    """
    told = np.array([p_value(iterations_of(np.random.default_rng(seed), None)) for seed in range(500)])
    for level in (0.05, 0.2, 0.5):
        assert within_sampling_error(int(np.count_nonzero(told <= level)), 500, level)
