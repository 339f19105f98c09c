"""``postmortem scan``: every divergence and the incidents that they belong to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from builders import Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.scan import scan
from postmortem.render.scan_tree import scan_text

Opener = Callable[..., Incident]


def test_one_incident(tmp_path: Path, opened: Opener) -> None:
    """Both flips of one stall are one incident: requests, iterations and times are its own."""
    incident = opened(write_bundle(tmp_path, *straggler()))
    found = incident.scan()
    assert (found.requests, found.compared) == (12, 6)
    (one,) = found.incidents
    assert (one.kind, one.root, one.rank, one.replica) == ("quant_stall", True, 1, "b")
    assert one.requests == ("b-1", "b-3")
    starts = incident.query("iterations", replica="b").filter(iteration=70)["start_ns"]
    assert one.first_ns == starts[0]
    assert one.iterations == 88 - 70 + 1  # from the first stalled iteration to the last flip
    assert [(d.req_id, d.step) for d in found.divergences] == [("b-1", 85), ("b-3", 88)]


@pytest.mark.slow
def test_two_stretches_are_two_incidents(tmp_path: Path, opened: Opener) -> None:
    """The same rank stalls twice, with calm between: two incidents, the one with more requests first."""
    calm, other = straggler()
    calm.iterations = other.iterations = 300
    again = range(230, 262)
    stalls = [*range(70, 100), *again]
    other.extra_ms = dict.fromkeys(stalls, 5.0)
    other.rank_fields = {1: {"dequant_cycles": lambda i: 40 if i in stalls else 0}}
    other.batch |= dict.fromkeys(range(242, 266), 12)
    other.flips = {1: 85, 3: 245, 4: 250}
    found = opened(write_bundle(tmp_path, calm, other)).scan()
    assert [one.requests for one in found.incidents] == [("b-3", "b-4"), ("b-1",)]
    assert {(one.kind, one.rank) for one in found.incidents} == {("quant_stall", 1)}


def test_nothing_diverges(tmp_path: Path, opened: Opener) -> None:
    """No flip: no incident, and the text says how many requests could be compared."""
    found = opened(write_bundle(tmp_path, Trace("a"), Trace("b", seed=1001))).scan()
    assert found.incidents == found.divergences == ()
    assert "0 divergences in 0 incidents\n12 requests, 6 of them with a reference" in scan_text(found)


def test_progress_and_json(tmp_path: Path, opened: Opener) -> None:
    """It tells how far it is; the JSON names its schema and reads back."""
    incident = opened(write_bundle(tmp_path, *straggler()))
    told: list[tuple[int, int]] = []
    found = scan(incident.catalogue, incident.name, lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    read = json.loads(msgspec.json.encode(found.to_dict()))
    assert read["schema"] == "postmortem.scan/1"
    assert [c["requests"] for c in read["incidents"]] == [["b-1", "b-3"]]


def test_text_of_hostile_names(tmp_path: Path, opened: Opener) -> None:
    """Control characters in a request's name are written out, never sent to the terminal."""
    calm, other = straggler()
    folder = write_bundle(tmp_path, calm, other)
    place = folder / "b.jsonl"
    place.write_text(place.read_text().replace('"b-1"', '"b-\\u001b[31m1"'))
    text = scan_text(opened(folder).scan())
    assert "\x1b" not in text
    assert "b-\\x1b[31m1" in text


def test_the_command_to_copy_is_quoted(tmp_path: Path, opened: Opener) -> None:
    """A request's name cannot add a command of its own to the one that is shown to be copied."""
    folder = write_bundle(tmp_path, *straggler())
    place = folder / "b.jsonl"
    place.write_text(place.read_text().replace('"b-1"', '"b-1;reboot"'))
    assert "postmortem chain --req 'b-1;reboot' …" in scan_text(opened(folder).scan())
