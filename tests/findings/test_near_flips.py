"""Requests near the edge: paper and pencil, requests renamed, fewer records, the shipped recording."""

from __future__ import annotations

from typing import Any

import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import Step, replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["near_flips"]
# Moves of 0.1, 0.2, 0.3 and 0.4 under the other tactic; then a request with a margin of 0.25 that lost nothing there.
OTHERS: list[list[Step]] = [[(1.0, 0.1, True)], [(1.0, -0.2, True)], [(1.0, 0.3, True)], [(1.0, 0.4, True)]]


def ask(given: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return FINDING.run(Catalogue(store_with(given))).to_dicts()


def test_by_hand() -> None:
    """0.3 and 0.4 reach over 0.25, and each may go either way: 2 of 8. Margins of 1 lie beyond all moves."""
    (row,) = ask(replayed([*OTHERS, [(0.9, 0.0, False), (0.25, 0.0, True), (2.0, 0.0, True)]]))
    assert (row["req_id"], row["reference"], row["step"], row["steps"]) == ("b-4", "a-4", 1, 1)
    assert (row["noise"], row["risk"], row["risk_any"]) == pytest.approx((0.4, 0.25, 0.25))


def test_two_steps_add_up() -> None:
    """Of 0.25 and 0.35, a quarter and an eighth: 1 - 3/4 * 7/8."""
    (row,) = ask(replayed([*OTHERS, [(0.25, 0.0, True), (0.35, 0.0, True)]]))
    assert (row["step"], row["steps"], row["risk_any"]) == (0, 2, pytest.approx(1 - 0.75 * 0.875))


def test_what_flipped_is_not_near(shipped: dict[str, Incident]) -> None:
    """A request that flipped is none of them, nor one that never left the reference's plan."""
    assert ask(replayed([*OTHERS, [(0.25, 0.3, True)]])) == []
    assert ask(replayed([*OTHERS, [(0.25, 0.0, False)]])) == []
    for incident in shipped.values():
        flipped = set(incident.query("flips")["req_id"])
        assert not flipped & set(incident.query("near_flips")["req_id"])


def test_a_request_tells_nothing_of_itself() -> None:
    """Its own moves alone give no risk: without other requests nothing is said."""
    assert ask(replayed([[(0.25, 0.2, True), (0.1, 0.05, True)]])) == []


def test_the_shipped_straggler(shipped: dict[str, Incident]) -> None:
    """Every one of them really kept its tokens under another tactic at that step."""
    incident = shipped["straggler"]
    near = incident.query("near_flips")
    assert near.height > 0
    moves = incident.query("margin_moves")
    at = near.select("req_id", "step").join(moves, on=["req_id", "step"])
    assert at.height == near.height
    assert at["other_plan"].all()
    assert not at["flipped"].any()
    assert (near["reference_margin"] <= near["noise"]).all()


def test_the_scan_lists_them(shipped: dict[str, Incident]) -> None:
    """What a scan calls near the edge is this finding's answer."""
    incident = shipped["straggler"]
    assert list(incident.scan().near) == incident.query("near_flips").to_dicts()
