"""A request drift that looks like nondeterminism and isn't: the input is the root cause, never the plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Grade, Verdict

Opener = Callable[..., Incident]


def changed(folder: Path, req_id: str, **fields: Any) -> Path:
    """The bundle of the straggler, with fields of one request's x record set otherwise."""
    bundle = write_bundle(folder, *straggler())
    path = bundle / f"{req_id[0]}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        if record["record"] == "x" and record["req_id"] == req_id:
            record |= fields
    path.write_text("\n".join(json.dumps(r) for r in records) + "\n")
    return bundle


TEXT = {"effective_text_sha256": "ab" * 32, "shaping_events": ["policy_inject:v4"]}
SAMPLED = {"decode_cfg_applied": {"temperature": 0.7, "seed": 3}}


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        (TEXT, "effective_request_drift", "policy_inject: v4 instead of none"),
        (SAMPLED, "decode_config_drift", "temperature: 0.7 instead of 0.0"),
    ],
)
def test_drift_is_the_root(tmp_path: Path, opened: Opener, fields: dict[str, Any], kind: str, says: str) -> None:
    """The flip is there, the straggler too; the input differs, and that is the finding."""
    chain = opened(changed(tmp_path, "b-1", **fields)).chain("b-1")
    assert (chain.verdict, chain.reference) == (Verdict.DIFFERENT_INPUT, "a-1")
    assert [(link.kind, link.grade) for link in chain.links] == [(kind, Grade.PROVEN), ("token_flip", Grade.PROVEN)]
    assert says in chain.narrative
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank, chain.root_cause.replica) == (kind, None, "b")
    assert chain.flip is not None
    assert chain.flip.step == 85


def test_the_usual_input_can_be_asked_too(tmp_path: Path, opened: Opener) -> None:
    """Asked of the one that saw the usual text: the other saw another one, and that is the finding as well."""
    chain = opened(changed(tmp_path, "b-1", **TEXT)).chain("a-1")
    assert (chain.verdict, chain.reference) == (Verdict.DIFFERENT_INPUT, "b-1")
    assert chain.links[0].kind == "effective_request_drift"


@pytest.mark.slow
def test_drift_without_a_flip(tmp_path: Path, opened: Opener) -> None:
    """The tokens came out the same: the drift is told all the same, and no flip with it."""
    chain = opened(changed(tmp_path, "b-0", **TEXT)).chain("b-0")
    assert chain.verdict is Verdict.DIFFERENT_INPUT
    assert [link.kind for link in chain.links] == ["effective_request_drift"]
    assert chain.flip is None


@pytest.mark.slow
def test_drift_that_nothing_explains(tmp_path: Path, opened: Opener) -> None:
    """Another text, and no shaping event that differs: said so."""
    chain = opened(changed(tmp_path, "b-1", effective_text_sha256="ab" * 32)).chain("b-1")
    assert "what changed it is not recorded" in chain.narrative


@pytest.mark.slow
def test_both_drift(tmp_path: Path, opened: Opener) -> None:
    """Text and settings both differ: one is the root, the other contributes."""
    chain = opened(changed(tmp_path, "b-1", **TEXT, **SAMPLED)).chain("b-1")
    assert chain.root_cause is not None
    named = {chain.root_cause.kind, *(c.kind for c in chain.contributing)}
    assert named == {"effective_request_drift", "decode_config_drift"}


def test_scan_joins_one_drift(tmp_path: Path, opened: Opener) -> None:
    """A drifted request is an incident of its own beside the stall's."""
    found = opened(changed(tmp_path, "b-0", **TEXT)).scan()
    assert [(c.kind, c.requests) for c in found.incidents] == [
        ("quant_stall", ("b-1", "b-3")),
        ("effective_request_drift", ("b-0",)),
    ]


@pytest.mark.parametrize("flipped", [("c-1",), ("c-1", "d-1")])
def test_those_with_the_usual_input(tmp_path: Path, opened: Opener, flipped: tuple[str, ...]) -> None:
    """Two more had the reference's text: where one of them gave its tokens, it is the input; where none did, it is not
    named for having come first.
    """
    x = {"record": "x", "raw_prompt_sha256": "0a" * 32, "effective_text_sha256": "0b" * 32,
         "decode_cfg_applied": {"temperature": 0}}  # fmt: skip
    records: list[dict[str, Any]] = []
    for at, name in enumerate(("a-1", "b-1", "c-1", "d-1")):
        mine = {"req_id": name, "replica": name[0], "admitted_ns": 10**18 + at}
        records.append(x | mine | (TEXT if name == "b-1" else {}))
        for step in range(3):
            other = step == 2 and (name == "b-1" or name in flipped)
            token = {"token_id": 100 + at if other else 5, "ts_ns": 10**18 + 100 * step + at, "iteration": step}
            records.append({"record": "s", "step": step, **mine, **token})
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    chain = opened(tmp_path).chain("b-1")
    assert chain.verdict is Verdict.DIFFERENT_INPUT
    if len(flipped) == 2:
        assert chain.root_cause is None
        why = {a.kind: a.ruled_out for a in chain.alternatives}
        assert why["effective_request_drift"].startswith("seen, but too weak to carry the effect")
        return
    root = chain.links[0]
    assert (root.kind, root.grade) == ("effective_request_drift", Grade.PROVEN)
    (kept,) = (t for t in root.tests if t.name == "counterfactual")
    assert (kept.figure, kept.says) == (0.5, "of 2 others that had the reference's input, 1 gave its tokens")
