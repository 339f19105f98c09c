"""P(flip | margin): paper and pencil, brute force, drawn noise with its true probabilities, the shipped recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from postmortem.analyses.flip_risk import AFTER, OTHER, SAME, chance, nth_without, wilson, with_risk
from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import Fixed, Step, moves, replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["flip_risk"]
SMALL = st.integers(0, 4).map(lambda n: n / 4)
GROUPS = st.lists(st.lists(st.tuples(SMALL, SMALL, st.booleans()), min_size=1, max_size=3), min_size=2, max_size=5)
# Three texts under one other tactic: (margin, move, whether it ran) of each step; one flips, at 0.75 of 0.5.
THREE: list[list[Step]] = [
    [(0.5, 0.25, True), (1.0, 0.0, True)],
    [(0.5, 0.5, True), (0.5, 0.75, True)],
    [(0.25, -0.25, True)],
]


def ask(groups: list[list[Step]]) -> pl.DataFrame:
    return FINDING.run(Fixed(moves(groups)))


def judged(groups: list[list[Step]]) -> pl.DataFrame:
    return with_risk(moves(groups)).sort("reference", "step")


def test_what_is_asked_of_is_what_the_store_tells() -> None:
    """The moves that these tests are built on are those of margin_moves."""
    groups = [*THREE, [(1.0, 0.0, False), (1.0, 0.5, True), (0.25, 0.125, False)]]
    told = Catalogue(store_with(replayed(groups))).run("margin_moves")
    assert_frame_equal(told.with_columns(replica=pl.lit(None, pl.String)), moves(groups))


def test_by_hand() -> None:
    """Moves of 0, 0.25 and 0.5: at a margin of 0.25 one lies beyond and one is even: 1.5 of 6. At 0 two reach over."""
    noise = np.array([0.0, 0.25, 0.5])
    assert chance(np.array([0.25, 0.0, 0.75]), noise).tolist() == [0.25, 2 / 6, 0.0]


@given(noise=st.lists(SMALL, min_size=1, max_size=9), margin=SMALL)
def test_brute_force(noise: list[float], margin: float) -> None:
    """Every move counts both ways; what is even counts half, and nothing moves nothing."""
    both = [sign * d for d in noise for sign in (1, -1)]
    reach = sum((d > margin) + (0.5 if d == margin > 0 else 0) for d in both)
    assert chance(np.array([margin]), np.sort(noise))[0] == pytest.approx(reach / len(both))


@given(noise=st.lists(SMALL, min_size=1, max_size=9), a=SMALL, b=SMALL)
def test_a_wider_margin_is_no_riskier(noise: list[float], a: float, b: float) -> None:
    """P falls with the margin, and never passes one half."""
    low, high = chance(np.array(sorted((a, b))), np.sort(noise))
    assert 0 <= high <= low <= 0.5


@given(rest=st.lists(SMALL, min_size=1, max_size=9), own=st.lists(SMALL, max_size=5), data=st.data())
def test_what_is_left_in_order(rest: list[float], own: list[float], data: st.DataObject) -> None:
    """The n-th without one's own is the n-th of the rest."""
    n = data.draw(st.integers(0, len(rest) - 1))
    assert nth_without(np.sort(rest + own), np.sort(own), n) == sorted(rest)[n]


def test_every_text_is_judged_by_the_others() -> None:
    """Of the third text's others, 0, 0.25, 0.5 and 0.75, two reach over its 0.25 and one is even: 2.5 of 8."""
    rows = judged(THREE)
    assert rows["ran"].to_list() == [OTHER] * 5
    assert rows["others"].to_list() == [3, 3, 3, 3, 4]
    assert rows["risk"].to_list() == pytest.approx([1.5 / 6, 0.0, 0.0, 0.0, 2.5 / 8])
    assert rows["noise"].to_list() == [0.75, 0.75, 0.25, 0.25, 0.75]


def test_bands_by_hand() -> None:
    """Of those five steps three have no risk, one of which flipped; the others stand in bands of their own."""
    rows = ask(THREE).select("ran", "risk_from", "risk_to", "steps", "moves", "predicted", "flips").rows()
    assert rows == [
        (OTHER, 0.0, 0.0, 3, 3, 0.0, 1),
        (OTHER, 0.1, 0.3, 1, 3, 0.25, 0),
        (OTHER, 0.3, 0.5, 1, 4, 2.5 / 8, 0),
    ]


def test_steps_are_held_against_steps_that_ran_alike() -> None:
    """What a step of another tactic wrote moves later margins too: such steps are told apart."""
    rows = judged([[(1.0, 0.0, False), (1.0, 0.5, True), (0.25, 0.125, False)]] * 2)
    assert rows["ran"].to_list() == [SAME, OTHER, AFTER] * 2
    assert rows["others"].to_list() == [1] * 6
    assert rows["noise"].to_list() == [0.0, 0.5, 0.125] * 2


@settings(max_examples=25)
@given(groups=GROUPS, data=st.data())
def test_renaming_requests_changes_nothing(groups: list[list[Step]], data: st.DataObject) -> None:
    """Which text bears which name is none of the prediction's business."""
    assert_frame_equal(ask(data.draw(st.permutations(groups))), ask(groups))


@settings(max_examples=25)
@given(groups=GROUPS)
def test_of_one_text_fewer_less_is_known(groups: list[list[Step]]) -> None:
    """No prediction rests on more moves than before; of one text alone there is none."""
    rows = judged(groups[:-1]).join(judged(groups), on=["req_id", "step"])
    assert (rows["others"] <= rows["others_right"]).all()
    assert ask(groups[:1]).is_empty()


def test_wilson() -> None:
    """0 of 10 and 1 of 10, as printed in Brown, Cai and DasGupta 2001, table for n = 10."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)


def test_drawn_noise_comes_true() -> None:
    """Normal noise on random margins: in every band as many flip as predicted."""
    rng = np.random.default_rng(3)
    groups = [[(float(m), float(d), True) for m, d in zip(rng.uniform(0, 2, 12), rng.normal(0, 0.5, 12), strict=True)]
              for _ in range(400)]  # fmt: skip
    rows: list[dict[str, Any]] = ask(groups).to_dicts()
    assert sum(row["flips"] for row in rows) > 100
    for row in rows:  # three standard deviations of a binomial: one band in 370 lies outside by chance
        n, p = row["steps"], row["predicted"]
        assert abs(row["flips"] - n * p) <= 3 * np.sqrt(n * p * (1 - p))


@pytest.mark.slow
def test_the_shipped_straggler(shipped: dict[str, Incident]) -> None:
    """Every flip is counted once; none flipped that ran its reference's tactic all along."""
    incident = shipped["straggler"]
    rows = incident.query("flip_risk")
    steps = incident.query("margin_moves")
    assert rows["steps"].sum() <= steps.height
    assert rows["flips"].sum() == steps["flipped"].sum() == incident.query("flips").height
    rate = {ran: part["flips"].sum() / part["steps"].sum() for (ran,), part in rows.group_by("ran")}
    assert rate[SAME] == 0
    assert rate[AFTER] > 0
    assert rate[OTHER] > 0
