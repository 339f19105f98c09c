"""Ranks of which nothing is here: the others may have waited for one of them, and nobody is blamed instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]


def chain_of(folder: Path, opened: Opener, traces: tuple[Trace, Trace], *, absent: int | None, ranks: int) -> Chain:
    """The chain of b-1 without replica b's rank ``absent``; shapes say that it has ``ranks``."""
    bundle = write_bundle(folder, *traces)
    kept: list[dict[str, Any]] = []
    for line in (bundle / "b.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record.get("rank") is not None:
            if record["rank"] == absent:
                continue
            record["shape"] = f"q=1,k=9,tp={ranks}"
        kept.append(record)
    (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, kept)) + "\n")
    return opened(bundle).chain("b-1")


@pytest.mark.parametrize(("ranks", "late"), [(4, 2), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_the_late_rank_is_the_absent_one(tmp_path: Path, opened: Opener, ranks: int, late: int) -> None:
    """Those that are here waited; the chain ends there and asks for the ranks that are not."""
    chain = chain_of(tmp_path, opened, straggler(ranks=ranks, late=late), absent=late, ranks=ranks)
    assert (chain.root_cause, chain.links[0].kind) == (None, "collective_inflation")
    here = f"{ranks - 1} of {ranks} ranks are here"
    assert f"whether an absent rank kept the others waiting: {here}" in {m.what for m in chain.missing}


def test_slow_transfers_are_undecided(tmp_path: Path, opened: Opener) -> None:
    """Transfers between the two that are here took 4 ms longer: the fabric, or one of the two others was waited for."""
    slow = Trace("b", seed=1001, flips={1: 85}, batch=dict.fromkeys(range(82, 104), 12))
    slow.transfer_extra_ms = dict.fromkeys(range(70, 100), 4.0)
    chain = chain_of(tmp_path, opened, (Trace("a"), slow), absent=None, ranks=4)
    assert (chain.root_cause, chain.links[0].kind) == (None, "collective_inflation")
    asked = "whether transfers were slow or an absent rank was waited for: 2 of 4 ranks are here"
    assert asked in {m.what for m in chain.missing}


def test_what_the_other_rank_did_is_not_recorded(tmp_path: Path, opened: Opener) -> None:
    """Rank 1 is late and dequantised; whether rank 0 did no less is not recorded: it is no root, and asked for."""
    bundle = write_bundle(tmp_path, *straggler())
    lines = [json.loads(line) for line in (bundle / "b.jsonl").read_text().splitlines()]
    lines = [r if r.get("rank") != 0 else {k: v for k, v in r.items() if k != "dequant_cycles"} for r in lines]
    (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    chain = opened(bundle).chain("b-1")
    assert (chain.root_cause, chain.links[0].kind, chain.links[0].rank) == (None, "straggler_rank", 1)
    assert "dequantisation on every other rank than 1" in {m.what for m in chain.missing}
    assert "dequant_cycles in the s records of every rank" in {m.record for m in chain.missing}


@pytest.mark.slow
def test_the_engines_own_view(tmp_path: Path, opened: Opener) -> None:
    """No rank made records: what the engine counted itself rose with its iterations, and no rank is named."""
    window = range(70, 100)
    traces = [Trace(name, ranks=1, ranks_recorded=False, seed=seed) for name, seed in (("a", 1), ("b", 1001))]
    for trace in traces:
        trace.quiet = ("comm_ms", "sync_ms")
        trace.request_fields = {"dequant_cycles": lambda i, b=trace.replica == "b": 40 if b and i in window else 0}
    traces[1].all_extra_ms = dict.fromkeys(window, 5.0)
    traces[1].batch, traces[1].flips = dict.fromkeys(range(82, 104), 12), {1: 85}
    chain = opened(write_bundle(tmp_path, *traces)).chain("b-1")
    assert [link.kind for link in chain.links[:2]] == ["quant_stall", "step_stretch"]
    root = chain.links[0]
    assert (root.rank, root.iteration, root.value, root.baseline) == (None, 70, 40, 0)
