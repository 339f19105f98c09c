"""Whose iterations are looked at: those of the engine that ran the step, and nobody's where no record names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Verdict

Opener = Callable[..., Incident]
Record = dict[str, Any]


def rewritten(bundle: Path, change: Callable[[Record], Record | None]) -> Path:
    """The bundle with every record changed; None leaves it out."""
    for file in bundle.glob("*.jsonl"):
        records = [change(json.loads(line)) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(r) + "\n" for r in records if r is not None))
    return bundle


def strict(i: int) -> str:
    return "strict" if 40 <= i < 62 else "shared"


def handed_over(record: Record) -> Record | None:
    """Request b-1 ran its steps up to 60 on replica c, then on b."""
    if record.get("req_id") == "c-1":
        return record | {"req_id": "b-1"} if record["record"] == "s" and record["step"] <= 60 else None
    if record.get("req_id") == "b-1" and record["record"] == "s" and record["step"] <= 60:
        return None
    return record | {"algo_id": "tile32"} if (record.get("req_id"), record.get("step")) == ("b-1", 61) else record


def moved(folder: Path, **changes: Any) -> Path:
    """Replica b is strict, and its batch cut, from 40 to 61, while b-1 still ran on c; it flips on b at step 66."""
    isolated = {"isolation_mode": strict}
    b = Trace("b", seed=5, batch=dict.fromkeys(range(40, 62), 12), flips={1: 66}, request_fields=dict(isolated))
    b.rank_fields = {rank: dict(isolated) for rank in range(2)}
    c = Trace("c", seed=9)
    for name, value in changes.items():
        setattr(c, name, value)
    return rewritten(write_bundle(folder, Trace("a"), b, c), handed_over)


def test_what_the_other_engine_did_is_not_to_blame(tmp_path: Path, opened: Opener) -> None:
    """b-1 ran another tactic on c, whose batch was cut at 45: what isolation did to b in those iterations is b's."""
    chain = opened(moved(tmp_path, batch=dict.fromkeys(range(45, 104), 12))).chain("b-1")
    assert [(link.kind, link.replica) for link in chain.links] == [
        ("batch_change", "c"), ("algo_churn", "c"), ("token_flip", "b"),
    ]  # fmt: skip
    assert (chain.root_cause, chain.links[0].iteration) == (None, 45)


def test_the_chain_goes_on_where_the_step_ran(tmp_path: Path, opened: Opener) -> None:
    """A rank of c dequantised, and kept it waiting until its batch was cut: that is what b-1 brought with it."""
    late = range(30, 50)
    chain = opened(
        moved(
            tmp_path,
            batch=dict.fromkeys(range(42, 104), 12),
            late_rank=1,
            extra_ms=dict.fromkeys(late, 5.0),
            rank_fields={1: {"dequant_cycles": lambda i: 40 if i in late else 0}},
        )
    ).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank, chain.root_cause.replica) == ("quant_stall", 1, "c")
    assert {link.replica for link in chain.links[:-1]} == {"c"}


def unnamed(record: Record) -> Record:
    return {k: v for k, v in record.items() if (k, v) != ("replica", "c")}


def test_a_replica_that_nothing_names_takes_no_others_fault(tmp_path: Path, opened: Opener) -> None:
    """Nothing tells where c-1 ran. Rank 1 of b dequantised as b ran fp8, in iterations of the same numbers."""
    window = range(70, 100)

    def fp8(i: int) -> str:
        return "fp8" if i in window else "bf16"

    calm = Trace("a", request_fields={"precision_path": lambda _: "bf16"})
    b, c = (Trace(name, seed=seed, flips={1: 85}, request_fields={"precision_path": fp8})
            for name, seed in (("b", 5), ("c", 9)))  # fmt: skip
    b.rank_fields = {1: {"precision_path": fp8, "dequant_cycles": lambda i: 40 if i in window else 0}}
    c.ranks_recorded = False
    incident = opened(rewritten(write_bundle(tmp_path, calm, b, c), unnamed))
    assert incident.chain("b-1").root_cause is not None
    chain = incident.chain("c-1")
    assert (chain.root_cause, chain.verdict) == (None, Verdict.PARTIAL)
    assert [link.kind for link in chain.links] == ["precision_change", "token_flip"]
    assert "replica in its s records" in [m.record for m in chain.missing]


@pytest.mark.parametrize("own", [False, True])
def test_a_fallback_is_its_own(tmp_path: Path, opened: Opener, own: bool) -> None:
    """Rank 1 of b fell back for want of workspace in iterations with the numbers of c-1's; or c-1's records say it."""
    calm, b = straggler()
    c = Trace("c", seed=9, batch=dict.fromkeys(range(82, 104), 12), flips={1: 85})
    short = {"expected_algo_id": "tile32", "fallback_reason": "workspace", "workspace_free_mb": 3.0}

    def change(record: Record) -> Record:
        if record["record"] == "s" and 82 <= record["iteration"] < 104:
            if record.get("rank") == 1 and record["replica"] == "b":
                record |= short
            if own and record.get("req_id") == "c-1":
                record |= short
        return unnamed(record)

    chain = opened(rewritten(write_bundle(tmp_path, calm, b, c), change)).chain("c-1")
    assert (chain.root_cause.kind if chain.root_cause else None) == ("workspace_fallback" if own else None)
