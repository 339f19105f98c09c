"""The regimes against the article's two functions, copied from it word for word, on records made up at random."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

INF = float("inf")
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # every example fills a store: a failure is not made smaller
SEVERITY = ("normal", "queue_degraded", "memory_pressured", "paging", "memory_evaporation", "isolation_strict")


def regime(vram_free_mb, paging_on, isolation_strict, queue_p95_ms):
    """The article's first function."""
    if isolation_strict:
        return "isolation_strict"
    if paging_on:
        return "paging"
    if vram_free_mb < 1024:
        return "memory_pressured"
    if queue_p95_ms > 50:
        return "queue_degraded"
    return "normal"


def regime_extended(
    vram_free_mb, paging_on, isolation_strict, queue_p95_ms, isr_pinned_mb, ckpt_pinned_mb, kv_pool_total_mb
):
    """The article's extended function."""
    effective_free = vram_free_mb - isr_pinned_mb - ckpt_pinned_mb
    effective_ratio = effective_free / kv_pool_total_mb if kv_pool_total_mb > 0 else 1.0
    if isolation_strict:
        return "isolation_strict"
    if effective_ratio < 0.05:
        return "memory_evaporation"
    if paging_on:
        return "paging"
    if effective_free < 1024:
        return "memory_pressured"
    if queue_p95_ms > 50:
        return "queue_degraded"
    return "normal"


def told(s: dict[str, Any]) -> bool:
    return any(s.get(k) is not None for k in ("isolation_mode", "paging_on", "vram_free_mb", "queue_p95_ms"))


def both(s: dict[str, Any]) -> tuple[str, str] | None:
    """What the two functions say of a record; what is not recorded presses nowhere. None: nothing is recorded."""
    if not told(s):
        return None
    free = INF if s["vram_free_mb"] is None else s["vram_free_mb"]
    common = (free, bool(s["paging_on"]), s["isolation_mode"] == "strict", s["queue_p95_ms"] or 0.0)
    pins = (s["isr_pinned_mb"] or 0.0, s["ckpt_pinned_mb"] or 0.0, s["kv_pool_total_mb"] or 0.0)
    return regime(*common), regime_extended(*common, *pins)


# Figures at, just beside and far from the limits: 5 % of a pool of 20480 is 1024, of 4096 it is 204.8.
MEMORY = st.sampled_from([0.0, 204.0, 204.75, 205.0, 1000.0, 1023.75, 1024.0, 1024.25, 2048.0, 5000.0])
STATE = st.fixed_dictionaries(
    {
        "vram_free_mb": st.none() | MEMORY,
        "isr_pinned_mb": st.none() | st.sampled_from([0.0, 0.25, 820.0, 1024.0]),
        "ckpt_pinned_mb": st.none() | st.sampled_from([0.0, 0.25, 2048.0]),
        "kv_pool_total_mb": st.none() | st.sampled_from([0.0, 4096.0, 20480.0]),
        "paging_on": st.sampled_from([None, False, False, True]),
        "isolation_mode": st.sampled_from([None, "shared", "shared", "strict"]),
        "queue_p95_ms": st.none() | st.sampled_from([0.0, 49.9, 50.0, 50.1, 400.0]),
    }
)


@pytest.mark.slow
@settings(max_examples=15, phases=QUICK)
@given(st.lists(st.tuples(STATE, STATE), min_size=30, max_size=40))
def test_ranks_and_their_replica(iterations: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Each rank has the article's regime, the replica its worse rank's; disagreements are with the first function."""
    rows = [
        {"line": 2 * i + r, "replica": "a", "rank": r, "iteration": i, "ts_ns": 10 * i, "gpu_ms": 1e-5, **states[r]}
        for i, states in enumerate(iterations)
        for r in (0, 1)
    ]
    catalogue = Catalogue(store_with({"s_records": rows}))
    said = {r: [both(states[r]) for states in iterations] for r in (0, 1)}
    expected: dict[Any, list[str | None]] = {r: [s and s[1] for s in said[r]] for r in (0, 1)}
    expected[None] = [
        max(filter(None, pair), key=SEVERITY.index, default=None) for pair in zip(expected[0], expected[1], strict=True)
    ]
    spans = [
        (rank, regime, at[0], at[-1])
        for rank in (None, 0, 1)
        for regime, run in groupby(range(len(iterations)), key=lambda i: expected[rank][i])
        if (at := list(run)) and regime is not None
    ]
    answer = catalogue.rows("regimes")
    assert [(r["rank"], r["regime"], r["first_iteration"], r["last_iteration"]) for r in answer] == spans
    occupied = {(r["rank"], r["regime"]): r["iterations"] for r in catalogue.rows("regime_occupancy")}
    assert occupied == {(rank, name): expected[rank].count(name) for rank, name, _, _ in spans}
    changed = [
        (rank, i, expected[rank][i - 1], expected[rank][i])
        for rank, i in product((None, 0, 1), range(1, len(iterations)))
        if None not in (expected[rank][i - 1], expected[rank][i]) and expected[rank][i - 1] != expected[rank][i]
    ]
    moves = catalogue.rows("regime_transitions")
    assert [(r["rank"], r["iteration"], r["regime_before"], r["regime"]) for r in moves] == changed
    assert all(r["worse"] == (SEVERITY.index(r["regime"]) > SEVERITY.index(r["regime_before"])) for r in moves)
    hidden = catalogue.rows("regimes_underestimated")
    assert sum(r["iterations"] for r in hidden) == sum(s is not None and s[0] != s[1] for r in (0, 1) for s in said[r])


@pytest.mark.slow
@settings(max_examples=5, phases=QUICK)
@given(st.lists(st.tuples(STATE, STATE), min_size=1, max_size=20))
def test_renaming_ranks_renames_their_regimes(iterations: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Ranks swapped: the replica's stretches stay, the ranks' are swapped."""

    def stretches(order: tuple[int, int]) -> dict[Any, list[Any]]:
        rows = [
            {"line": 2 * i + r, "replica": "a", "rank": order[r], "iteration": i, "ts_ns": 10 * i, **states[r]}
            for i, states in enumerate(iterations)
            for r in (0, 1)
        ]
        out: dict[Any, list[Any]] = {None: [], 0: [], 1: []}
        for row in Catalogue(store_with({"s_records": rows})).rows("regimes"):
            out[row["rank"]].append((row["regime"], row["first_iteration"], row["last_iteration"]))
        return out

    plain, swapped = stretches((0, 1)), stretches((1, 0))
    assert (plain[None], plain[0], plain[1]) == (swapped[None], swapped[1], swapped[0])
