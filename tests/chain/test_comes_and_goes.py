"""Causes that come and go: a batch that is cut and filled again, and batches that take turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.kinds.batch_change import _Run

Opener = Callable[..., Incident]

# Eight iterations of a stall, then the batch is cut to 12 for seven; full again it runs calmly until the next.
STALLS = [range(60, 68), range(95, 103), range(126, 134)]
CUTS = [range(68, 75), range(103, 110), range(134, 150)]


def three_stalls(**changes: object) -> tuple[Trace, Trace]:
    """Rank 1 dequantises and is 6 ms late in STALLS; request 1 flips in the last of the CUTS."""
    calm, disturbed = Trace("a", iterations=150), Trace("b", iterations=150, seed=1001, late_rank=1, flips={1: 138})
    stalled = {i for stall in STALLS for i in stall}
    disturbed.extra_ms = dict.fromkeys(stalled, 6.0)
    disturbed.rank_fields = {1: {"dequant_cycles": lambda i: 40 if i in stalled else 0}}
    disturbed.batch = {i: 12 for cut in CUTS for i in cut}
    for name, value in changes.items():
        setattr(disturbed, name, value)
    return calm, disturbed


def test_the_last_of_three_stalls(tmp_path: Path, opened: Opener) -> None:
    """Of the full batches since the first stall most were calm; those that ran into the third cut were not."""
    chain = opened(write_bundle(tmp_path, *three_stalls())).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
    late = next(link for link in chain.links if link.kind == "straggler_rank")
    assert late.facts["window"] == [STALLS[-1].start, CUTS[-1].start]
    assert late.facts["calm"] == [0, STALLS[0].start]
    assert late.facts["excess_ms"] == pytest.approx(6.0, abs=0.3)


def test_it_is_one_incident(tmp_path: Path, opened: Opener) -> None:
    """Requests flip in the first and in the last of the cuts: what made them flip is one cause that came again."""
    incident = opened(write_bundle(tmp_path, *three_stalls(flips={3: 70, 1: 138})))
    (one,) = incident.scan().incidents
    assert (one.kind, one.rank, sorted(one.requests)) == ("quant_stall", 1, ["b-1", "b-3"])


def test_a_cut_that_no_stall_led_to(tmp_path: Path, opened: Opener) -> None:
    """The same two stalls and cuts, and a third cut after calm iterations: the stalls before are not blamed for it."""
    two = {i for stall in STALLS[:2] for i in stall}
    traces = three_stalls(extra_ms=dict.fromkeys(two, 6.0),
                          rank_fields={1: {"dequant_cycles": lambda i: 40 if i in two else 0}})  # fmt: skip
    chain = opened(write_bundle(tmp_path, *traces)).chain("b-1")
    assert chain.root_cause is None
    assert chain.links[0].kind == "batch_change"


def test_what_began_too_late_hides_no_other(tmp_path: Path, opened: Opener) -> None:
    """Pins take the pool from 70 on, when the rank is late first; blocks are recomputed from 72: not what began it."""
    calm, disturbed = straggler()
    memory = {"vram_free_mb": 9.0, "kv_pool_total_mb": 16.0}
    disturbed.rank_fields = {
        0: {**memory, "isr_pinned_mb": 0.0},
        1: {
            **memory,
            "isr_pinned_mb": lambda i: 9.0 if 70 <= i < 100 else 0.0,
            "recompute_tokens": lambda i: 512 if 72 <= i < 100 else 0,
        },
    }
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("memory_evaporation", 1)
    assert [link.kind for link in chain.links[:2]] == ["memory_evaporation", "straggler_rank"]


def test_batches_that_take_turns(tmp_path: Path, opened: Opener) -> None:
    """Under strict isolation two tenants take turns from 70 on, with 12 and 24 sequences, all slower from 80 on."""
    strict = range(70, 120)
    disturbed = Trace("b", seed=1002, flips={1: 90})
    disturbed.batch = dict.fromkeys(strict[::2], 12)
    disturbed.all_extra_ms = dict.fromkeys(range(80, 120), 1.5)
    isolation = {"isolation_mode": lambda i: "strict" if i in strict else "shared"}
    disturbed.rank_fields = {rank: dict(isolation) for rank in range(2)}
    disturbed.request_fields = dict(isolation)
    chain = opened(write_bundle(tmp_path, Trace("a"), disturbed)).chain("b-1")
    assert [link.kind for link in chain.links] == ["isolation_change", "batch_change", "algo_churn", "token_flip"]
    assert (chain.links[0].iteration, chain.links[1].iteration) == (70, 90)
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["step_stretch"] == "batches took turns: one of 24 ran for a single iteration between others"


@pytest.mark.parametrize(
    ("sizes", "since", "cut"),
    [([26, 12, 12, 12], 1, True), ([26, 12, 11, 12], 3, True), ([20, 26, 26, 26], 2, False), ([26, 26], 0, False)],
)
def test_whether_a_cut_held_them_back(sizes: list[int], since: int, cut: bool) -> None:
    """Requests wait after a cut, or some iterations later; at a limit that stood before, no cut keeps them waiting."""
    run = _Run(pl.DataFrame({"batch_size": [*sizes, 46]}), "43", len(sizes))
    assert run.cut_before(since, len(sizes)) is cut
