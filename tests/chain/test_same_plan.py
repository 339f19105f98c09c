"""A flip although every step ran the reference's tactic: what else wrote keys and values is named, not ruled out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import CALM, OTHER, Trace, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain, Verdict

Opener = Callable[..., Incident]
Record = dict[str, Any]


def chain_of(folder: Path, opened: Opener, change: Callable[[Record], Record] = dict, **changes: Any) -> Chain:
    """b-1 flips at step 70; every step of it ran tile32, as its reference's did."""
    b = Trace("b", seed=5, flips={1: 70}, **changes)
    bundle = write_bundle(folder, Trace("a"), b)
    for file in bundle.glob("*.jsonl"):
        records = [change(json.loads(line)) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(r) + "\n" for r in records))
    chain = opened(bundle).chain("b-1")
    assert (chain.verdict, chain.root_cause) == (Verdict.UNEXPLAINED, None)
    return chain


def why_not(chain: Chain) -> str | None:
    """Why another tactic is ruled out; None where it is not."""
    return next((a.ruled_out for a in chain.alternatives if a.kind == "algo_churn"), None)


def test_no_two_plans_no_noise_between_them(tmp_path: Path, opened: Opener) -> None:
    """What moved the margin is not looked for between two plans where one ran."""
    chain = chain_of(tmp_path, opened)
    assert why_not(chain) == "all 71 steps up to the flip ran the reference's tactic"
    size = next(t for t in chain.links[-1].tests if t.name == "size")
    assert (size.holds, size.figure) == (None, 0.008)  # 0.004 on either side
    assert "every step up to it ran the reference's plan" in size.says
    (kernels,) = [m for m in chain.missing if "0.008" in m.what]
    assert kernels.record.startswith("the kernels of both")


def test_two_equal_logits(tmp_path: Path, opened: Opener) -> None:
    """Margin 0 on both sides, as logits of few bits often have it: nothing moved, and no kernel need differ."""

    def tied(record: Record) -> Record:
        at_flip = record["record"] == "s" and record.get("step") == 70 and record["req_id"].endswith("-1")
        return record | {"margin": 0.0} if at_flip else record

    chain = chain_of(tmp_path, opened, tied)
    size = next(t for t in chain.links[-1].tests if t.name == "size")
    assert (size.holds, size.figure) == (None, 0.0)
    assert "both tokens' logits were equal" in size.says
    assert chain.missing[0].what == "which of two equal logits is taken"
    assert not [m for m in chain.missing if "moved the margin" in m.what]


KEY = {"prefix_cache_used": True, "prefix_cache_key": "k1"}
NONE = {"prefix_cache_used": False}
SOME = {"prefix_cache_used": True}


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [(KEY, NONE, "took k1 of it from the prefix cache, a-1 none"), (NONE, SOME, "a-1 some"), (SOME, {}, None),
     (KEY, KEY, None)],
)  # fmt: skip
def test_a_reused_prefix(tmp_path: Path, opened: Opener, mine: Record, theirs: Record, said: str | None) -> None:
    """One took keys and values that another request's iterations had written: by which tactic, nothing tells."""
    chain = chain_of(
        tmp_path, opened, lambda r: r | (mine if r["replica"] == "b" else theirs) if r["record"] == "x" else r
    )
    prompt = [m.what for m in chain.missing if "which tactic computed its prompt" in m.what]
    assert (why_not(chain) is None) is (said is not None)
    assert all(said is not None and said in what for what in prompt)
    assert len(prompt) == (said is not None)


@pytest.mark.parametrize("tactic", [CALM, OTHER])
def test_set_aside_and_maybe_computed_anew(tmp_path: Path, opened: Opener, tactic: str) -> None:
    """b-1 was put aside after step 49, while the batch ran ``tactic``: what computed it anew may have run that."""

    def change(record: Record) -> Record:
        if record.get("replica") == "b" and 50 <= record.get("iteration", 0) < 60:
            return record | {"algo_id": tactic}
        return record

    chain = chain_of(tmp_path, opened, change, aside={1: range(50, 60)})
    anew = [m for m in chain.missing if "computed anew" in m.what]
    assert (why_not(chain) is None) is (tactic == OTHER)
    assert [m.record for m in anew] == ["recompute_tokens in its s records"] * (tactic == OTHER)
    assert all("after step 49: 10 of 10 iterations" in m.what for m in anew)
