"""Windows of overlapping pins, and the iterations in them, against a walk over single nanoseconds."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

Rows = list[dict[str, Any]]
LENGTH = 120
# source: replica, rank; the third holds several processes, the last two are one rank's of an unknown replica's
SOURCES = [("a", 0), ("a", 0), ("a", None), ("a", 1), (None, 0), (None, 0)]
KINDS = ("isr_pin", "ckpt_pin")


def recorded(rng: np.random.Generator) -> tuple[dict[str, Rows], Rows]:
    """The rows of a store, and its ranges as dictionaries: nested, overlapping, without an end or a length."""
    ranges: Rows = []
    for source, (replica, rank) in enumerate(SOURCES):
        kinds = [k for k in (*KINDS, "dequant") if rng.random() < 0.8]
        first = int(rng.integers(0, 60))
        for _ in range(int(rng.integers(0, 7)) if kinds else 0):
            start = first + int(rng.integers(0, 40))
            end = None if rng.random() < 0.1 else start + int(rng.integers(0, 15))
            mb = None if rng.random() < 0.1 else int(rng.integers(1, 9))
            told = {"source": source, "replica": replica, "rank": rank, "process": int(rng.integers(1, 3))}
            ranges.append({**told, "kind": str(rng.choice(kinds)), "start": start, "end": end, "mb": mb})
    given: dict[str, Rows] = {"sources": [], "clocks": [], "nvtx_events": [], "s_records": []}
    for source, (replica, rank) in enumerate(SOURCES):
        given["sources"].append({"source_id": source, "path": f"{source}", "replica": replica, "rank": rank})
        given["clocks"].append({"source_id": source, "origin_ns": 0, "offset_ns": 0})
    for number, r in enumerate(ranges):
        event = {"source_id": r["source"], "event_id": number, "style": "StartEnd", "kind": r["kind"]}
        event |= {"global_tid": r["process"] << 24 | number % 2 + 1, "start_ns": r["start"], "end_ns": r["end"]}
        keys = "{}" if r["mb"] is None else f'{{"mb": {r["mb"]}}}'
        given["nvtx_events"].append({**event, "never_popped": r["end"] is None, "keys": keys})
    for rank in (0, 1):
        at = 0
        for iteration in range(12):
            held = {f"{k}ned_mb": float(rng.integers(0, 3)) for k in KINDS}
            state = {"replica": "a", "rank": rank, "iteration": iteration, "ts_ns": at, "gpu_ms": 3e-6, **held}
            given["s_records"].append({"source_id": 9, "line": len(given["s_records"]), **state})
            at += int(rng.integers(3, 20))
    return given, ranges


def whose(r: dict[str, Any]) -> tuple[Any, ...]:
    """What must be one for pins to be held together: the rank, else the process; the export, of no known replica."""
    if r["rank"] is None:
        return (r["source"], r["process"])
    return () if r["replica"] else (r["source"],)


def stretches(times: list[int]) -> list[tuple[int, int]]:
    """Unbroken runs of ascending nanoseconds, as first and the one after the last."""
    runs = [[t for _, t in run] for _, run in groupby(enumerate(times), lambda pair: pair[1] - pair[0])]
    return [(run[0], run[-1] + 1) for run in runs]


def by_nanosecond(ranges: Rows, replica: str | None, rank: int | None) -> Rows:
    """The windows that this rank's ranges tell of."""
    mine = [r for r in ranges if (r["replica"], r["rank"]) == (replica, rank) and r["kind"] in KINDS]
    mine = [r for r in mine if r["end"] is not None]
    most: dict[int, tuple[list[int], list[int]]] = {}
    for t in range(LENGTH):
        for place in {whose(r) for r in mine}:
            isr, ckpt = (
                [r["mb"] for r in mine if r["kind"] == k and whose(r) == place and r["start"] <= t < r["end"]]
                for k in KINDS
            )
            if isr and ckpt:
                for found, told in zip(most.setdefault(t, ([], [])), (isr, ckpt), strict=True):
                    found += [sum(mb for mb in told if mb is not None)] if any(told) else []
    windows = []
    for start, end in stretches(sorted(most)):
        isr, ckpt = (max([mb for t in range(start, end) for mb in most[t][i]], default=None) for i in (0, 1))
        windows.append({"source": "NVTX ranges", "start_ns": start, "end_ns": end, "isr_mb": isr, "ckpt_mb": ckpt})
    return windows


def told_times(ranges: Rows, replica: str, rank: int) -> set[int]:
    """The nanoseconds in which exports tell of this rank's pins of both kinds."""
    found = []
    for kind in KINDS:
        told: set[int] = set()
        for source, own in enumerate(SOURCES):
            inside = [r for r in ranges if r["source"] == source and own == (replica, rank)]
            if any(r["kind"] == kind and r["end"] is not None and r["end"] > r["start"] for r in inside):
                last = max(r["start"] if r["end"] is None else r["end"] for r in inside)
                told |= set(range(min(r["start"] for r in inside), last))
        found.append(told)
    return found[0] & found[1]


def by_record(states: Rows, told: set[int]) -> Rows:
    """The windows that the records of one rank tell of; each state ends where the next begins (``next``)."""
    windows: Rows = []
    open_ = False
    for s in states:
        isr, ckpt = s["isr_pinned_mb"], s["ckpt_pinned_mb"]
        if isr > 0 and ckpt > 0 and not told & set(range(s["ts_ns"], s["next"])):
            if not open_:
                windows.append({"source": "s records", "start_ns": s["ts_ns"], "isr_mb": isr, "ckpt_mb": ckpt})
            last = windows[-1]
            last |= {"end_ns": s["next"], "isr_mb": max(isr, last["isr_mb"]), "ckpt_mb": max(ckpt, last["ckpt_mb"])}
            open_ = True
        else:
            open_ = False
    return windows


@pytest.mark.parametrize("seed", range(12))
def test_windows_and_their_iterations(seed: int) -> None:
    """Pins of one rank at once, whichever process holds them; the records where no export tells of both kinds."""
    given, ranges = recorded(np.random.default_rng(seed))
    catalogue = Catalogue(store_with(given))
    rows = catalogue.rows("pin_overlaps")
    states = catalogue.view("pinned_states").rows(named=True)
    for replica, rank in dict.fromkeys(SOURCES):
        expected = by_nanosecond(ranges, replica, rank)
        mine = [s for s in given["s_records"] if (s["replica"], s["rank"]) == (replica, rank)]
        if mine:
            for s, after in zip(mine, [*mine[1:], None], strict=True):
                s["next"] = after["ts_ns"] if after else s["ts_ns"] + 3
            expected += by_record(mine, told_times(ranges, "a", mine[0]["rank"]))
        expected.sort(key=lambda w: w["start_ns"])
        found = [r for r in rows if (r["replica"], r["rank"]) == (replica, rank)]
        assert [{k: r[k] for k in w} for r, w in zip(found, expected, strict=True)] == expected
        inside = {s["iteration"]: s["window_ns"] for s in states if (s["replica"], s["rank"]) == (replica, rank)}
        for s in mine:
            met = [w["start_ns"] for w in expected if w["start_ns"] < s["next"] and s["ts_ns"] < w["end_ns"]]
            assert inside[s["iteration"]] == max(met, default=None)
