"""The calm window that bundle.toml names is what iterations are held against, and where references come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident

Opener = Callable[..., Incident]


def named(bundle: Path, replica: str, first: int, last: int) -> Path:
    """The bundle, with the baseline in which these iterations of a replica began, first and last counted."""
    records = map(json.loads, (bundle / f"{replica}.jsonl").read_text().splitlines())
    begun = {r["iteration"]: r["ts_ns"] for r in records if r["record"] == "s"}
    # to the microsecond, outwards
    micros = (begun[first] // 1000, begun[last] // 1000 + 1)
    start, end = (datetime.fromtimestamp(us // 10**6, UTC).replace(microsecond=us % 10**6) for us in micros)
    (bundle / "bundle.toml").write_text(f"[baseline]\nstart = {start.isoformat()}\nend = {end.isoformat()}\n")
    return bundle


def test_the_named_window_is_the_calm_one(tmp_path: Path, opened: Opener) -> None:
    """Of iterations 0 to 69, all calm, those from 40 to 60 are taken; the chain is the same."""
    bundle = write_bundle(tmp_path, *straggler())
    unnamed = opened(bundle).chain("b-1")
    chain = opened(named(bundle, "b", 40, 60)).chain("b-1")
    assert [link.kind for link in chain.links] == [link.kind for link in unnamed.links]
    late = next(link for link in chain.links if link.kind == "straggler_rank")
    assert late.facts["calm"] == [40, 61]
    assert next(link for link in unnamed.links if link.kind == "straggler_rank").facts["calm"] == [0, 70]
    assert late.value == pytest.approx(5.0, abs=0.3)


def test_what_was_slow_in_the_named_window_is_no_stretch(tmp_path: Path, opened: Opener) -> None:
    """Held against a window that was as slow, iterations took no longer: nothing is blamed."""
    slow = range(30, 100)
    traces = straggler(
        extra_ms=dict.fromkeys(slow, 5.0), rank_fields={1: {"dequant_cycles": lambda i: 40 if i in slow else 0}}
    )
    bundle = write_bundle(tmp_path, *traces)
    assert opened(bundle).chain("b-1").root_cause is not None
    assert opened(named(bundle, "b", 40, 60)).chain("b-1").root_cause is None


@pytest.mark.slow
def test_a_reference_within_the_named_window_comes_first(tmp_path: Path, opened: Opener) -> None:
    """Of two calm twins the one is the reference that ran while all was known to be calm."""
    first, late = straggler()
    other = Trace("c", seed=5)
    bundle = write_bundle(tmp_path, first, other, late)
    plain = opened(bundle).chain("b-1").reference
    wanted = {"a-1": "c", "c-1": "a"}[str(plain)]
    # both ran at the same times; the other's clock is an hour on, and the window with it
    hour = 3_600_000_000_000
    path = bundle / f"{wanted}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    moved = [{k: v + hour if k in {"ts_ns", "admitted_ns"} else v for k, v in r.items()} for r in records]
    path.write_text("\n".join(map(json.dumps, moved)) + "\n")
    assert opened(bundle).chain("b-1").reference == plain
    assert opened(named(bundle, wanted, 0, 119)).chain("b-1").reference == f"{wanted}-1"
