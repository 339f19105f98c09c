"""P(flip | margin): paper and pencil, brute force, drawn noise with its true probabilities, the shipped recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postmortem.analyses.flip_risk import chance, wilson
from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["flip_risk"]
SMALL = st.integers(0, 4).map(lambda n: n / 4)


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


def test_wilson() -> None:
    """0 of 10 and 1 of 10, as printed in Brown, Cai and DasGupta 2001, table for n = 10."""
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)


def test_drawn_noise_comes_true() -> None:
    """Normal noise on random margins: in every band as many flip as predicted."""
    rng = np.random.default_rng(3)
    groups = [[(float(m), float(d), True) for m, d in zip(rng.uniform(0, 2, 12), rng.normal(0, 0.5, 12), strict=True)]
              for _ in range(400)]  # fmt: skip
    rows = FINDING.run(Catalogue(store_with(replayed(groups)))).to_dicts()
    assert sum(row["flips"] for row in rows) > 100
    for row in rows:  # three standard deviations of a binomial: one band in 370 lies outside by chance
        n, p = row["steps"], row["predicted"]
        assert abs(row["flips"] - n * p) <= 3 * np.sqrt(n * p * (1 - p))


def test_the_shipped_straggler(shipped: dict[str, Incident]) -> None:
    """Another tactic flips more often than the same; all steps with a margin are counted once."""
    incident = shipped["straggler"]
    rows = incident.query("flip_risk")
    moves = incident.query("margin_moves")
    assert rows["steps"].sum() <= moves.height
    assert rows["flips"].sum() <= moves["flipped"].sum()
    by_plan = {other: part for (other,), part in rows.group_by("other_plan")}
    rate = {other: part["flips"].sum() / part["steps"].sum() for other, part in by_plan.items()}
    assert rate[True] > rate[False]
