"""When is a flip within the noise? Both margins, the runner-up, every step recorded, and no sampling."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.base.errors import UnknownRequest
from postmortem.chain.model import Chain, Grade, Verdict

Opener = Callable[..., Incident]
Record = dict[str, Any]


def rewritten(folder: Path, change: Callable[[Record], Record | None]) -> Path:
    """The straggler's bundle with every record changed; None leaves it out."""
    bundle = write_bundle(folder, *straggler())
    for file in bundle.glob("*.jsonl"):
        records = [change(json.loads(line)) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(r) + "\n" for r in records if r is not None))
    return bundle


def changed(req_id: str, step: int, **values: object) -> Callable[[Record], Record]:
    """Sets fields of one step of one request."""
    return lambda r: r | values if (r.get("req_id"), r.get("step")) == (req_id, step) else r


def flip_of(chain: Chain) -> tuple[Grade, bool | None]:
    """The flip's grade, and whether its size holds."""
    link = chain.links[-1]
    assert link.kind == "token_flip"
    return link.grade, next(t.holds for t in link.tests if t.name == "size")


def test_the_reference_was_sure(tmp_path: Path, opened: Opener) -> None:
    """b-1 flips by 0.004, its reference chose the other token by 5 logits: plans move margins by 0.01."""
    chain = opened(rewritten(tmp_path, changed("a-1", 85, margin=5.0))).chain("b-1")
    assert flip_of(chain) == (Grade.CIRCUMSTANTIAL, False)
    assert chain.verdict is Verdict.PARTIAL


def test_the_noise_between_two_plans_is_the_same_both_ways(tmp_path: Path, opened: Opener) -> None:
    """Asked the other way round, a-1 flips by 0.004 on either side: replays moved by 0.01 between the plans."""
    chain = opened(write_bundle(tmp_path, *straggler())).chain("a-1", vs="b-1")
    assert flip_of(chain) == (Grade.PROVEN, True)


def test_another_runner_up(tmp_path: Path, opened: Opener) -> None:
    """The runner-up is a third token: the margin does not say how near the reference's was."""
    chain = opened(rewritten(tmp_path, changed("b-1", 85, top2_token_id=7))).chain("b-1")
    assert flip_of(chain) == (Grade.CIRCUMSTANTIAL, None)
    assert "how far apart the two tokens were" in [m.what for m in chain.missing]


@pytest.mark.parametrize(
    ("step", "field", "what"),
    [(10, "token_id", "whether an earlier step than 85 differs"), (85, "margin", "how thin the margin was")],
)
def test_what_was_not_recorded_is_named(tmp_path: Path, opened: Opener, step: int, field: str, what: str) -> None:
    """A chain that is partial for want of a field names it."""
    chain = opened(rewritten(tmp_path, changed("b-1", step, **{field: None}))).chain("b-1")
    assert chain.verdict is Verdict.PARTIAL
    assert chain.missing[0].what == what


@pytest.mark.parametrize(
    ("compared", "change"),
    [
        (0, lambda r: {k: v for k, v in r.items() if k != "token_id"}),
        (5, lambda r: None if r.get("req_id") == "b-1" and r["record"] == "s" and r["step"] < 100 else r),
    ],
    ids=["no token", "other steps"],
)
def test_tokens_that_nobody_held_against_another(
    tmp_path: Path, opened: Opener, compared: int, change: Callable[[Record], Record | None]
) -> None:
    """No step's token is recorded on both sides: that the answers are the same is not said, nor counted."""
    folder = rewritten(tmp_path, lambda r: None if r.get("req_id") == "a-1" and r.get("step", 0) >= 100 else change(r))
    incident = opened(folder)
    chain = incident.chain("b-1", vs="a-1")
    assert (chain.verdict, chain.missing[0].record) == (Verdict.NO_REFERENCE, "token_id of the same steps of both")
    assert incident.scan().compared == compared


def test_sampled_requests_are_no_replays(tmp_path: Path, opened: Opener) -> None:
    """At temperature 1 without a seed the same input may give other tokens: no cause is named, asked for or not."""
    sampled = {"decode_cfg_applied": {"temperature": 1.0, "top_p": 0.95}}
    incident = opened(rewritten(tmp_path, lambda r: r | sampled if r.get("record") == "x" else r))
    chain = incident.chain("b-1", vs="a-1")
    assert (chain.verdict, chain.root_cause, chain.links) == (Verdict.NO_REFERENCE, None, ())
    assert chain.missing[0].what == "whether sampling alone made b-1 differ from a-1"


def test_seeded_requests_are(tmp_path: Path, opened: Opener) -> None:
    """The same with one seed."""
    seeded = {"decode_cfg_applied": {"temperature": 1.0, "seed": 5}}
    chain = opened(rewritten(tmp_path, lambda r: r | seeded if r.get("record") == "x" else r)).chain("b-1")
    assert chain.verdict is Verdict.EXPLAINED


def test_one_id_on_both_replicas(tmp_path: Path, opened: Opener) -> None:
    """Mirrored requests keep the client's id: they are told apart, and compared."""
    incident = opened(rewritten(tmp_path, lambda r: r | {"req_id": r["req_id"][2:]} if "req_id" in r else r))
    with pytest.raises(UnknownRequest, match="did you mean a/1 or b/1"):
        incident.chain("1")
    chain = incident.chain("b/1")
    assert (chain.reference, chain.verdict) == ("a/1", Verdict.EXPLAINED)


def test_the_flips_own_step_ran_the_references_tactic(tmp_path: Path, opened: Opener) -> None:
    """The last step with another tactic was 84: the flip's own read the keys and values that it wrote."""
    chain = opened(rewritten(tmp_path, changed("b-1", 85, algo_id="tile32"))).chain("b-1")
    churn = chain.links[-2]
    assert churn.kind == "algo_churn"
    assert churn.summary.endswith(
        "step 84 ran tile16; step 85 ran tile32 again, over keys and values that tile16 wrote"
    )


def fell_back(plan: str, steps: range) -> Callable[[Record], Record]:
    """In these iterations of replica b ``plan`` was planned, and workspace too short for it."""
    short = {"expected_algo_id": plan, "fallback_reason": "workspace", "workspace_free_mb": 0.0}
    inside = range(82 + steps.start, 82 + steps.stop)  # the batch is cut, and the tactic another, from 82 on
    return lambda r: r | short if r.get("replica") == "b" and r.get("iteration") in inside else r


@pytest.mark.parametrize(
    ("plan", "steps", "root", "why"),
    [
        ("tile32", range(4), "workspace_fallback", None),  # 82 to 85: the reference's was planned in all four
        ("tile32", range(3, 4), "quant_stall", "seen, but weaker"),  # in one of four: the cut planned the others
        ("tile64", range(4), "quant_stall", "it fell back from tile64, and the reference ran tile32"),
    ],
)
def test_fallbacks_from_the_references_plan(
    tmp_path: Path, opened: Opener, plan: str, steps: range, root: str, why: str | None
) -> None:
    """A fallback accounts for the steps in which the reference's tactic was planned, and for no others."""
    chain = opened(rewritten(tmp_path, fell_back(plan, steps))).chain("b-1")
    assert chain.root_cause is not None
    assert chain.root_cause.kind == root
    ruled_out = [a.ruled_out for a in chain.alternatives if a.kind == "workspace_fallback"]
    assert why is None or ruled_out[0].startswith(why)


def test_no_free_workspace_recorded(tmp_path: Path, opened: Opener) -> None:
    """What was not recorded is not told."""

    def change(r: Record) -> Record:
        r = fell_back("tile32", range(4))(r)
        return {k: v for k, v in r.items() if k != "workspace_free_mb"}

    summary = opened(rewritten(tmp_path, change)).chain("b-1").links[0].summary
    assert summary == "workspace was short: tactic tile16 ran instead of tile32"


def test_margins_that_moved_more_than_any(tmp_path: Path, opened: Opener) -> None:
    """0.004 here and 0.0155 there: more than the 0.01 by which margins of these plans ever moved."""
    chain = opened(rewritten(tmp_path, changed("a-1", 85, margin=0.0155))).chain("b-1")
    assert flip_of(chain) == (Grade.CIRCUMSTANTIAL, False)
    assert chain.missing[0].what == "what moved the margin by 0.0195, more than these plans were seen to"


def test_a_gateways_record_takes_nothing_away(tmp_path: Path, opened: Opener) -> None:
    """A gateway admitted every request a millisecond before its replica did, and hashed the raw prompt alone."""
    bundle = write_bundle(tmp_path, *straggler())
    records = [json.loads(line) for file in bundle.glob("*.jsonl") for line in file.read_text().splitlines()]
    seen = [{"record": "x", "req_id": r["req_id"], "admitted_ns": r["admitted_ns"] - 1_000_000,
             "raw_prompt_sha256": r["raw_prompt_sha256"]} for r in records if r["record"] == "x"]  # fmt: skip
    (bundle / "gateway.jsonl").write_text("".join(json.dumps(r) + "\n" for r in seen))
    assert opened(bundle).chain("b-1").verdict is Verdict.EXPLAINED


def test_sampled_requests_that_agree(tmp_path: Path, opened: Opener) -> None:
    """The same tokens are the same, sampled or not."""
    sampled = {"decode_cfg_applied": {"temperature": 1.0}}
    chain = opened(rewritten(tmp_path, lambda r: r | sampled if r.get("record") == "x" else r)).chain("b-0", vs="a-0")
    assert (chain.verdict, chain.reference) == (Verdict.NO_DIVERGENCE, "a-0")


def test_a_fallback_told_by_the_engine_alone(tmp_path: Path, opened: Opener) -> None:
    """Ranks recorded times only; the request's own steps tell that the planned tactic was the reference's."""

    def change(r: Record) -> Record:
        return r if "rank" in r else fell_back("tile32", range(4))(r)

    root = opened(rewritten(tmp_path, change)).chain("b-1").links[0]
    assert (root.kind, root.rank) == ("workspace_fallback", None)


def test_another_engines_fallback(tmp_path: Path, opened: Opener) -> None:
    """b-1 ran its first steps elsewhere, another tactic among them: what replica b fell back to then is not its own."""

    def change(r: Record) -> Record:
        if r.get("req_id") == "b-1" and r.get("step", 85) < 60:
            return r | {"replica": "c", "algo_id": "tile16" if 10 <= r["step"] < 30 else "tile32"}
        short = {"expected_algo_id": "tile32", "algo_id": "tile16", "fallback_reason": "workspace"}
        return r | short if r.get("replica") == "b" and "rank" in r and 10 <= r["iteration"] < 30 else r

    chain = opened(rewritten(tmp_path, change)).chain("b-1")
    assert chain.root_cause is None or chain.root_cause.kind != "workspace_fallback"


@pytest.mark.parametrize(("margin", "holds"), [(0.009, True), (0.011, False)])
def test_the_references_margin_was_not_recorded(tmp_path: Path, opened: Opener, margin: float, holds: bool) -> None:
    """It moved by the request's own at least: 0.01 is the most that these plans move."""

    def change(r: Record) -> Record:
        return changed("a-1", 85, margin=None)(changed("b-1", 85, margin=margin)(r))

    assert flip_of(opened(rewritten(tmp_path, change)).chain("b-1"))[1] is holds
