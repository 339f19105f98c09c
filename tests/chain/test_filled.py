"""A cut that a surge led to: the batch filled, the fuller one took longer, and the scheduler answered to that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Trace, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]

FILLS, CUT = 70, 80  # the batch stands at 40 from the one iteration to the other, then at 12; 24 before


def cut_after_filling(came: int, **changes: object) -> tuple[Trace, Trace]:
    """Replica b's batch fills from 24 to 40 at 70, its iterations take 6 ms longer, it is cut to 12 at 80."""
    disturbed = Trace("b", seed=1001, flips={1: 90})
    disturbed.batch = dict.fromkeys(range(FILLS, CUT), 40) | dict.fromkeys(range(CUT, 104), 12)
    disturbed.all_extra_ms = dict.fromkeys(range(FILLS, CUT), 6.0)
    for name, value in changes.items():
        setattr(disturbed, name, value)
    return Trace("a"), disturbed


def asked(folder: Path, opened: Opener, traces: tuple[Trace, Trace], came: int) -> Chain:
    """The chain of b-1, where one request came in every tenth iteration, and ``came`` just before the batch filled."""
    bundle = write_bundle(folder, *traces)
    path = bundle / "b.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    begun = {r["iteration"]: r["ts_ns"] for r in records if r["record"] == "s"}
    times = [begun[i] + 1 for i in range(0, FILLS - 1, 10)] + [begun[FILLS] - 1000 * (k + 1) for k in range(came)]
    x = next(r for r in records if r["record"] == "x")
    records += [x | {"req_id": f"more-{k}", "admitted_ns": at, "effective_text_sha256": f"{k:064x}",
                     "raw_prompt_sha256": f"{k:064x}"} for k, at in enumerate(times)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return opened(bundle).chain("b-1")


def test_the_surge_is_the_root(tmp_path: Path, opened: Opener) -> None:
    """Sixteen came at once where one comes in ten iterations, and the batch rose by sixteen."""
    chain = asked(tmp_path, opened, cut_after_filling(16), 16)
    assert [link.kind for link in chain.links] == ["load_surge", "batch_change", "algo_churn", "token_flip"]
    root, cut = chain.links[:2]
    assert (root.iteration, str(root.grade), cut.iteration) == (FILLS, "proven", CUT)
    # 8 and 1 ms and the jitter of the later of two ranks, 0.17 ms in the mean, when calm; 6 ms more when fuller: 1.65
    assert "the batch filled from 24 to 40, and its iterations took 1.7x the usual time" in root.summary
    assert (cut.facts["before"], cut.facts["after"]) == (40, 12)
    counterfactual = next(t for t in root.tests if t.name == "counterfactual")
    assert counterfactual.figure == pytest.approx(1.0, abs=0.02)  # nothing else took longer
    assert "arrivals outran service: 16 requests came within" in chain.narrative.replace("Arrivals", "arrivals")


def test_without_more_arrivals_nobody_is_blamed(tmp_path: Path, opened: Opener) -> None:
    """The same fuller batch, and nobody came: what filled it no record shows."""
    chain = asked(tmp_path, opened, cut_after_filling(0), 0)
    assert chain.root_cause is None
    assert chain.links[0].kind == "batch_change"


@pytest.mark.slow
def test_too_few_for_the_rise(tmp_path: Path, opened: Opener) -> None:
    """Seven came, the batch rose by sixteen: less than half of it is theirs."""
    chain = asked(tmp_path, opened, cut_after_filling(7), 7)
    assert chain.root_cause is None
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert "arrivals do not account for that" in why["load_surge"]


def test_what_was_long_before_is_not_the_fuller_batch(tmp_path: Path, opened: Opener) -> None:
    """Iterations took 6 ms longer for twenty iterations before the batch filled, and no longer then: not its doing."""
    slow = dict.fromkeys(range(FILLS - 20, CUT), 6.0)
    chain = asked(tmp_path, opened, cut_after_filling(16, all_extra_ms=slow), 16)
    assert chain.root_cause is None
    assert chain.links[0].kind == "step_stretch"
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert "0 % of that goes at the usual size" in why["load_surge"]


@pytest.mark.slow
def test_a_fuller_batch_that_took_no_longer(tmp_path: Path, opened: Opener) -> None:
    """The batch filled and was cut, and its iterations took their usual time: load is no reason."""
    chain = asked(tmp_path, opened, cut_after_filling(16, all_extra_ms={}), 16)
    assert chain.root_cause is None


def test_cut_again(tmp_path: Path, opened: Opener) -> None:
    """Cut, let in again, fuller than usual and cut again: those who came had come before the first cut."""
    again = range(CUT + 8, CUT + 18)
    traces = cut_after_filling(16, flips={1: again.stop + 3}, aside={5: range(CUT, again.start)})
    traces[1].batch |= dict.fromkeys(again, 40)
    traces[1].all_extra_ms |= dict.fromkeys(again, 6.0)
    chain = asked(tmp_path, opened, traces, 16)
    root, cut = chain.links[:2]
    assert (root.kind, cut.kind) == ("load_surge", "batch_change")
    assert (root.iteration, cut.iteration) == (FILLS, again.stop)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["admitted_ns", "gpu_ms"])
def test_without_the_record_no_claim(tmp_path: Path, opened: Opener, hidden: str) -> None:
    """Without times of arrival, or times of iterations, the surge is not claimed."""
    chain = asked(tmp_path, opened, cut_after_filling(16, quiet=(hidden,)), 16 if hidden == "gpu_ms" else 0)
    assert chain.root_cause is None
