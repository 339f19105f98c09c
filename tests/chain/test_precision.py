"""Another precision than the reference's: named before the tactic that comes with it, and walked on from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Trace, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Verdict

Opener = Callable[..., Incident]
WINDOW = range(70, 100)


def fp8(i: int) -> str:
    return "fp8" if i in WINDOW else "bf16"


def traces(ranks: int, on: tuple[int, ...]) -> tuple[Trace, Trace]:
    """The ranks ``on`` dequantise from iteration 70; the steps run fp8, with its tactic; request 1 flips at 85."""
    calm = Trace("a", ranks=ranks, request_fields={"precision_path": lambda _: "bf16"})
    other = Trace("b", ranks=ranks, seed=1001, flips={1: 85}, request_fields={
        "precision_path": fp8, "algo_id": lambda i: "tile32-fp8" if i in WINDOW else "tile32",
        "margin": lambda i: 0.004 if i == 85 else 0.51 if i in WINDOW else 0.5,
    })  # fmt: skip
    for rank in range(ranks):
        other.rank_fields[rank] = {"precision_path": lambda i, rank=rank: fp8(i) if rank in on else "bf16"}
        if rank in on:
            other.rank_fields[rank]["dequant_cycles"] = lambda i: 40 + i % 3 if i in WINDOW else 0
    return calm, other


@pytest.mark.parametrize(("ranks", "on", "rank"), [(1, (0,), 0), (4, (2,), 2), (4, (0, 1, 2, 3), None)])
def test_precision_change(tmp_path: Path, opened: Opener, ranks: int, on: tuple[int, ...], rank: int | None) -> None:
    """The stall that came with fp8 is the root; the rank is named where it is the only one."""
    chain = opened(write_bundle(tmp_path, *traces(ranks, on))).chain("b-1")
    assert [link.kind for link in chain.links] == ["quant_stall", "precision_change", "token_flip"]
    assert chain.root_cause is not None
    assert chain.root_cause.rank == rank
    assert chain.verdict is Verdict.EXPLAINED
    assert chain.links[1].iteration == 85
    assert "because it ran fp8" in next(a.ruled_out for a in chain.alternatives if a.kind == "algo_churn")


def test_only_the_engine_saw_it(tmp_path: Path, opened: Opener) -> None:
    """Without records of ranks the engine's own view is enough, and no rank is named."""
    calm, other = traces(2, (1,))
    folder = write_bundle(tmp_path, calm, other)
    other.request_fields["dequant_cycles"] = lambda i: 40 + i % 3 if i in WINDOW else 0
    for trace in (calm, other):
        trace.ranks_recorded = False
    chain = opened(write_bundle(folder, calm, other)).chain("b-1")
    assert [link.kind for link in chain.links] == ["quant_stall", "precision_change", "token_flip"]
    assert chain.root_cause is not None
    assert chain.root_cause.rank is None


def test_precision_without_a_cause(tmp_path: Path, opened: Opener) -> None:
    """Where nothing rose with it, the chain begins at the change of precision."""
    calm, other = traces(2, ())
    chain = opened(write_bundle(tmp_path, calm, other)).chain("b-1")
    assert [link.kind for link in chain.links] == ["precision_change", "token_flip"]
    assert chain.root_cause is None
    assert chain.verdict is Verdict.PARTIAL
