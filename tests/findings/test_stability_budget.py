"""How thin a text's margins are: paper and pencil, brute force, requests renamed, fewer records, a recording."""

from __future__ import annotations

from itertools import chain
from math import inf, log
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postmortem.analyses.flip_risk import Budget, Noise, chance
from postmortem.api import Incident
from postmortem.base.errors import QueryError
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import Step, replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["stability_budget"]
GROUPS: list[list[Step]] = [[(1.0, 0.1, True), (0.25, 0.2, True)], [(1.0, -0.3, True), (0.5, 0.4, True)]]
SMALL = st.integers(0, 4).map(lambda n: n / 4)


def ask(groups: list[list[Step]], families: dict[str, str] | None = None, **params: Any) -> dict[str, dict[str, Any]]:
    given = replayed(groups)
    for record in given["x_records"]:
        record["prompt_family"] = (families or {}).get(record["req_id"])
    frame = FINDING.run(Catalogue(store_with(given)), **params)
    return {row["reference"]: row for row in frame.to_dicts()}


def test_by_hand() -> None:
    """Moves 0.1 to 0.4: at 0.25 two of four reach over, each one way of two: 1/4. At 0.5 and 1 none does."""
    thin, wide = ask(GROUPS)["a-0"], ask(GROUPS)["a-1"]
    assert (thin["smallest"], thin["smallest_step"], thin["median_margin"]) == (0.25, 1, 0.625)
    assert (thin["within_noise"], thin["risk_any"], thin["flips_per_1000"]) == (1, pytest.approx(0.25), 125.0)
    assert (wide["smallest"], wide["within_noise"], wide["risk_any"], wide["flips_per_1000"]) == (0.5, 0, 0.0, 0.0)
    assert (thin["texts"], thin["requests"], thin["flipped"]) == (1, 1, 0)
    assert thin["risk_low"] <= thin["risk_any"] <= thin["risk_high"]


@pytest.mark.slow
def test_tolerated_by_hand() -> None:
    """5 % are passed where the largest move, 0.4, reaches the margin: it then flips 1 of 16 times when even."""
    thin, wide = ask(GROUPS)["a-0"], ask(GROUPS)["a-1"]
    assert thin["tolerated"] == pytest.approx(0.25 / 0.4)
    assert wide["tolerated"] == pytest.approx(0.5 / 0.4)
    # 10 % are one move of four that reaches over (1/8), or one that does so and one that is even (3/16)
    assert ask(GROUPS, allowed=0.13)["a-1"]["tolerated"] == pytest.approx(0.5 / 0.3)


def test_what_is_tolerated_at_the_ends() -> None:
    """Even tokens tolerate nothing; moves of nothing are tolerated without end."""
    even = ask([[(0.0, 0.0, True), (1.0, 0.25, True)], [(1.0, 0.25, True)]])
    assert (even["a-0"]["tolerated"], even["a-1"]["tolerated"]) == (0.0, pytest.approx(1 / 0.25))
    still = ask([[(0.0, 0.0, True)], [(0.5, 0.0, True)]])
    assert {row["tolerated"] for row in still.values()} == {inf}
    assert {row["risk_any"] for row in still.values()} == {0.0}


@pytest.mark.slow
def test_a_family_is_the_mean_of_its_texts() -> None:
    """Two texts of one family: a quarter and nothing; one without a family stays by itself."""
    groups = [*GROUPS, [(2.0, 0.1, True)]]
    rows = ask(groups, {"a-0": "chat", "a-1": "chat", "b-2": "chat"}, by_family=True)
    each = ask(groups)
    assert set(rows) == {"a-0", "a-2"}
    both = rows["a-0"]
    assert (both["family"], both["texts"], both["steps"], both["requests"]) == ("chat", 2, 4, 2)
    assert both["risk_any"] == pytest.approx((each["a-0"]["risk_any"] + each["a-1"]["risk_any"]) / 2)
    assert both["flips_per_1000"] == pytest.approx((each["a-0"]["flips_per_1000"] + each["a-1"]["flips_per_1000"]) / 2)
    assert rows["a-2"]["family"] is None
    assert rows["a-2"]["risk_any"] == each["a-2"]["risk_any"]


@settings(max_examples=25)
@given(
    moves=st.lists(st.lists(SMALL, min_size=1, max_size=4), min_size=1, max_size=4),
    texts=st.lists(st.lists(SMALL, min_size=1, max_size=4), min_size=1, max_size=3),
    allowed=st.sampled_from([0.01, 0.05, 0.3, 0.6]),
)
@example(moves=[[0.0, 0.0, 0.25, 0.25], [0.25]], texts=[[0.0]], allowed=0.3)
def test_brute_force(moves: list[list[float]], texts: list[list[float]], allowed: float) -> None:
    """Risks are those of all moves at once; up to what is tolerated they hold, and beyond it they do not."""
    moved, margins = list(chain(*moves)), list(chain(*texts))
    noise = Noise(pl.DataFrame({"reference": [n for n, m in enumerate(moves) for _ in m], "moved": moved}))
    own = np.arange(len(texts))
    budget = Budget(np.array(margins), np.repeat(own, [len(t) for t in texts]), own)
    all_moves = np.sort(moved)

    def risk(text: list[float], factor: float) -> float:
        return float(1 - np.prod(1 - chance(np.array(text), factor * all_moves)))

    value, low, high = budget.any_step(noise)
    step = budget.per_step(noise)[0]
    tolerated = budget.tolerated(noise, allowed)[0]
    for n, text in enumerate(texts):
        assert value[n] == pytest.approx(risk(text, 1.0))
        assert step[n] == pytest.approx(chance(np.array(text), all_moves).mean())
        assert low[n] <= high[n]
        # 1 - (1 - 0.3) is 0.30000000000000004: a risk just as large as allowed is held to what doubles can tell
        assert tolerated[n] == 0 or risk(text, min(tolerated[n], 1e6) * (1 - 1e-6)) <= allowed + 1e-12
        assert tolerated[n] == inf or risk(text, (tolerated[n] or 1e-6) * (1 + 1e-6)) > allowed - 1e-12


def test_many_distinct_moves() -> None:
    """Of thousands of different moves, rounding changes the risk by less than a fiftieth of it."""
    rng = np.random.default_rng(5)
    moved, margin = rng.normal(0, 0.02, 5000), np.array([0.0, 0.01, 0.02, 0.04])
    noise = Noise(pl.DataFrame({"reference": np.repeat(np.arange(50), 100), "moved": moved}))
    assert noise.values.size < 1500
    budget = Budget(margin, np.arange(4), np.arange(4))
    assert budget.per_step(noise)[0] == pytest.approx(chance(margin, np.sort(abs(moved))), rel=0.02)


@pytest.mark.slow
def test_intervals_cover() -> None:
    """Of texts with noise of their own size each, the true risks lie in at least 90 of 100 intervals."""
    margin = np.array([0.0, 0.2, 0.5, 1.0, 1.5])  # five texts of one step, and all as one
    text = np.concatenate([np.arange(5), np.full(5, 5)])
    budget = Budget(np.tile(margin, 2), text, np.arange(6))

    def drawn(rng: np.random.Generator, texts: int) -> np.ndarray:
        return rng.normal(0, 1, (texts, 20)) * rng.lognormal(-1.5, 0.5, (texts, 1))

    step = chance(margin, np.sort(abs(drawn(np.random.default_rng(0), 50_000).ravel())))
    risk = np.append(step, 1 - np.prod(1 - step))
    covered = np.zeros(6)
    for seed in range(100):
        moved = drawn(np.random.default_rng([seed, 1]), 60)
        noise = Noise(pl.DataFrame({"reference": np.repeat(np.arange(60), 20), "moved": moved.ravel()}))
        _, low, high = budget.any_step(noise)
        covered += (low <= risk) & (risk <= high)
    assert (covered >= 90).all(), covered


@pytest.mark.parametrize("allowed", [-0.1, 1.5, float("nan"), None, "null"])
def test_a_risk_that_is_allowed_is_a_share(allowed: Any) -> None:
    """What is no share, or nothing where a figure is wanted, is refused in one line."""
    with pytest.raises(QueryError, match="parameter allowed"):
        FINDING.run(Catalogue(store_with({})), allowed=allowed)


def test_early_steps_alone() -> None:
    """Of the first step of each, nothing is within the noise."""
    assert {row["risk_any"] for row in ask(GROUPS, early=1).values()} == {0.0}


def test_without_another_plan_no_risk_is_told() -> None:
    """Margins are told all the same: fewer records make nothing surer."""
    (row,) = ask([[(0.25, 0.0, False)]]).values()
    assert (row["smallest"], row["risk_any"], row["risk_low"], row["tolerated"]) == (0.25, None, None, None)


@pytest.mark.parametrize("n", [4, 40])
def test_of_fewer_moves_less_is_sure(n: int) -> None:
    """A margin beyond all n moves: by the rule of three (3.7 at 97.5 %) as many larger ones may be to come."""
    row = ask([[(1.0, 0.1, True)]] * n)["a-0"]
    assert (row["risk_any"], row["risk_low"]) == (0.0, 0.0)
    assert row["risk_high"] == pytest.approx(-log(0.025) / 2 / (n - log(0.025)))
    assert row["tolerated_low"] == (
        0.0 if n == 4 else pytest.approx(10.0, rel=0.01)
    )  # of 4, 24 % are more than is allowed


@pytest.mark.slow
def test_renaming_requests_changes_nothing() -> None:
    """The order of groups is none of their risk's business."""
    turned = ask(GROUPS[::-1])
    assert turned["a-1"]["risk_any"] == ask(GROUPS)["a-0"]["risk_any"]
    assert turned["a-1"]["tolerated"] == ask(GROUPS)["a-0"]["tolerated"]


def test_the_shipped_straggler(shipped: dict[str, Incident]) -> None:
    """Texts that flipped are riskier than those that did not, by the middle one of each; their family is one."""
    rows = shipped["straggler"].query("stability_budget")
    risk = {flipped: part["risk_any"].median() for (flipped,), part in rows.group_by(rows["flipped"] > 0)}
    assert risk[True] > risk[False]
    assert (rows["risk_low"] <= rows["risk_any"]).all()
    assert (rows["tolerated_low"] <= rows["tolerated_high"]).all()
    (family,) = shipped["straggler"].query("stability_budget", by_family=True).to_dicts()
    assert (family["texts"], family["steps"]) == (rows.height, rows["steps"].sum())
    assert family["risk_any"] == pytest.approx(rows["risk_any"].mean())
