"""A batch that rose: by those who came, by iterations that took longer, or by nobody knows what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Trace, write_bundle

from postmortem.api import Incident
from postmortem.chain import model
from postmortem.chain.model import Chain
from tests.chain.test_filled import add, records_of

Opener = Callable[..., Incident]
RISES = 70  # the batch stands at 12 before and at 24 from there on, which runs another tactic


def asked(
    folder: Path,
    opened: Opener,
    came: int,
    longer_ms: float = 0.0,
    quiet: tuple[str, ...] = (),
    elsewhere: bool = False,
) -> Chain:
    """The chain of b-1: one request came in every tenth iteration, and ``came`` just before the batch rose.

    From iteration 50 on all ranks compute ``longer_ms`` longer. ``elsewhere``: those that came, came to replica a.
    """
    risen = Trace("b", seed=1001, full_batch=12, flips={1: 85}, quiet=quiet)
    risen.batch = dict.fromkeys(range(RISES, 104), 24)
    risen.all_extra_ms = dict.fromkeys(range(50, 120), longer_ms)
    bundle = write_bundle(folder, Trace("a", full_batch=12), risen)
    begun = {r["iteration"]: r["ts_ns"] for r in records_of(bundle) if r["record"] == "s"}
    if not quiet:
        add(bundle, [begun[i] + 1 for i in range(0, RISES, 10)] + [begun[RISES] - 1000 * (k + 1) for k in range(came)])
    if elsewhere:
        lines = [json.loads(line) for line in (bundle / "b.jsonl").read_text().splitlines()]
        for r in lines:
            if r.get("req_id") in {f"more-{k}" for k in range(7, 7 + came)}:
                r["replica"] = "a"
        (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return opened(bundle).chain("b-1")


def share_of(chain: Chain) -> model.Test:
    """What the first link's counterfactual says."""
    return next(t for t in chain.links[0].tests if t.name == "counterfactual")


def test_twelve_came_and_it_rose_by_twelve(tmp_path: Path, opened: Opener) -> None:
    """Those that came while the iteration before the rise ran joined it: the rise is from what it was without them."""
    chain = asked(tmp_path, opened, 12)
    assert [link.kind for link in chain.links] == ["load_surge", "batch_change", "algo_churn", "token_flip"]
    root, rise = chain.links[:2]
    assert (root.iteration, str(root.grade)) == (RISES, "proven")
    assert (rise.facts["direction"], rise.baseline, rise.value, rise.iteration) == ("rise", 12, 24, RISES)
    # seven came in the 69 iterations before when calm, 8.17 ms of compute and 1.02 of transfer each: 11.04 a second
    assert root.baseline == pytest.approx(7 / (69 * 9.19e-3), rel=0.005)
    # of those as long as an iteration 0.1 of the twelve would have come anyhow
    assert share_of(chain).figure == pytest.approx(11.9 / 12, abs=0.001)
    assert "the batch rose by 12" in share_of(chain).says


def test_five_of_twelve_take_less_than_half_away(tmp_path: Path, opened: Opener) -> None:
    """Five came and the batch rose by twelve: more than chance, and not proven to be what raised it."""
    chain = asked(tmp_path, opened, 5)
    assert share_of(chain).figure == pytest.approx(4.9 / 12, abs=0.001)
    assert (chain.links[0].kind, str(chain.links[0].grade)) == ("load_surge", "supported")


def test_twelve_came_to_the_other_replica(tmp_path: Path, opened: Opener) -> None:
    """What raised the batch no record shows: here came no more than ever, nor did any iteration take longer."""
    chain = asked(tmp_path, opened, 12, elsewhere=True)
    assert (chain.root_cause, chain.links[0].kind) == (None, "batch_change")
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["load_surge"] == "arrivals and the queue did not grow before the batch rose"


@pytest.mark.slow
def test_iterations_stretched_first(tmp_path: Path, opened: Opener) -> None:
    """As many came as ever, and each ran twice as long: by Little's law twice as many run at once."""
    chain = asked(tmp_path, opened, 0, longer_ms=9.0)
    assert (chain.root_cause, chain.links[0].kind, chain.links[0].iteration) == (None, "step_stretch", 50)
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["load_surge"] == "iterations stretched first: 2.0x from iteration 50"


@pytest.mark.slow
def test_they_came_although_iterations_had_stretched(tmp_path: Path, opened: Opener) -> None:
    """Iterations took twice as long, and twelve came at once: it rose by twelve when they came."""
    chain = asked(tmp_path, opened, 12, longer_ms=9.0)
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.links[0].iteration) == ("load_surge", RISES)
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["step_stretch"] == "the batch rose with what came: 98.7 % of the rise"


@pytest.mark.slow
def test_too_little_longer_to_raise_it(tmp_path: Path, opened: Opener) -> None:
    """A third longer raises a batch of 12 by 4 and not by 12: iterations are not blamed, nor is anybody else."""
    chain = asked(tmp_path, opened, 0, longer_ms=3.0)
    assert (chain.root_cause, chain.links[0].kind) == (None, "batch_change")
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["step_stretch"].startswith("iterations at most 1.3x as long raise a batch of 12 by 4")


@pytest.mark.slow
def test_neither_arrivals_nor_waits_recorded(tmp_path: Path, opened: Opener) -> None:
    """Without either nothing is claimed, and the records that would tell are named."""
    chain = asked(tmp_path, opened, 0, quiet=("admitted_ns", "queue_ms"))
    assert chain.root_cause is None
    assert "admitted_ns in x records, by the clock of the s records, or queue_ms in s records" in {
        m.record for m in chain.missing
    }


def test_a_queue_that_stays_rules_no_arrivals_out(tmp_path: Path, opened: Opener) -> None:
    """A batch with room takes all who come, and nobody waits: only times of arrival would tell."""
    chain = asked(tmp_path, opened, 0, quiet=("admitted_ns",))
    assert "load_surge" not in {a.kind for a in chain.alternatives}
    (missing,) = (m for m in chain.missing if m.what.startswith("how many requests arrived before the batch rose"))
    assert missing.record == "admitted_ns in x records, by the clock of the s records"


@pytest.mark.slow
def test_a_longer_queue_alone(tmp_path: Path, opened: Opener) -> None:
    """No times of arrival; requests wait 20 ms longer from iteration 60 on."""
    risen = Trace("b", seed=1001, full_batch=12, flips={1: 85}, quiet=("admitted_ns",))
    risen.batch = dict.fromkeys(range(RISES, 104), 24)
    risen.request_fields = {"queue_ms": lambda i: 1.0 + (i % 3) / 10 + (20.0 if i >= 60 else 0.0)}
    chain = opened(write_bundle(tmp_path, Trace("a", full_batch=12), risen)).chain("b-1")
    root = chain.links[0]
    assert (root.kind, root.iteration, root.unit) == ("load_surge", 60, "ms")
    assert (root.value, root.baseline) == (pytest.approx(21.1), pytest.approx(1.1))
