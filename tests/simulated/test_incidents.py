"""The simulator of incidents and its scorer: apart from the package, the same every time, labels that hold."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.incidents.scenarios import all_scenarios
from benchmarks.incidents.score import f1, judged, share
from benchmarks.incidents.simulate import scenario_of, simulate
from benchmarks.incidents.world import HIDDEN, TILES, VOCAB, bfloat16, logits, run

HERE = Path(__file__).parents[2] / "benchmarks" / "incidents"


def test_apart_from_the_package() -> None:
    """Only the worker, which answers for postmortem, imports it; postmortem never imports the benchmarks."""
    importing = set()
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == "postmortem" for name in names):
                importing.add(path.name)
    assert importing == {"worker.py"}
    package = HERE.parents[1] / "postmortem"
    assert not [p for p in package.rglob("*.py") if "from benchmarks" in p.read_text("utf-8")]


def test_bfloat16_rounds_to_nearest_even() -> None:
    """Against the definition: of the two neighbours with 8 bits of mantissa the nearer, on a tie the even one."""
    tie_down, tie_up = 1 + 2**-8, 1 + 3 * 2**-8  # halfway between 1 and 1+2^-7, and between 1+2^-7 and 1+2^-6
    given = np.array([1.0, tie_down, tie_up, 1 + 2**-8 + 2**-20, -tie_down, 3.0e38], np.float32)
    expected = [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -1.0]
    assert bfloat16(given)[:5].tolist() == expected


def test_tactics_sum_in_another_order() -> None:
    """The same products, other last bits; float64 says that both are as near to the truth."""
    hidden = np.random.default_rng(3).normal(size=(64, HIDDEN)).astype(np.float32)
    by_tactic = {name: logits(hidden, name, "bf16") for name in TILES}
    assert by_tactic["wide"].shape == (64, VOCAB)
    assert (by_tactic["wide"] != by_tactic["mid"]).mean() > 0.1
    assert np.abs(by_tactic["wide"] - by_tactic["mid"]).max() < 0.2


@pytest.mark.slow
def test_the_same_twice(tmp_path: Path) -> None:
    """A seed gives the same bundle, byte for byte."""
    for name in ("one", "two"):
        simulate(scenario_of(1003, "quant_stall"), tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 3
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


@pytest.mark.slow
def test_a_label_goes_away_with_the_fault(tmp_path: Path) -> None:
    """Without the fault, every labelled request answers as its twin on the calm replica does."""
    scenario = scenario_of(1003, "quant_stall")
    labels = simulate(scenario, tmp_path)
    assert labels
    calm = run(replace(scenario.world, replica="a", faults=())).tokens
    mended = run(replace(scenario.world, faults=())).tokens
    for label in labels:
        key = int(label.req_id.split(":")[1].split("/")[-1].removeprefix("r-"))
        both = min(len(calm[key]), len(mended[key]))
        assert calm[key][:both] == mended[key][:both]


@pytest.mark.parametrize("seed", [1000, 1001])
def test_seeds_tell_scenarios_apart(seed: int) -> None:
    """Every scenario has its turn; controls have nothing to name, faults a path that ends in the flip."""
    made = [maker(seed) for maker in all_scenarios()]
    assert {"control", "trap", "quant_stall", "load_surge", "fabric_congestion"} <= {s.family for s in made}
    for scenario in made:
        assert scenario.control or scenario.path[-1] == "token_flip"


def test_judged_by_hand() -> None:
    """A right answer, one with the wrong rank, and one that claims where nothing is to be claimed."""
    path = ["quant_stall", "straggler_rank", "token_flip"]
    truth = {"root_cause": "quant_stall", "rank": 1, "tp": 2, "also": [], "path": path, "verdict": "explained",
             "control": False, "label": {"step": 3, "token_id": 5, "reference_token_id": 6}}  # fmt: skip
    flip = {"step": 3, "exact": True, "token_id": 5, "reference_token_id": 6}
    right = {"root_cause": {"kind": "quant_stall"}, "links": [{"kind": k, "rank": 1} for k in path], "contributing": [],
             "flip": flip, "verdict": "explained"}  # fmt: skip
    told = judged({"truth": truth, "chain": right})
    assert (told["kind"], told["rank"], told["path"], told["flip"], told["claimed"]) == (True, True, True, True, False)
    other = json.loads(json.dumps(right).replace('"rank": 1', '"rank": 0'))
    assert judged({"truth": truth, "chain": other})["rank"] is False
    nothing = truth | {"root_cause": None, "rank": None, "path": []}
    assert judged({"truth": nothing, "chain": right})["claimed"] is True
    silent = right | {"root_cause": None}  # it names rank 1 all the same
    hidden = truth | {"root_cause": None, "control": True}
    assert judged({"truth": hidden | {"rank": 0}, "chain": silent})["claimed"] is True
    assert judged({"truth": hidden, "chain": silent})["claimed"] is False


def test_a_first_difference_seen_lies_no_earlier() -> None:
    """Where earlier steps are lost, a later step is right, an earlier one is not, and the verdict is partial."""
    label = {"step": 3, "token_id": 5, "reference_token_id": 6}
    truth = {"root_cause": None, "rank": None, "tp": 2, "also": [], "path": [], "verdict": "explained",
             "control": False, "label": label}  # fmt: skip
    for step, right in ((2, False), (3, True), (4, True)):
        flip = label | {"step": step, "exact": False, "token_id": 7}
        told = judged({"truth": truth | {"root_cause": "x"}, "chain": {"flip": flip, "verdict": "partial"}})
        assert (told["flip"], told["verdict"]) == (right, True)


def test_figures_by_hand() -> None:
    """Means leave out what is not known; F1 of precision 1 and recall one half is two thirds."""
    assert share([True, False, None, 1.0]) == "0.667 (3)"
    assert f1([{"precision": 1.0, "recall": 0.5}]) == "0.667"
