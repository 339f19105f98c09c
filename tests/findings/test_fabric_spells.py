"""The fabric's stretches on recordings whose fabric, shared memory, was never slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.chain.scan import Scan
from postmortem.findings import ask
from postmortem.render.scan_tree import rank_lines
from tests.queries.test_every_query import store_with


def served(batch: list[int], slower: range = range(0), seed: int = 21) -> dict[str, list[dict[str, Any]]]:
    """Two ranks whose transfers take 1 ms and 0.05 ms a sequence; twice as long in the iterations ``slower``."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i, size in enumerate(batch):
        compute = 8 + np.abs(rng.normal(0, 0.1, 2))
        transfer = (1 + 0.05 * size) * (2 if i in slower else 1) + rng.normal(0, 0.03)
        end = compute.max() + transfer
        rows += [
            {"line": 2 * i + rank, "replica": "a", "rank": rank, "iteration": i, "ts_ns": 20_000_000 * i,
             "batch_size": size, "gpu_ms": float(end), "comm_ms": float(end - compute[rank]),
             "sync_ms": float(compute.max() - compute[rank])}
            for rank in (0, 1)
        ]  # fmt: skip
    return {"s_records": rows}


def regimes(batch: list[int], slower: range = range(0), seed: int = 21) -> list[str]:
    return ask(Catalogue(store_with(served(batch, slower, seed))), "fabric_spells")["regime"].to_list()


def test_a_larger_batch_is_no_slow_fabric() -> None:
    """Of one size before, nothing tells what 24 sequences more take: nobody says that the fabric was slow."""
    assert regimes([8] * 100 + [32] * 60) == ["normal", "undecided"]
    assert regimes([32] * 60 + [8] * 100) == ["undecided", "normal"]
    assert not {"congested", "degraded"} & set(regimes([8] * 70 + [32] * 30 + [8] * 60))


def test_a_fabric_that_took_no_time_at_first() -> None:
    """Transfers shorter than the recorder's step, then of 2 ms: slower, and how many times as slow is not said."""
    records = served([8] * 120)
    for row in records["s_records"]:
        if row["iteration"] < 70:
            row["comm_ms"] = row["sync_ms"]
        else:
            row["comm_ms"] = row["sync_ms"] + 2.0
    rows = ask(Catalogue(store_with(records)), "fabric_spells").to_dicts()
    assert [(r["regime"], r["first_iteration"], r["ratio"], r["ratio_low"]) for r in rows] == [
        ("normal", 0, 1.0, 1.0), ("degraded", 70, None, None)
    ]  # fmt: skip
    (said,) = rank_lines(Scan("b", 0, 0, (), (), fabric=tuple(rows[1:])))
    assert said == "fabric degraded, replica a: transfers took 2 ms an iteration, normally none, iterations 70 to 119"


def test_prompts_are_no_slow_fabric() -> None:
    """From 100 to 130 each iteration computes a prompt, whose sequence has no step, and sends twice as much."""
    records = served([8] * 160, range(100, 130))
    for row in [r for r in records["s_records"] if r["rank"] == 0]:
        steps = 7 if row["iteration"] in range(100, 130) else 8
        plain = {k: row[k] for k in ("replica", "iteration", "ts_ns", "batch_size")}
        records["s_records"] += [
            plain | {"line": 1000 + 8 * row["iteration"] + k, "req_id": f"r{k}", "step": row["iteration"]}
            for k in range(steps)
        ]
    told = ask(Catalogue(store_with(records)), "fabric_spells")["regime"].to_list()
    assert told == ["normal", "undecided", "normal"]


def test_a_slow_fabric_is_told_at_one_size() -> None:
    """Twice as slow at a size that ran before, or at a smaller one, is no batch's doing."""
    assert regimes([8] * 160, range(100, 160)) == ["normal", "degraded"]
    assert regimes([8] * 100 + [4] * 60, range(100, 160)) == ["normal", "degraded"]


def test_a_slope_learnt_at_two_sizes_says_little_of_far_larger_ones() -> None:
    """Of 8 and now and then 9 sequences, chance may learn that size costs nothing: at 32, still nobody says slow."""
    for seed in range(4):
        found = regimes([9 if i % 20 == 0 else 8 for i in range(100)] + [32] * 60, seed=seed)
        assert not {"congested", "degraded"} & set(found), seed


def test_slower_than_a_larger_batch_can_make_it() -> None:
    """A batch half as large again, and transfers that take 2.3 times as long: half as long again is all it explains."""
    assert regimes([8] * 100 + [12] * 60, range(100, 160)) == ["normal", "degraded"]


def test_a_slope_that_is_learnt_is_taken_off() -> None:
    """Sizes 6 to 10 tell what a sequence takes: at 28 to 35 nothing is slow, and what is slow at 8 is told."""
    rng = np.random.default_rng(22)
    few, many = rng.integers(6, 11, 100).tolist(), rng.integers(28, 36, 60).tolist()
    assert set(regimes(few + many)) == {"normal"}
    assert regimes(few + few[:60], range(100, 160)) == ["normal", "degraded"]


def test_stretches_cover_every_iteration_once(shipped: dict[str, Incident]) -> None:
    """From each replica's first iteration that all ranks recorded to its last, in order, none overlapping."""
    for incident in shipped.values():
        for (replica,), part in incident.query("fabric_spells").group_by("replica", maintain_order=True):
            seen = (
                incident.query("rank_iterations", replica=replica).group_by("iteration").agg(pl.col("rank").n_unique())
            )
            whole = seen.filter(pl.col("rank") == 2)["iteration"]
            assert (part["first_iteration"][0], part["last_iteration"][-1]) == (whole.min(), whole.max())
            assert (part["first_iteration"][1:] > part["last_iteration"][:-1]).all()


def test_a_calm_fabric_is_normal(shipped: dict[str, Incident]) -> None:
    """The calm recording's stretches are all normal."""
    assert set(shipped["calm"].query("fabric_spells")["regime"].to_list()) == {"normal"}
