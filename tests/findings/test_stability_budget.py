"""How thin a text's margins are: paper and pencil, requests renamed, fewer records, the shipped recording."""

from __future__ import annotations

from typing import Any

import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import Step, replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["stability_budget"]
GROUPS: list[list[Step]] = [[(1.0, 0.1, True), (0.25, 0.2, True)], [(1.0, -0.3, True), (0.5, 0.4, True)]]


def ask(groups: list[list[Step]], **params: Any) -> dict[str, dict[str, Any]]:
    frame = FINDING.run(Catalogue(store_with(replayed(groups))), **params)
    return {row["reference"]: row for row in frame.to_dicts()}


def test_by_hand() -> None:
    """Moves 0.1 to 0.4: at 0.25 two of four reach over, each one way of two: 1/4. At 0.5 and 1 none does."""
    thin, wide = ask(GROUPS)["a-0"], ask(GROUPS)["a-1"]
    assert (thin["smallest"], thin["smallest_step"], thin["median_margin"]) == (0.25, 1, 0.625)
    assert (thin["within_noise"], thin["risk_any"]) == (1, pytest.approx(0.25))
    assert (wide["smallest"], wide["within_noise"], wide["risk_any"]) == (0.5, 0, 0.0)
    assert (thin["requests"], thin["flipped"]) == (1, 0)
    assert thin["risk_low"] <= thin["risk_any"] <= thin["risk_high"]


def test_early_steps_alone() -> None:
    """Of the first step of each, nothing is within the noise."""
    assert {row["risk_any"] for row in ask(GROUPS, early=1).values()} == {0.0}


def test_without_another_plan_no_risk_is_told() -> None:
    """Margins are told all the same: fewer records make nothing surer."""
    (row,) = ask([[(0.25, 0.0, False)]]).values()
    assert (row["smallest"], row["risk_any"], row["risk_low"]) == (0.25, None, None)


def test_renaming_requests_changes_nothing() -> None:
    """The order of groups is none of their risk's business."""
    turned = ask(GROUPS[::-1])
    assert turned["a-1"]["risk_any"] == ask(GROUPS)["a-0"]["risk_any"]


def test_the_shipped_straggler(shipped: dict[str, Incident]) -> None:
    """Texts that flipped are riskier than those that did not, by the middle one of each."""
    rows = shipped["straggler"].query("stability_budget")
    risk = {flipped: part["risk_any"].median() for (flipped,), part in rows.group_by(rows["flipped"] > 0)}
    assert risk[True] > risk[False]
