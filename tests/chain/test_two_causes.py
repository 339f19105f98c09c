"""Two causes at once: both are reported, the stronger as the root, the other as contributing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident

Opener = Callable[..., Incident]
WINDOW = range(70, 100)


def two_ranks(weak: float) -> tuple[Trace, Trace]:
    """Rank 1 dequantises and is 5 ms late; rank 3 recomputes evicted blocks and is ``weak`` ms late."""
    calm, disturbed = straggler(ranks=6, late=1)
    disturbed.rank_extra_ms = {3: dict.fromkeys(WINDOW, weak)}
    disturbed.rank_fields[3] = {"recompute_tokens": lambda i: 512 if i in WINDOW else 0}
    return calm, disturbed


@pytest.mark.slow
@pytest.mark.parametrize("weak", [4.8, 5.2])
def test_two_late_ranks(tmp_path: Path, opened: Opener, weak: float) -> None:
    """Two ranks about equally late in the same iterations: each holds the others up, neither is let off."""
    chain = opened(write_bundle(tmp_path, *two_ranks(weak))).chain("b-1")
    assert chain.root_cause is not None
    named = [(c.kind, c.rank) for c in (chain.root_cause, *chain.contributing)]
    assert sorted(named) == [("kv_eviction", 3), ("quant_stall", 1)]
    assert named[0] == (("kv_eviction", 3) if weak > 5 else ("quant_stall", 1))
    assert f"rank {named[0][1]} (one of 2 late ranks) kept the others waiting" in chain.narrative


def test_the_later_rank_is_the_root(tmp_path: Path, opened: Opener) -> None:
    """A rank that is a little late behind one much later: what is left without the one, the other explains."""
    chain = opened(write_bundle(tmp_path, *two_ranks(0.8))).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
    assert [(c.kind, c.rank) for c in chain.contributing] == [("kv_eviction", 3)]


def test_late_rank_and_slow_fabric(tmp_path: Path, opened: Opener) -> None:
    """A late rank and slow transfers, half of the inflation each: one is the root, the other contributes."""
    calm, disturbed = straggler(ranks=4, late=2)
    disturbed.transfer_extra_ms = dict.fromkeys(WINDOW, 4.0)
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 2)
    assert [(c.kind, c.rank) for c in chain.contributing] == [("fabric_congestion", None)]


def test_what_calm_iterations_vary_by_contributes_nothing(tmp_path: Path, opened: Opener) -> None:
    """Transfers that take 0.05 ms more, beside a rank 5 ms late: half of the calm iterations lie farther off."""
    late = range(60, 112)
    calm, disturbed = straggler(ranks=4, late=2, flips={1: 106}, batch=dict.fromkeys(range(104, 118), 12))
    disturbed.extra_ms, disturbed.transfer_extra_ms = dict.fromkeys(late, 5.0), dict.fromkeys(late, 0.05)
    disturbed.rank_fields = {2: {"dequant_cycles": lambda i: 40 if i in late else 0}}
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 2)
    assert not chain.contributing
    (why,) = (a.ruled_out for a in chain.alternatives if a.kind == "fabric_congestion")
    assert why.startswith("seen, but weaker")
