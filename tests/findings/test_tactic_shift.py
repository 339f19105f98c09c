"""How far tactics moved: the article's histograms, paper and pencil, names changed, and whether shapes explain it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon

from benchmarks.incidents.simulate import scenario_of, simulate
from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings, tactic_shift
from tests.analyses.test_stats import within_sampling_error
from tests.queries.test_every_query import store_with

FINDING = findings()["tactic_shift"]
MEMORY = {"calm": 4000.0, "pressured": 500.0}  # MiB free: normal, memory_pressured


def ask(rows: list[dict[str, Any]], **params: Any) -> list[dict[str, Any]]:
    return FINDING.run(Catalogue(store_with({"s_records": rows})), **params).to_dicts()


def recorded(
    iterations: list[tuple[str, str, int]], requests: int = 2, shape: str = "q=1,k=64,tp=2"
) -> list[dict[str, Any]]:
    """Iterations (phase, tactic, batch size) as s records of so many requests."""
    return [
        {
            "line": requests * i + r, "req_id": f"r{r}", "step": i, "replica": "a", "iteration": i, "batch_size": batch,
            "shape": shape, "vram_free_mb": MEMORY[phase], "algo_id": tactic,
        }
        for i, (phase, tactic, batch) in enumerate(iterations)
        for r in range(requests)
    ]  # fmt: skip


def mixed(seed: int, **shares: dict[str, int]) -> list[tuple[str, str, int]]:
    """Iterations of 16 sequences: of each phase so many of each tactic, in any order within it."""
    rng = np.random.default_rng(seed)
    drawn: list[tuple[str, str, int]] = []
    for phase, counts in shares.items():
        tactics = rng.permutation(np.repeat(list(counts), list(counts.values())))
        drawn += [(phase, str(t), 16) for t in tactics]
    return drawn


def test_the_articles_example() -> None:
    """99.2/0.8 % against 61.3/22.1/16.6 %: entropies by hand, scipy's distance, all of it at one shape."""
    iterations = mixed(1, calm={"42": 124, "17": 1}, pressured={"42": 77, "17": 28, "31": 20})
    calm, pressured = [124 / 125, 1 / 125, 0], [77 / 125, 28 / 125, 20 / 125]
    whole, shape = ask(recorded(iterations, requests=1))
    assert (whole["shape_class"], shape["shape_class"]) == (None, "tokens=16,k=33-64,tp=2")
    assert whole["calm_entropy"] == pytest.approx(0.0672, abs=5e-5)  # 0.992 lg 0.992 + 0.008 lg 0.008
    assert whole["pressured_entropy"] == pytest.approx(1.3371, abs=5e-5)  # of 0.616, 0.224, 0.16
    assert whole["distance"] == pytest.approx(jensenshannon(calm, pressured, base=2)) == shape["distance"]
    assert whole["low"] < whole["distance"] < whole["high"]
    assert whole["p_value"] < 0.05
    assert whole["divergence"] == whole["same_shape"] == pytest.approx(whole["distance"] ** 2)
    assert (whole["by_shape"], whole["comparable"]) == (pytest.approx(0, abs=1e-9), 1)
    assert whole["same_shape_p_value"] == whole["p_value"] == shape["p_value"]
    assert (shape["divergence"], shape["same_shape_p_value"]) == (None, None)
    assert "100 % of it at the same shape" in whole["says"]


def test_by_shape_alone() -> None:
    """Batches up to 16 run t, larger ones u; under pressure more are small: moved, but nothing at the same shape."""
    rng = np.random.default_rng(2)
    sizes = [("calm", int(b)) for b in rng.choice([16, 24], p=[0.2, 0.8], size=60)]
    sizes += [("pressured", int(b)) for b in rng.choice([16, 24], p=[0.7, 0.3], size=40)]
    whole, *classes = ask(recorded([(phase, "t" if b == 16 else "u", b) for phase, b in sizes]))
    small = [np.mean([b == 16 for p, b in sizes if p == phase]) for phase in ("calm", "pressured")]
    distance = jensenshannon([small[0], 1 - small[0]], [small[1], 1 - small[1]], base=2)
    assert whole["distance"] == pytest.approx(distance)
    assert whole["p_value"] < 0.05
    assert (whole["same_shape"], whole["same_shape_p_value"]) == (pytest.approx(0, abs=1e-9), None)
    assert whole["by_shape"] == pytest.approx(distance**2)
    assert [c["shape_class"] for c in classes] == ["tokens=16,k=33-64,tp=2", "tokens=17-31,k=33-64,tp=2"]
    assert [(c["distance"], c["p_value"], c["calm_entropy"]) for c in classes] == [(0, None, 0)] * 2
    assert "all of it goes with other shapes: at those that ran in both phases (100 % of steps)" in whole["says"]


@pytest.mark.slow
def test_a_mix_that_hides_all_of_it() -> None:
    """At 16 from one tactic to the other, at 32 back again, as often: the whole did not move, each shape wholly."""
    ran = {"calm": {16: "x", 32: "y"}, "pressured": {16: "y", 32: "x"}}
    batches = np.random.default_rng(1).permutation([16, 32] * 30)
    iterations = [(phase, tactic[int(b)], int(b)) for phase, tactic in ran.items() for b in batches]
    whole, *_ = ask(recorded(iterations))
    assert (whole["distance"], whole["same_shape"]) == (0.0, pytest.approx(1.0))  # the tactic tells the phase: one bit
    assert whole["says"].startswith("tactics did not move; more at the same shape (1 against 0 bits, p ")
    # iterations of no known shape that moved: the whole did, those of known shapes did not
    shapeless = [
        {"line": 1000 + i, "req_id": "q", "step": i, "replica": "a", "iteration": len(iterations) + i,
         "vram_free_mb": MEMORY[phase], "algo_id": tactic}
        for i, (phase, tactic) in enumerate([("calm", "x")] * 10 + [("pressured", "y")] * 10)
    ]  # fmt: skip
    whole, *_ = ask([*recorded(iterations), *shapeless])
    assert (whole["distance"] > 0, whole["divergence"]) == (True, 0.0)
    assert "; more at the same shape (1 against 0 bits, p " in whole["says"]


def test_fragment_one_tells_the_sizes_apart() -> None:
    """A border at 24 lies within a class of 17 to 31 tokens; told apart by size, the shape explains all again."""
    rng = np.random.default_rng(3)
    sizes = [("calm", int(b)) for b in rng.choice([20, 30], p=[0.2, 0.8], size=50)]
    sizes += [("pressured", int(b)) for b in rng.choice([20, 30], p=[0.8, 0.2], size=50)]
    rows = recorded([(phase, "t" if b < 24 else "u", b) for phase, b in sizes])
    coarse, fine = ask(rows)[0], ask(rows, fragment=1)[0]
    assert coarse["distance"] == fine["distance"]
    assert coarse["same_shape"] == pytest.approx(coarse["divergence"])
    assert fine["same_shape"] == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_where_evidence_ends() -> None:
    """No phase at all, one phase only, no shape recorded, no shape in both phases: said so, figures NULL."""
    assert ask([{**row, "vram_free_mb": None} for row in recorded(mixed(1, calm={"t": 9}))]) == []
    calm_only = ask(recorded(mixed(1, calm={"t": 9}, pressured={"u": 4})))[0]
    assert (calm_only["distance"], calm_only["p_value"], calm_only["same_shape"]) == (None, None, None)
    assert calm_only["says"] == "nothing to compare: fewer than 5 iterations were pressured"
    iterations = mixed(1, calm={"t": 9}, pressured={"u": 9})
    (shapeless,) = ask([{**row, "shape": None, "batch_size": None} for row in recorded(iterations)])
    assert (shapeless["distance"], shapeless["divergence"]) == (1, None)
    assert shapeless["says"].endswith("shapes were not recorded")
    apart = ask(recorded([(phase, t, 16 if phase == "calm" else 40) for phase, t, _ in iterations]))[0]
    assert (apart["divergence"], apart["comparable"], apart["same_shape"]) == (pytest.approx(1), 0, 0)
    assert apart["says"].endswith("no shape ran in both phases: what moved at one shape cannot be told")


@pytest.mark.slow
def test_correction() -> None:
    """The same shift on two replicas: both whole p-values doubled, those of classes counted among classes alone."""
    rows = recorded(mixed(4, calm={"t": 30, "u": 3}, pressured={"t": 8, "u": 12}))
    alone = ask(rows)
    both = ask(rows + [{**row, "replica": "b", "req_id": row["req_id"] + "b"} for row in rows])
    for column in ("p_value", "same_shape_p_value"):
        assert [r[column] for r in both if r["shape_class"] is None] == pytest.approx([2 * alone[0][column]] * 2)
    assert [r["p_value"] for r in both if r["shape_class"]] == pytest.approx([2 * alone[1]["p_value"]] * 2)


@pytest.mark.parametrize("seed", [1, 2])
def test_names_do_not_count(seed: int) -> None:
    """Requests, tactics and replicas renamed, records in another order: the same figures."""
    rng = np.random.default_rng(seed)
    rows = recorded([(str(rng.choice(["calm", "pressured"])), str(rng.choice(["t", "u"])), int(rng.integers(14, 20)))
                     for _ in range(24)], requests=3)  # fmt: skip
    other = [
        {**row, "line": 200 - row["line"], "replica": "z", "req_id": {"r0": "x", "r1": "a", "r2": "m"}[row["req_id"]],
         "algo_id": {"t": "9", "u": "1"}[row["algo_id"]]}
        for row in rng.permutation(np.array(rows, dtype=object))
    ]  # fmt: skip
    for one, same in zip(ask(rows), ask(other), strict=True):
        for column in one.keys() - {"replica"}:
            assert one[column] == (pytest.approx(same[column]) if isinstance(same[column], float) else same[column])


class Rows:
    """A catalogue whose every answer is one frame: for many recordings at once, without their stores."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def run(self, name: str) -> pl.DataFrame:
        assert name == "iteration_tactics"
        return self.frame


def iterations_of(rng: np.random.Generator, moved: bool) -> pl.DataFrame:
    """80 iterations, pressured in 30 of them, in which another tactic is likelier if anything moved."""
    pressured = np.isin(np.arange(80), (rng.integers(80) + np.arange(30)) % 80)
    other = np.where(pressured & moved, 0.6, 0.25)
    return pl.DataFrame(
        {
            "replica": "a", "iteration": np.arange(80), "shape_class": rng.choice(["s", "m"], 80),
            "phase": np.where(pressured, "pressured", "calm"), "kernel_variant": "k",
            "algo_id": np.where(rng.random(80) < other, rng.choice(["u", "v"], 80), "t"),
            "steps": rng.integers(1, 30, 80),
        }
    )  # fmt: skip


def p_values(frame: pl.DataFrame) -> tuple[float, float]:
    whole, *_ = tactic_shift.find(Rows(frame))  # type: ignore[arg-type]
    return whole["p_value"], whole["same_shape_p_value"]


def test_fewer_records_are_no_surer() -> None:
    """With half of the iterations gone at random, p-values are larger on the whole."""
    whole, part = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frame = iterations_of(rng, moved=True)
        whole.append(p_values(frame))
        part.append(p_values(frame.filter(pl.col("iteration").is_in(rng.permutation(80)[:40].tolist()))))
    assert (np.median(part, axis=0) > np.median(whole, axis=0)).all()


def test_by_hand_a_window_decides() -> None:
    """Of records without any state, the window given by hand is the pressured phase."""
    rows = recorded([("calm", "u" if 10 <= i < 20 else "t", 16) for i in range(40)])
    for row in rows:
        row["vram_free_mb"] = None
    whole = ask(rows, first_iteration=10, last_iteration=19)[0]
    assert (whole["calm_iterations"], whole["pressured_iterations"]) == (30, 10)
    assert (whole["calm_steps"], whole["pressured_steps"]) == (60, 20)
    assert whole["distance"] == 1
    assert whole["p_value"] == pytest.approx(1 / 40)


def whole_of(incident: Incident, **params: Any) -> dict[str, dict[str, Any]]:
    rows = incident.query("tactic_shift", **params).filter(pl.col("shape_class").is_null())
    return {row["replica"]: row for row in rows.to_dicts()}


@pytest.mark.slow
def test_the_labs_stall_moved_tactics_by_shape(shipped: dict[str, Incident]) -> None:
    """While rank 1 was late, smaller batches ran another tactic: all of it by shape.

    The lab's rule, in its source: up to 16 sequences run 42, more run 43. Counted by hand in the records: batches of
    12 have 937 of 1341 steps while the rank was late, 133 of 6550 otherwise.
    """
    late = shipped["straggler"].query("late_ranks").row(0, named=True)
    first = late["first_iteration"]
    found = whole_of(shipped["straggler"], first_iteration=first, last_iteration=first + late["iterations"] - 1)
    assert (found["a"]["distance"], found["a"]["p_value"]) == (0, None)
    b = found["b"]
    assert (b["calm_steps"], b["pressured_steps"]) == (6550, 1341)
    assert b["distance"] == pytest.approx(jensenshannon([133 / 6550, 6417 / 6550], [937 / 1341, 404 / 1341], base=2))
    assert b["low"] < b["distance"] < b["high"]
    assert (b["calm_entropy"], b["pressured_entropy"]) == (
        pytest.approx(0.143, abs=5e-4),
        pytest.approx(0.883, abs=5e-4),
    )
    assert b["by_shape"] == b["divergence"] == pytest.approx(b["distance"] ** 2)
    assert 0.02 < b["p_value"] < 0.1  # one stall, once: no more can be said, whatever it moved
    assert (b["same_shape"], b["same_shape_p_value"]) == (0, None)


def test_the_labs_evaporation_by_regime(shipped: dict[str, Incident]) -> None:
    """Replica b is calm in memory_pressured, the mildest of its regimes; its tactics moved by shape alone."""
    found = whole_of(shipped["memory_evaporation"])
    assert found["a"]["distance"] is None  # one regime throughout
    assert (found["b"]["pressured_iterations"], found["b"]["same_shape"]) == (158, 0)
    assert found["b"]["distance"] > 0.2


@pytest.mark.slow
def test_simulated_causes_are_told_apart(tmp_path: Path, opened: Any) -> None:
    """Want of workspace moves tactics at the same shape; more requests move them by the shape alone."""
    parts = {}
    for name in ("workspace_fallback", "load_surge"):
        scenario = scenario_of(1, name)
        simulate(scenario, tmp_path / name)
        window = {"first_iteration": scenario.fault.first, "last_iteration": scenario.fault.stop - 1}
        incident = opened(tmp_path / name / "bundle")
        # while requests queue up, the surge goes on: its phase is the regime's
        found = whole_of(incident, **window) if name == "workspace_fallback" else whole_of(incident)
        parts[name] = max((r for r in found.values() if r["distance"] is not None), key=lambda r: r["distance"])
    short, surge = parts["workspace_fallback"], parts["load_surge"]
    assert (short["distance"], short["same_shape"]) == (1, pytest.approx(1, abs=0.01))
    assert short["same_shape_p_value"] < 0.05
    assert surge["distance"] > 0.3
    assert surge["same_shape"] == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_p_is_uniform_on_null_records() -> None:
    """500 seeded recordings whose phases know nothing of the tactics: p is below a level as often as it says."""
    found = np.array([p_values(iterations_of(np.random.default_rng(seed), moved=False)) for seed in range(500)])
    for level in (0.05, 0.2, 0.5):
        for own in found.T:
            assert within_sampling_error(int(np.count_nonzero(own <= level)), 500, level)


MOVED = {"distance": 0.3, "low": 0.2, "high": 0.4, "p_value": 0.01, "shape_class": None, "same_shape": 0.1,
         "comparable": 0.8, "divergence": 0.2, "same_shape_p_value": 0.2}  # fmt: skip
SAID = "tactics moved by 0.3 (0.2 to 0.4), "
HALF = "; 50 % of it at the same shape (p 0.2: no more than chance alone may show), 50 % with other shapes"
BY_SHAPE = "; all of it goes with other shapes: at those that ran in both phases (99.8 % of steps) nothing moved"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, f"{SAID}p 0.01{HALF}"),  # 0.1 of 0.2 bits
        ({"p_value": None}, f"{SAID}which no turn could tell from chance{HALF}"),
        ({"shape_class": "q=1"}, f"{SAID}p 0.01"),  # it is of one shape
        ({"distance": 0.0, "same_shape": 0.0}, "tactics did not move"),
        (
            {"distance": 0.003, "low": 0.001, "high": 0.0042, "shape_class": "q=1"},
            "tactics moved by 0.003 (0.001 to 0.0042), p 0.01",
        ),  # not by 0.00
        ({"same_shape": 0.1998}, f"{SAID}p 0.01{HALF.replace('50 %', '99.9 %', 1).replace('50 %', '0.1 %')}"),
        ({"same_shape": 0.0, "comparable": 0.998}, f"{SAID}p 0.01{BY_SHAPE}"),
    ],
)
def test_what_is_said(row: dict[str, Any], said: str) -> None:
    """A sentence says what the figures say, and no more."""
    assert tactic_shift._says({**MOVED, **row}) == said
