"""The faulty replica seemed the calmer one: its own records tell that it was the one that left the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import OTHER, Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain, Verdict

Opener = Callable[..., Incident]


def queueing(*traces: Trace) -> tuple[Trace, ...]:
    """The same traces; replica a, where nothing is wrong, says that its queue is long: b seems the calmer."""
    for trace in traces:
        trace.request_fields |= {"queue_p95_ms": lambda _, late=80.0 if trace.replica == "a" else 8.0: late}
    return traces


def test_the_reference_is_told_where_it_is_the_odd_one(tmp_path: Path, opened: Opener) -> None:
    """b's rank 1 stalled and its batch was cut: asked for b-1, its chain is told; asked for a-1, b-1 is pointed at."""
    incident = opened(write_bundle(tmp_path, *queueing(*straggler())))
    assert incident.query("references", req_id="a-1")["reference"].to_list() == ["b-1"]
    chain = incident.chain("b-1")
    assert (chain.reference, chain.verdict) == ("a-1", Verdict.EXPLAINED)
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank, chain.root_cause.replica) == ("quant_stall", 1, "b")
    assert chain.flip is not None
    assert (chain.flip.step, chain.flip.token_id, chain.flip.reference_token_id) == (85, 1146, 146)
    other = incident.chain("a-1")
    assert (other.root_cause, other.reference) == (None, "b-1")
    assert (
        "it was b-1 that left that of its own: see its chain, --req b-1 --vs a-1. Rank 1 ran 40 deq" in other.narrative
    )


def test_the_scan_tells_the_incident(tmp_path: Path, opened: Opener) -> None:
    """One incident, on b, of the requests that it touched there."""
    incident = opened(write_bundle(tmp_path, *queueing(*straggler())))
    found = incident.scan()
    (one,) = found.incidents
    assert (one.kind, one.rank, one.replica, one.requests) == ("quant_stall", 1, "b", ("b-1", "b-3"))
    assert [(d.req_id, d.reference) for d in found.divergences] == [("b-1", "a-1"), ("b-3", "a-3")]


def asked(incident: Incident) -> Chain:
    chain = incident.chain("b-1")
    assert (chain.verdict, chain.root_cause) == (Verdict.NO_REFERENCE, None)
    return chain


@pytest.mark.parametrize("gone", ["dequant_cycles", "margin"])
def test_what_is_not_explained_is_no_odd_one(tmp_path: Path, opened: Opener, gone: str) -> None:
    """A link that its records do not hold: the reference stays what the others are held against."""
    incident = opened(write_bundle(tmp_path, *queueing(*straggler(quiet=(gone,)))))
    asked(incident)
    assert "--vs a-1" not in incident.chain("a-1").narrative


def test_nor_one_that_ran_what_its_replica_mostly_runs(tmp_path: Path, opened: Opener) -> None:
    """The cut lasted: b mostly ran small batches, and which of the two replicas is the usual one nothing tells."""
    calm, b = straggler(iterations=240, batch=dict.fromkeys(range(82, 240), 12))
    incident = opened(write_bundle(tmp_path, *queueing(calm, b)))
    assert incident.query("iterations", replica="b")["algo_id"].mode().to_list() == [OTHER]
    assert incident.chain("b-1", vs="a-1").verdict is Verdict.EXPLAINED
    asked(incident)
