"""Who waited for an iteration, against a count of every request and every iteration."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

MS = 1_000_000
Rows = list[dict[str, Any]]


def recorded(rng: np.random.Generator) -> tuple[Rows, Rows]:
    """x and s records of ten replicas in whole milliseconds: iterations that begin at one time are common."""
    x: Rows = []
    s: Rows = []
    for replica in "abcdefghij":
        begins = np.cumsum(rng.choice([0, 0, 1, 2], size=12)) * MS
        for r in range(5):
            laps = np.flatnonzero(rng.random(12) < 0.6)
            queued = float(rng.integers(0, 6))
            for step, lap in enumerate(laps.tolist()):
                row = {"req_id": f"{replica}{r}", "step": step, "replica": replica, "iteration": lap}
                s.append({**row, "ts_ns": int(begins[lap]), "queue_ms": queued if step == 0 else None, "line": len(s)})
            if laps.size and rng.random() < 0.7:
                admitted = int(begins[laps[0]]) - MS * int(rng.integers(0, 7))
                x.append({"req_id": f"{replica}{r}", "replica": replica, "admitted_ns": admitted, "line": len(x)})
    return x, s


def counted(x: Rows, s: Rows) -> dict[tuple[str, int], int]:
    """By the words of the view: between from and to begin the iteration and the one before it; or it was put aside."""
    found = {(row["replica"], row["iteration"]): 0 for row in s}
    begins = {(row["replica"], row["iteration"]): row["ts_ns"] for row in s}
    admitted = {row["req_id"]: row["admitted_ns"] for row in x}
    requests = {row["req_id"]: [one for one in s if one["req_id"] == row["req_id"]] for row in s}
    waited = {name: (own[0], int((own[0]["queue_ms"] or 0) * MS)) for name, own in requests.items()}
    ends_it = {
        first["replica"]
        for name, (first, wait) in waited.items()
        if wait and name in admitted and first["ts_ns"] - admitted[name] + MS < wait
    }
    for name, (first, wait) in waited.items():
        begin, end = first["ts_ns"] - wait, first["ts_ns"]
        if name in admitted:
            at = admitted[name]
            begin, end = (at - wait, at) if first["replica"] in ends_it else (at, at + wait)
        laps = sorted(lap for replica, lap in begins if replica == first["replica"])
        for before, lap in pairwise(laps):
            both = begins[first["replica"], before], begins[first["replica"], lap]
            found[first["replica"], lap] += wait > 0 and all(begin <= t < min(end, first["ts_ns"]) for t in both)
        for one, other in pairwise(requests[name]):
            for lap in laps:
                found[first["replica"], lap] += one["iteration"] < lap < other["iteration"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_waits_are_counted(seed: int) -> None:
    """Both kinds of admission, requests put aside, iterations of one time."""
    x, s = recorded(np.random.default_rng(seed))
    rows = Catalogue(store_with({"x_records": x, "s_records": s})).rows("iterations")
    assert {(r["replica"], r["iteration"]): r["waiting"] for r in rows} == counted(x, s)
    assert max(r["waiting"] for r in rows) > 2
