"""The canonical chain on a hand-built incident, and what becomes of it when evidence is taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.base.errors import UnknownRequest
from postmortem.chain.model import Grade, Verdict

Opener = Callable[..., Incident]
WHOLE = ["quant_stall", "straggler_rank", "collective_inflation", "batch_change", "algo_churn", "token_flip"]


@pytest.mark.parametrize(("ranks", "late"), [(2, 0), (2, 1), (4, 2), (8, 5)])
def test_whole_chain(tmp_path: Path, opened: Opener, ranks: int, late: int) -> None:
    """Any rank of any number of ranks is named, with every link from the stall to the flip."""
    incident = opened(write_bundle(tmp_path, *straggler(ranks, late)))
    chain = incident.chain("b-1")
    assert [link.kind for link in chain.links] == WHOLE
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank, chain.root_cause.replica) == ("quant_stall", late, "b")
    assert chain.verdict is Verdict.EXPLAINED
    assert chain.flip is not None
    assert (chain.flip.step, chain.flip.token_id, chain.flip.reference_token_id) == (85, 1146, 146)
    by_kind = {link.kind: link for link in chain.links}
    assert by_kind["straggler_rank"].value == pytest.approx(5.0, abs=0.3)  # the builder added 5 ms
    assert (by_kind["batch_change"].baseline, by_kind["batch_change"].value) == (24, 12)
    assert by_kind["batch_change"].iteration == 82
    assert by_kind["collective_inflation"].iteration == 70


def test_reference_is_the_calm_replica(tmp_path: Path, opened: Opener) -> None:
    """Of two requests with the same text the one on the undisturbed replica is the reference."""
    incident = opened(write_bundle(tmp_path, *straggler()))
    assert incident.chain("b-3").reference == "a-3"
    calmest = incident.chain("a-3")
    assert calmest.verdict is Verdict.NO_REFERENCE
    assert "1 of 1 differ from it, b-3 the first" in calmest.missing[0].what
    assert "ask for b-3" in calmest.missing[0].record


def test_no_divergence(tmp_path: Path, opened: Opener) -> None:
    """A request whose tokens are its reference's has no chain."""
    chain = opened(write_bundle(tmp_path, *straggler())).chain("b-0")
    assert chain.verdict is Verdict.NO_DIVERGENCE
    assert chain.links == ()
    assert chain.root_cause is None


def test_unknown_request(tmp_path: Path, opened: Opener) -> None:
    """An unknown request is an error that names near ones."""
    with pytest.raises(UnknownRequest, match=r"b-9.*did you mean"):
        opened(write_bundle(tmp_path, *straggler())).chain("b-9")


def test_late_only_before_the_batch_changed(tmp_path: Path, opened: Opener) -> None:
    """A rank that was in time again after the cut was late before it: thirty iterations later do not unsay that."""
    late = range(70, 82)
    traces = straggler(
        extra_ms=dict.fromkeys(late, 5.0),
        rank_fields={1: {"dequant_cycles": lambda i: 40 if i in late else 0}},
        batch=dict.fromkeys(range(82, 119), 12),
        flips={1: 116},
    )
    chain = opened(write_bundle(tmp_path, *traces)).chain("b-1")
    assert [link.kind for link in chain.links] == WHOLE
    assert chain.links[0].rank == 1


def test_constant_skew_is_no_straggler(tmp_path: Path, opened: Opener) -> None:
    """A rank that is always 3 % slower is not to blame when all ranks slow down alike."""
    calm = Trace("a")
    slow = Trace(
        "b",
        skew_ms=(0.0, 0.25),
        all_extra_ms=dict.fromkeys(range(70, 100), 5.0),
        batch=dict.fromkeys(range(82, 104), 12),
        flips={1: 85},
        seed=1001,
    )
    chain = opened(write_bundle(tmp_path, calm, slow)).chain("b-1")
    assert chain.root_cause is None
    assert "straggler_rank" not in [link.kind for link in chain.links]
    assert [link.kind for link in chain.links] == ["step_stretch", "batch_change", "algo_churn", "token_flip"]
    assert chain.verdict is Verdict.PARTIAL


def test_straggler_without_a_known_cause(tmp_path: Path, opened: Opener) -> None:
    """A late rank whose records show nothing unusual is named, but no root cause is claimed."""
    calm, late = straggler(rank_fields={})
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert chain.links[0].kind == "straggler_rank"
    assert chain.links[0].rank == 1
    assert chain.root_cause is None
    assert chain.verdict is Verdict.PARTIAL


def test_dequantisation_on_another_rank_is_not_the_cause(tmp_path: Path, opened: Opener) -> None:
    """Cycles on a rank that is not late explain nothing."""
    calm, late = straggler(rank_fields={0: {"dequant_cycles": lambda i: 40 if 70 <= i < 100 else 0}})
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert chain.root_cause is None
    assert any(a.kind == "quant_stall" for a in chain.alternatives)


def test_slow_fabric_is_no_straggler(tmp_path: Path, opened: Opener) -> None:
    """Transfers that take longer once all have arrived are the fabric's, and no rank is named."""
    calm = Trace("a")
    slow = Trace(
        "b",
        transfer_extra_ms=dict.fromkeys(range(70, 100), 4.0),
        batch=dict.fromkeys(range(82, 104), 12),
        flips={1: 85},
        seed=1001,
    )
    chain = opened(write_bundle(tmp_path, calm, slow)).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("fabric_congestion", None)


def test_one_rank_that_leaves_late_is_no_slow_fabric(tmp_path: Path, opened: Opener) -> None:
    """A rank that loses its core inside a collective leaves late by itself: the fabric is not blamed."""
    calm, late = straggler(extra_ms={}, rank_fields={}, leaves_late_ms=dict.fromkeys(range(70, 100), 5.0))
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert chain.root_cause is None


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        (("dequant_cycles",), "straggler_rank"),
        (("rank",), "collective_inflation"),
        (("comm_ms", "sync_ms", "rank"), "step_stretch"),
        (("gpu_ms", "comm_ms", "sync_ms"), "batch_change"),
        (("batch_size",), "algo_churn"),
        (("algo_id",), "token_flip"),
    ],
)
def test_evidence_taken_out(tmp_path: Path, opened: Opener, taken: tuple[str, ...], first: str) -> None:
    """Where the evidence ends, the chain ends, claims no root cause, and names the record that would go on."""
    chain = opened(write_bundle(tmp_path, *straggler(quiet=taken))).chain("b-1")
    assert chain.root_cause is None
    assert chain.links[0].kind == first
    assert chain.verdict in {Verdict.PARTIAL, Verdict.UNEXPLAINED}
    assert chain.missing


def test_every_link_names_rows(tmp_path: Path, opened: Opener) -> None:
    """No claim without rows: each link's evidence can be run again and gives the rows that it says."""
    incident = opened(write_bundle(tmp_path, *straggler()))
    for link in incident.chain("b-1").links:
        assert any(e.rows > 0 for e in link.evidence)
        for e in link.evidence:
            assert incident.query(e.query, **e.params).height == e.rows
        assert link.grade in {Grade.PROVEN, Grade.SUPPORTED}
        assert {t.name for t in link.tests} >= {"order", "mechanism"}


def test_two_runs_are_equal(tmp_path: Path, opened: Opener) -> None:
    """The same bundle gives the same chain, to the last digit."""
    bundle = write_bundle(tmp_path, *straggler())
    assert opened(bundle).chain("b-1").to_dict() == opened(bundle).chain("b-1").to_dict()


def test_lone_rank(tmp_path: Path, opened: Opener) -> None:
    """With one rank there is no collective to wait in: the stall stretches the step itself."""
    calm, late = straggler(ranks=1, late=0)
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert [link.kind for link in chain.links] == ["quant_stall", "step_stretch", *WHOLE[3:]]
    assert chain.root_cause is not None
    assert chain.root_cause.rank in {0, None}


def test_dequantisation_on_all_ranks_does_not_make_one_late(tmp_path: Path, opened: Opener) -> None:
    """Cycles that the peers ran as well do not tell why one rank was late."""
    busy = {"dequant_cycles": lambda i: 40 if 70 <= i < 100 else 0}
    calm, late = straggler(ranks=4, late=2, rank_fields=dict.fromkeys(range(4), busy))
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert chain.links[0].kind == "straggler_rank"
    assert chain.root_cause is None
    assert any(a.kind == "quant_stall" for a in chain.alternatives)


def test_another_text_is_another_input(tmp_path: Path, opened: Opener) -> None:
    """Compared with a request that saw another text, the input is the finding: no plan is blamed for it."""
    chain = opened(write_bundle(tmp_path, *straggler())).chain("b-1", vs="a-2")
    assert chain.verdict is Verdict.DIFFERENT_INPUT
    assert chain.flip is not None
    assert [link.kind for link in chain.links] == ["token_flip"]
    assert chain.root_cause is None
    assert "another effective text, to another raw prompt" in chain.narrative


@pytest.mark.parametrize("gone", ["effective_text_sha256", "decode_cfg_applied"])
def test_input_that_cannot_be_proven_equal(tmp_path: Path, opened: Opener, gone: str) -> None:
    """Where x is not recorded on both sides, nothing is called explained, and the record is named."""
    chain = opened(write_bundle(tmp_path, *straggler(quiet=(gone,)))).chain("b-1", vs="a-1")
    assert chain.links[-1].kind == "token_flip"
    assert chain.links[-1].grade is Grade.CIRCUMSTANTIAL
    assert {t.name: t.holds for t in chain.links[-1].tests}["mechanism"] is None
    assert chain.verdict is Verdict.PARTIAL
    assert any(gone in m.record for m in chain.missing)


def test_a_cause_that_began_before_it_told(tmp_path: Path, opened: Opener) -> None:
    """Dequantisation from 67 on makes rank 1 late from 70 on: the cause is dated 67, not to a lone cycle at 64."""
    calm, disturbed = straggler()
    disturbed.rank_fields = {1: {"dequant_cycles": lambda i: 40 if 67 <= i < 100 or i == 64 else 0}}
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert [(link.kind, link.iteration) for link in chain.links[:3]] == [
        ("quant_stall", 67), ("straggler_rank", 70), ("collective_inflation", 70),
    ]  # fmt: skip


def test_collectives_that_took_no_time_when_calm(tmp_path: Path, opened: Opener) -> None:
    """Times of calm collectives round to 0: nothing is so many times that, and what they took more is told in ms."""
    calm, late = straggler()
    records = late.records

    def rounded() -> list[dict[str, Any]]:
        quick = {"comm_ms": 0.0, "sync_ms": 0.0}
        return [
            r | quick | {"gpu_ms": r["gpu_ms"] - r["comm_ms"]} if "gpu_ms" in r and r["iteration"] < 70 else r
            for r in records()
        ]

    late.records = rounded  # type: ignore[method-assign]
    chain = opened(write_bundle(tmp_path, calm, late)).chain("b-1")
    assert [link.kind for link in chain.links] == WHOLE
    # the builder's 1 ms of transfer, and 5 ms of waiting
    assert re.search(r"collectives took 6(\.0\d)? ms more than their calm median for 12 iterations", chain.narrative)
    said = json.dumps(chain.to_dict())
    assert not re.search(r"\b(nan|inf|infinity)\w?\b", said, re.IGNORECASE)
