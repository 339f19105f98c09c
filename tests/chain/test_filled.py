"""A cut of a batch that had filled: the fuller one took longer, and the scheduler answered to that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.filled import _held_since
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
    begun = {r["iteration"]: r["ts_ns"] for r in records_of(bundle) if r["record"] == "s"}
    add(bundle, [begun[i] + 1 for i in range(0, FILLS - 1, 10)] + [begun[FILLS] - 1000 * (k + 1) for k in range(came)])
    return opened(bundle).chain("b-1")


def records_of(bundle: Path) -> list[dict[str, Any]]:
    """What replica b recorded."""
    return [json.loads(line) for line in (bundle / "b.jsonl").read_text().splitlines()]


def add(bundle: Path, times: list[int]) -> None:
    """More requests of replica b, each admitted at one of the times."""
    records = records_of(bundle)
    x = next(r for r in records if r["record"] == "x")
    records += [x | {"req_id": f"more-{k}", "admitted_ns": at, "effective_text_sha256": f"{k:064x}",
                     "raw_prompt_sha256": f"{k:064x}"} for k, at in enumerate(times)]  # fmt: skip
    (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")


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


@pytest.mark.parametrize(("late_ms", "blamed"), [(5.0, False), (1.0, True)])
def test_a_rank_may_have_kept_it_small(tmp_path: Path, opened: Opener, late_ms: float, blamed: bool) -> None:
    """Rank 1 is late from two iterations before the cut to the flip: by half of the fuller batch's 6 ms, or by less."""
    traces = cut_after_filling(16, rank_extra_ms={1: dict.fromkeys(range(CUT - 2, 104), late_ms)})
    chain = asked(tmp_path, opened, traces, 16)
    assert (chain.root_cause is not None) == blamed
    if not blamed:
        (why,) = (a.ruled_out for a in chain.alternatives if a.kind == "load_surge")
        took = re.search(r"; rank 1 took ([\d.]+) ms more from the cut to the flip, the fuller batch ([\d.]+) ms", why)
        assert took is not None
        assert [float(ms) for ms in took.groups()] == [pytest.approx(5, abs=0.2), pytest.approx(6, abs=0.2)]


def test_arrivals_by_another_clock_are_not_ruled_out(tmp_path: Path, opened: Opener) -> None:
    """A gateway's clock is 10 s ahead, by it requests came after their first token: when they did it cannot tell."""
    bundle = write_bundle(tmp_path, *cut_after_filling(16, quiet=("queue_ms",)))
    begun = {r["iteration"]: r["ts_ns"] for r in records_of(bundle) if r["record"] == "s"}
    add(bundle, [begun[FILLS] - 1000 * (k + 1) for k in range(16)])
    ahead = [r | {"admitted_ns": r["admitted_ns"] + 10**10} if r["record"] == "x" else r for r in records_of(bundle)]
    (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, ahead)) + "\n")
    chain = opened(bundle).chain("b-1")
    assert chain.root_cause is None
    assert "load_surge" not in [a.kind for a in chain.alternatives]
    assert any(m.what.startswith("how many requests arrived") for m in chain.missing)


def test_without_more_arrivals_nobody_is_blamed(tmp_path: Path, opened: Opener) -> None:
    """The same fuller batch, and nobody came: what filled it no record shows."""
    chain = asked(tmp_path, opened, cut_after_filling(0), 0)
    assert chain.root_cause is None
    assert chain.links[0].kind == "batch_change"


def test_isolation_that_changed_in_the_same_iteration(tmp_path: Path, opened: Opener) -> None:
    """The same surge, and isolation becomes strict in the iteration of the cut: it is that."""
    traces = cut_after_filling(16)
    isolation = {"isolation_mode": lambda i: "strict" if i >= CUT else "shared"}
    traces[1].rank_fields = {rank: dict(isolation) for rank in range(2)}
    traces[1].request_fields = dict(isolation)
    chain = asked(tmp_path, opened, traces, 16)
    assert [link.kind for link in chain.links] == ["isolation_change", "batch_change", "algo_churn", "token_flip"]
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["step_stretch"] == f"isolation became strict in that very iteration, {CUT}"


def test_those_who_came_while_it_filled_count(tmp_path: Path, opened: Opener) -> None:
    """It stands at 33 first, nearer to 40 than to 24, and at 40 one iteration later: nine came, then seven."""
    traces = cut_after_filling(16)
    traces[1].batch[FILLS] = 33
    bundle = write_bundle(tmp_path, *traces)
    begun = {r["iteration"]: r["ts_ns"] for r in records_of(bundle) if r["record"] == "s"}
    add(bundle, [begun[i] + 1 for i in range(0, FILLS - 1, 10)]
        + [begun[i] - 1000 * (k + 1) for i, came in ((FILLS, 9), (FILLS + 1, 7)) for k in range(came)])  # fmt: skip
    root = opened(bundle).chain("b-1").links[0]
    assert root.kind == "load_surge"
    assert "16 requests came" in root.summary
    assert "the batch rose by 16" in next(t.says for t in root.tests if t.name == "counterfactual")


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


def cut_again_after_a_stall(**changes: Any) -> tuple[Trace, Trace]:
    """The straggler of 70 to 99 has the batch cut at 82; at 100 those that waited fill it to 40, at 110 it is cut.

    What a sequence more takes shows when calm: 30 of them for ten iterations, 0.375 ms each beyond 24.
    """
    calm, disturbed = straggler()
    fuller, full = range(20, 30), range(100, 110)
    disturbed.flips, disturbed.aside = {1: 112}, {5: range(82, full.start)}
    disturbed.batch |= dict.fromkeys(fuller, 30) | dict.fromkeys(full, 40) | dict.fromkeys(range(full.stop, 120), 12)
    disturbed.all_extra_ms = dict.fromkeys(fuller, 6 * 0.375) | dict.fromkeys(full, 16 * 0.375)
    for name, value in changes.items():
        setattr(disturbed, name, value)
    return calm, disturbed


def test_the_backlog_of_a_stall_leads_back_to_it(tmp_path: Path, opened: Opener) -> None:
    """The second cut is of a batch that the first one's backlog had filled: what led to the first led to it."""
    chain = opened(write_bundle(tmp_path, *cut_again_after_a_stall())).chain("b-1")
    assert [link.kind for link in chain.links][-4:] == [
        "collective_inflation", "batch_change", "algo_churn", "token_flip",
    ]  # fmt: skip
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
    cut = chain.links[-3]
    assert (cut.iteration, cut.facts["stop"]) == (110, 82)
    assert "cut the batch from 40 to 12 at iteration 110; it had filled with those held back since the cut at 82" in (
        cut.summary
    )


@pytest.mark.slow
@pytest.mark.parametrize("why", [{"aside": {}}, {"all_extra_ms": {}}], ids=["nobody waited", "it took no longer"])
def test_a_second_cut_by_itself(tmp_path: Path, opened: Opener, why: dict[str, Any]) -> None:
    """Nobody had waited, or the fuller batch took its usual time: nothing leads from the second cut to the first."""
    chain = opened(write_bundle(tmp_path, *cut_again_after_a_stall(**why))).chain("b-1")
    assert chain.root_cause is None
    assert chain.links[0].kind == "batch_change"


def test_a_fuller_batch_that_was_borne(tmp_path: Path, opened: Opener) -> None:
    """The batch stands at 40 for 32 iterations, 2.4 ms longer each; it is cut when a rank is late by 5 ms more."""
    calm, disturbed = straggler()
    fuller, full = range(20, 26), range(50, 82)
    disturbed.batch |= dict.fromkeys(fuller, 30) | dict.fromkeys(full, 40)
    disturbed.all_extra_ms = dict.fromkeys(fuller, 6 * 0.15) | dict.fromkeys(full, 16 * 0.15)
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)


@pytest.mark.parametrize(
    ("sizes", "waiting", "cut"),
    [
        ([24, 24, 12, 12, 40], [0, 0, 3, 3, 0], 2),
        ([24, 24, 12, 12, 40], [0, 0, 3, 0, 0], None),  # nobody waited to the end
        ([12, 12, 12, 12, 40], [3, 3, 3, 3, 0], None),  # the recording begins with a queue
        ([24, 12, 12, 12, 40], [0, 3, 3, 3, 0], 1),
    ],
)
def test_since_when_they_were_held_back(sizes: list[int], waiting: list[int], cut: int | None) -> None:
    """The cut is where the batch fell below 24, and from it on some waited until it filled."""
    rows = pl.DataFrame({"batch_size": sizes, "waiting": waiting})
    assert _held_since(rows, len(sizes) - 1, 24) == cut


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["admitted_ns", "gpu_ms"])
def test_without_the_record_no_claim(tmp_path: Path, opened: Opener, hidden: str) -> None:
    """Without times of arrival, or times of iterations, the surge is not claimed."""
    chain = asked(tmp_path, opened, cut_after_filling(16, quiet=(hidden,)), 16 if hidden == "gpu_ms" else 0)
    assert chain.root_cause is None
