"""Transfers size by size: by hand, as many as the lines rest on, and on a recording."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import ask
from tests.findings.test_transfer_lines import ITERATIONS, SLOW, ranges
from tests.queries.test_every_query import store_with

#: A range is this long, ns; the rank that arrives last has a shorter one by its wait.
LATE_NS = 3_000


def sent(transfers: list[tuple[int, int]]) -> dict[str, list[dict[str, Any]]]:
    """Two ranks on one clock, one AllReduce after another: (bytes, transfer in ns); rank 1 arrives last."""
    given: dict[str, list[dict[str, Any]]] = {"sources": [], "clocks": [], "nvtx_events": []}
    for rank in (0, 1):
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": 0})
        for n, (size, took) in enumerate(transfers):
            leaves = (n + 1) * 1_000_000
            event = {"source_id": rank, "event_id": n, "kind": "collective", "end_ns": leaves}
            keys = f'{{"op": "AllReduce", "seq": {n}, "bytes": {size}}}'
            start = leaves - took - (LATE_NS if rank == 0 else 0)
            given["nvtx_events"].append({**event, "start_ns": start, "keys": keys})
    return given


def test_by_hand() -> None:
    """Of 1, 2 and 6 µs the median is 2; between 1 and 6, 5 % lies at 1.1 and 95 % at 5.6; the longest is the second."""
    rows = ask(
        Catalogue(store_with(sent([(8, 1_000), (8, 6_000), (8, 2_000), (64, 9_000)]))), "transfer_sizes"
    ).to_dicts()
    same = {"replica": "b", "comm": "", "op": "AllReduce", "ranks": 2, "regime": None}
    small = {"bytes": 8, "messages": 3, "median_us": 2.0, "low_us": 1.1, "high_us": 5.6}
    assert rows == [
        pytest.approx(same | small | {"longest_us": 6.0, "longest_seq": 1}),
        same | {"bytes": 64, "messages": 1, "median_us": 9.0, "low_us": 9.0, "high_us": 9.0}
        | {"longest_us": 9.0, "longest_seq": 3},
    ]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=8)  # each makes a store
@given(st.lists(st.tuples(st.sampled_from([8, 64, 4096]), st.integers(1_000, 90_000)), min_size=1, max_size=30))
def test_as_numpy_has_it(transfers: list[tuple[int, int]]) -> None:
    """Every collective is in one row, and a row's figures are those of its transfers."""
    rows = ask(Catalogue(store_with(sent(transfers))), "transfer_sizes").to_dicts()
    assert [row["bytes"] for row in rows] == sorted({size for size, _ in transfers})
    for row in rows:
        own = np.array([took for size, took in transfers if size == row["bytes"]]) / 1e3
        assert row["messages"] == own.size
        figures = np.percentile(own, [50, 5, 95, 100])
        assert [row[c] for c in ("median_us", "low_us", "high_us", "longest_us")] == pytest.approx(figures)
        assert transfers[row["longest_seq"]][1] / 1e3 == own.max()


@pytest.mark.slow
def test_no_regime_beyond_what_all_ranks_recorded() -> None:
    """Rank 1's iterations end at 120, in slow ones: of the 40 beyond, normal ones, nobody says that they were slow."""
    rows = ranges()
    rows["nvtx_events"] = [
        e for e in rows["nvtx_events"]
        if (e["source_id"], e["kind"]) != (1, "iteration") or json.loads(e["keys"])["n"] < SLOW.stop
    ]  # fmt: skip
    catalogue = Catalogue(store_with(rows))
    counted = {row["regime"]: row["messages"] for row in ask(catalogue, "transfer_sizes").to_dicts()}
    assert counted == {"normal": SLOW.start, "degraded": len(SLOW), None: ITERATIONS - SLOW.stop}


@pytest.mark.slow
def test_the_lines_rest_on_them() -> None:
    """A line's messages are its group's, and at the middle of its sizes it is within the transfers there."""
    catalogue = Catalogue(store_with(ranges()))
    sizes = ask(catalogue, "transfer_sizes").to_dicts()
    assert sum(row["messages"] for row in sizes) == 3 * ITERATIONS
    for line in ask(catalogue, "transfer_lines").to_dicts():
        own = [row for row in sizes if row["regime"] == line["regime"]]
        assert sum(row["messages"] for row in own) == line["messages"]
        for row in own:
            at = line["alpha_us"] + row["bytes"] / line["beta_gbps"] / 1e3
            assert row["low_us"] <= at <= row["high_us"]


def test_shipped(shipped: dict[str, Incident]) -> None:
    """On the lab's ranks every collective of a known size is counted, and larger ones take longer in the median."""
    incident = shipped["calm"]
    rows = incident.query("transfer_sizes")
    sent = incident.query("collectives").drop_nulls("bytes")
    assert rows["messages"].sum() == sent.height
    for _, own in rows.group_by("replica", "regime"):
        ordered = own.filter(own["messages"] >= 100).sort("bytes")
        assert ordered["median_us"].is_sorted()
