"""Iterations that also compute a prompt take longer for that: where they hide a stall, those that decode alone tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]
PROMPTS = {*range(7), *range(29, 32), *range(41, 44)}
LATE = range(74, 100)


def chain_of(folder: Path, opened: Opener, late: float) -> Chain:
    """Prompts take 3 ms of some iterations, in which one of the batch's 24 has no step; from 74 on rank 1 is late."""
    calm, b = straggler(
        seed=2, requests=24, extra_ms=dict.fromkeys(LATE, late), all_extra_ms=dict.fromkeys(PROMPTS, 3.0)
    )
    calm.requests = 24
    b.rank_fields = {1: {"dequant_cycles": lambda i: 40 if i in LATE else 0}}
    bundle = write_bundle(folder, calm, b)
    file = bundle / "b.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    kept = [r for r in records if (r.get("req_id"), r.get("iteration") in PROMPTS) != ("b-9", True)]
    file.write_text("".join(json.dumps(r) + "\n" for r in kept))
    return opened(bundle).chain("b-1")


def test_a_stall_behind_prompts(tmp_path: Path, opened: Opener) -> None:
    """Thirteen iterations took 3 ms more for their prompts; eight that computed none do for the late rank."""
    chain = chain_of(tmp_path, opened, 3.0)
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
    inflation = chain.links[2]
    assert inflation.kind == "collective_inflation"
    assert inflation.iteration == 74
    assert inflation.facts["times_from"] == "s records of every rank, less what prompts took"


def test_prompts_alone(tmp_path: Path, opened: Opener) -> None:
    """Nobody is late: that some iterations computed prompts explains no cut later on."""
    chain = chain_of(tmp_path, opened, 0.0)
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
