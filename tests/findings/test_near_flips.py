"""Requests near the edge: paper and pencil, requests renamed, fewer records, the shipped recording."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postmortem.api import Incident
from postmortem.base.errors import QueryError
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from postmortem.render.scan_tree import scan_text
from tests.findings.margins import Fixed, Step, moves, replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["near_flips"]
# Moves of 0.1, 0.2, 0.3 and 0.4 under the other tactic; then a request with a margin of 0.25 that lost nothing there.
OTHERS: list[list[Step]] = [[(1.0, 0.1, True)], [(1.0, -0.2, True)], [(1.0, 0.3, True)], [(1.0, 0.4, True)]]


def ask(rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return FINDING.run(Catalogue(store_with(rows))).to_dicts()


def test_by_hand() -> None:
    """0.3 and 0.4 reach over 0.25, and each may go either way: 2 of 8. Margins of 1 lie beyond all moves."""
    (row,) = ask(replayed([*OTHERS, [(0.9, 0.0, False), (0.25, 0.0, True), (2.0, 0.0, True)]]))
    assert (row["req_id"], row["reference"], row["step"], row["steps"]) == ("b-4", "a-4", 1, 1)
    assert (row["noise"], row["risk"], row["risk_any"]) == pytest.approx((0.4, 0.25, 0.25))


def test_a_flip_without_a_margin_is_a_flip() -> None:
    """It kept its token at the first step, where it was near, and not at the second, where no margin was recorded."""
    given = replayed([*OTHERS, [(0.25, 0.0, True), (0.2, 0.3, True)]])
    (bare,) = (r for r in given["s_records"] if r["req_id"] == "a-4" and r["step"] == 1)
    bare["margin"] = None
    assert ask(given) == []
    budget = findings()["stability_budget"].run(Catalogue(store_with(given)))
    assert budget.select("reference", "flipped").filter(pl.col("flipped") > 0).rows() == [("a-4", 1)]


def test_two_steps_add_up() -> None:
    """Of 0.25 and 0.35, a quarter and an eighth: 1 - 3/4 * 7/8."""
    (row,) = ask(replayed([*OTHERS, [(0.25, 0.0, True), (0.35, 0.0, True)]]))
    assert (row["step"], row["steps"], row["risk_any"]) == (0, 2, pytest.approx(1 - 0.75 * 0.875))


def test_near_by_its_own_margin() -> None:
    """0.95 of 1 were lost: 0.05 is within the noise of 0.4, although no move seen elsewhere would have flipped it."""
    row = ask(replayed([*OTHERS, [(1.0, 0.95, True)]]))[-1]
    assert (row["req_id"], row["noise"]) == ("b-4", 0.4)
    assert (row["margin"], row["reference_margin"], row["risk"]) == (pytest.approx(0.05), 1.0, 0.0)


def test_after_another_tactic() -> None:
    """A step whose keys and values another tactic wrote is held against such steps of others: 0.25 against 0.5."""
    (row,) = ask(replayed([[(9.0, 0.0, True), (9.0, 0.5, False)], [(9.0, 0.0, True), (0.25, 0.0, False)]]))
    assert (row["req_id"], row["step"], row["ran"], row["noise"], row["risk"]) == ("b-1", 1, "after_other", 0.5, 0.5)


def test_quantile() -> None:
    """Half of the moves are 0.2 or less, which 0.25 is not; a share that is none is refused."""
    catalogue = Catalogue(store_with(replayed([*OTHERS, [(0.25, 0.0, True)]])))
    assert FINDING.run(catalogue, quantile=0.5).is_empty()
    assert FINDING.run(catalogue, quantile=0.75).height == 1
    with pytest.raises(QueryError, match="quantile"):
        FINDING.run(catalogue, quantile=99.0)
    with pytest.raises(QueryError, match=r"quantile: NULL is no DOUBLE; leave it out for 0\.99"):
        FINDING.run(catalogue, quantile="null")


@pytest.mark.slow
@given(order=st.permutations(range(6)))
def test_renaming_requests_renames_the_answer(order: list[int]) -> None:
    """Only the names follow."""
    groups = [*OTHERS, [(0.25, 0.0, True)], [(0.35, 0.1, True)]]
    rows = {row["req_id"]: row for row in FINDING.run(Fixed(moves(groups))).to_dicts()}
    for row in FINDING.run(Fixed(moves([groups[k] for k in order]))).to_dicts():
        before = rows.pop(f"b-{order[int(row['req_id'][2:])]}")
        assert row == before | {"req_id": row["req_id"], "reference": row["reference"]}
    assert not rows


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
    steps = incident.query("margin_moves")
    at = near.select("req_id", "step").join(steps, on=["req_id", "step"])
    assert at.height == near.height
    assert (at["other_plan"] | at["after_other"]).all()
    assert not at["flipped"].any()
    assert (near.select(pl.min_horizontal("margin", "reference_margin")).to_series() <= near["noise"]).all()


@pytest.mark.slow
def test_the_scan_lists_them(shipped: dict[str, Incident]) -> None:
    """What a scan calls near the edge is this finding's answer; its text counts all and shows the ten riskiest."""
    incident = shipped["straggler"]
    found, near = incident.scan(), incident.query("near_flips")
    assert found.to_dict()["near"] == tuple(near.to_dicts())
    head, _, rest = scan_text(found).partition(" requests near the edge")
    assert head.splitlines()[-1] == str(near.height)
    table, _, more = rest.partition("… and ")
    listed = [line.split()[0] for line in table.splitlines() if line.startswith(("b-", "  b-"))]
    assert listed == near["req_id"].to_list()[:10]
    assert more.startswith(f"{near.height - 10} more")
