"""Lines of transfer time by size: planted ones, a congested fabric, and shared memory that was never slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import ask
from tests.queries.test_every_query import store_with

ITERATIONS, SLOW = 160, range(70, 120)
ALPHA_NS, BETA, SLOW_BETA = 20_000, 2.0, 0.8  # bytes a ns
JITTER_NS, MEDIAN = 500, 0.6745  # of |x|, x normal with deviation 1


def ranges(other: float | None = None) -> dict[str, list[dict[str, Any]]]:
    """Two ranks, three AllReduces an iteration of three sizes; in some iterations the path is narrower.

    ``other``: bytes a ns of a second communicator, dp, which sends the same by another path that is always even.
    """
    rng = np.random.default_rng(31)
    given: dict[str, list[dict[str, Any]]] = {"sources": [], "clocks": [], "nvtx_events": []}
    for rank in (0, 1):
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": 0})
    for i in range(ITERATIONS):
        base = i * 10_000_000
        ends = {0: base, 1: base}
        for k, size in enumerate((16_384, 65_536, 262_144)):
            took = round(ALPHA_NS + size / (SLOW_BETA if i in SLOW else BETA) + abs(rng.normal(0, JITTER_NS)))
            leaves = base + (k + 1) * 2_000_000
            waits = (0, int(rng.integers(1, 400_000)))
            for rank in (0, 1):
                event = {"source_id": rank, "event_id": 10 * i + k, "kind": "collective", "end_ns": leaves}
                keys = f'{{"op": "AllReduce", "seq": {3 * i + k}, "bytes": {size}}}'
                given["nvtx_events"].append({**event, "start_ns": leaves - took - waits[rank], "keys": keys})
                ends[rank] = leaves
                if other is not None:
                    event = {**event, "event_id": 10 * i + 4 + k, "end_ns": leaves + 1_000_000}
                    begun = event["end_ns"] - ALPHA_NS - round(size / other)
                    keys = keys.replace("}", ', "comm": "dp"}')
                    given["nvtx_events"].append({**event, "start_ns": begun, "keys": keys})
                    ends[rank] = event["end_ns"]
        for rank in (0, 1):
            event = {"source_id": rank, "event_id": 10 * i + 9, "kind": "iteration", "keys": f'{{"n": {i}}}'}
            given["nvtx_events"].append({**event, "start_ns": base, "end_ns": ends[rank] + 500_000})
    return given


@pytest.mark.slow
def test_a_narrower_path_for_some_iterations() -> None:
    """Congested: the same start, a path of 0.8 GB/s instead of 2; each line within its own intervals."""
    rows = {row["regime"]: row for row in ask(Catalogue(store_with(ranges())), "transfer_lines").to_dicts()}
    assert set(rows) == {"normal", "congested"}
    for regime, beta in (("normal", BETA), ("congested", SLOW_BETA)):
        row = rows[regime]
        assert (row["replica"], row["op"], row["ranks"], row["sizes"]) == ("b", "AllReduce", 2, 3)
        usual = (ALPHA_NS + MEDIAN * JITTER_NS) / 1e3  # the jitter only delays
        assert row["alpha_low_us"] <= usual <= row["alpha_high_us"]
        assert row["beta_gbps"] == pytest.approx(beta, rel=0.02)
    assert rows["congested"]["beta_high_gbps"] < rows["normal"]["beta_low_gbps"]
    assert sum(row["messages"] for row in rows.values()) == 3 * ITERATIONS


@pytest.mark.slow
def test_communicators_have_their_own_paths() -> None:
    """dp goes by a path of half a byte a ns, whatever the other communicator's does meanwhile."""
    rows = ask(Catalogue(store_with(ranges(other=0.5))), "transfer_lines").to_dicts()
    beta = {(row["comm"], row["regime"]): row["beta_gbps"] for row in rows}
    assert beta == {
        ("", "normal"): pytest.approx(BETA, rel=0.02),
        ("", "congested"): pytest.approx(SLOW_BETA, rel=0.02),
        ("dp", "normal"): pytest.approx(0.5, rel=0.001),
        ("dp", "congested"): pytest.approx(0.5, rel=0.001),
    }


def test_near_an_iterations_ends_the_clocks_leave_it_undecided() -> None:
    """Iterations 1 and 2 last from 1000 to 2000 and 3000 by records, sure to 20 ns; the ranges are sure to 30 ns."""
    given: dict[str, list[dict[str, Any]]] = {"sources": [], "clocks": [], "nvtx_events": []}
    given["sources"].append({"source_id": 9, "path": "s", "replica": "b"})
    given["s_records"] = [
        {"source_id": 9, "line": n + 2 * rank, "replica": "b", "rank": rank, "iteration": n, "ts_ns": 1000 * n}
        | {"gpu_ms": 0.001}
        for n in (1, 2)
        for rank in (0, 1)
    ]
    arrivals = {1030: None, 1500: 1, 1960: None, 2040: None, 2500: 2, 3010: None, 4000: None}
    for rank in (0, 1):
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": 0})
        for n, at in enumerate(arrivals):
            event = {"source_id": rank, "event_id": n, "kind": "collective", "start_ns": at - 5 * rank}
            keys = f'{{"op": "AllReduce", "seq": {n}, "bytes": 8}}'
            given["nvtx_events"].append({**event, "end_ns": at + 10, "keys": keys})
    con = store_with(given)
    con.execute("DELETE FROM clock_fits")  # so few collectives fit clocks of their own
    con.execute(
        "INSERT INTO clock_fits BY NAME SELECT source_id, 0 AS from_ns, 0 AS at_ns, 0 AS offset_ns, 0 AS drift_ppm, "
        "CASE source_id WHEN 9 THEN 20 ELSE 30 END AS uncertainty_ns, 0 AS events, 0 AS stepped_ns, 'ranges' AS shared "
        "FROM sources"
    )
    laps = Catalogue(con).view("collective_laps").sort("seq")
    assert dict(zip(laps["arrival_ns"], laps["iteration"], strict=True)) == arrivals


def test_records_that_nothing_ties_are_of_their_ranks_clock() -> None:
    """Hosts 400 ns apart: exports meet halfway, but rank 1's records are read off the clock of its own export."""
    ahead = {0: 0, 1: 400}
    given: dict[str, list[dict[str, Any]]] = {"sources": [], "clocks": [], "nvtx_events": []}
    given["s_records"] = [
        {
            "source_id": 9,
            "line": n + 2 * rank,
            "replica": "b",
            "rank": rank,
            "iteration": n,
            "ts_ns": 300 * n + ahead[rank],
        }
        | {"gpu_ms": 0.0002}
        for n in range(1, 10)
        for rank in (0, 1)
    ]
    for rank in (0, 1):
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": ahead[rank]})
        for n in range(1, 10):
            event = {"source_id": rank, "event_id": n, "kind": "collective", "start_ns": 300 * n + 50 + 20 * rank}
            keys = f'{{"op": "AllReduce", "seq": {n}, "bytes": 8}}'
            given["nvtx_events"].append({**event, "end_ns": 300 * n + 150, "keys": keys})
    given["sources"].append({"source_id": 9, "path": "s", "replica": "b"})
    catalogue = Catalogue(store_with(given))
    assert set(catalogue.run("clock_offsets").drop_nulls("uncertainty_ns")["offset_ns"]) == {200, -200}
    laps = catalogue.view("collective_laps").sort("seq")
    assert laps["iteration"].to_list() == laps["seq"].to_list() == list(range(1, 10))


@pytest.mark.slow
def test_one_size_has_no_line() -> None:
    """Of one size alone nothing tells start from path."""
    given = ranges()
    given["nvtx_events"] = [e for e in given["nvtx_events"] if "262144" in e["keys"] or e["kind"] == "iteration"]
    assert ask(Catalogue(store_with(given)), "transfer_lines").is_empty()


@pytest.mark.slow
def test_without_iterations_the_regime_is_not_known() -> None:
    """All collectives stand together then."""
    given = ranges()
    given["nvtx_events"] = [e for e in given["nvtx_events"] if e["kind"] == "collective"]
    (row,) = ask(Catalogue(store_with(given)), "transfer_lines").to_dicts()
    assert (row["regime"], row["messages"]) == (None, 3 * ITERATIONS)


def test_shipped(shipped: dict[str, Incident]) -> None:
    """The lab's shared memory: larger messages take longer, on both replicas alike within a third."""
    rows = shipped["calm"].query("transfer_lines").to_dicts()
    assert [(row["replica"], row["op"], row["regime"]) for row in rows] == [
        ("a", "AllReduce", "normal"),
        ("b", "AllReduce", "normal"),
    ]
    for row in rows:
        assert row["alpha_low_us"] > 0
        assert 0 < row["beta_low_gbps"] <= row["beta_high_gbps"] < 100
    assert rows[0]["beta_gbps"] == pytest.approx(rows[1]["beta_gbps"], rel=1 / 3)
