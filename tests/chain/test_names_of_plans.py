"""Replicas that call one tactic, or one precision, by two names: what moved no margin is no other plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import CALM, OTHER, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.case import STILL
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]


NAMES = {CALM: "7", OTHER: "8"}


def chain_of(
    folder: Path,
    opened: Opener,
    moved: float = 0.0,
    steps: int = 82,
    flat: bool = False,
    names: dict[str, str] = NAMES,
    precision: str = "bf16",
) -> Chain:
    """A late rank on b, whose build calls its tactics 7 and 8; b's margins are larger by ``moved``.

    Margins are recorded of the first ``steps`` steps and from step 82 on; ``flat``: all of them the same.
    """
    bundle = write_bundle(folder, *straggler())
    for file in bundle.glob("*.jsonl"):
        records = [json.loads(line) for line in file.read_text().splitlines()]
        for r in records:
            if "algo_id" in r:
                r["precision_path"] = "bf16"
            if r["replica"] == "b" and "algo_id" in r:
                r |= {"algo_id": names[r["algo_id"]], "precision_path": precision}
                r |= {"margin": r["margin"] + moved} if "margin" in r else {}
            if steps <= r.get("step", 0) < 82:
                del r["margin"]
            if flat and "margin" in r:
                r["margin"] = 0.5
        file.write_text("".join(json.dumps(r) + "\n" for r in records))
    return opened(bundle).chain("b-1")


@pytest.mark.parametrize("steps", [82, 10])
def test_one_tactic_by_two_names(tmp_path: Path, opened: Opener, steps: int) -> None:
    """60 margins and more are the same to the last bit under tile32 and 7, and others under 8: b left 7 at 82."""
    chain = chain_of(tmp_path, opened, steps=steps)
    assert [link.kind for link in chain.links[2:]] == [
        "collective_inflation",
        "batch_change",
        "algo_churn",
        "token_flip",
    ]
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
    churn = chain.links[-2]
    assert churn.summary == "100 % of iterations 82 to 85 ran another tactic than 7; step 85 ran 8"
    size, mechanism = (next(t for t in churn.tests if t.name == name) for name in ("size", "mechanism"))
    assert size.says.endswith("; tile32 is 7 by another name: no margin moved between them")
    assert mechanism.says.endswith("its reference tile32")
    flip = next(t for t in chain.links[-1].tests if t.name == "size")
    assert flip.holds  # by how far margins move between 8 and tile32


@pytest.mark.parametrize("names", [{CALM: CALM, OTHER: OTHER}, NAMES])
def test_one_precision_by_two_names(tmp_path: Path, opened: Opener, names: dict[str, str]) -> None:
    """bf16 is bfloat16, whether or not tactics have other names too: b left its tactic, no step its precision."""
    chain = chain_of(tmp_path, opened, names=names, precision="bfloat16")
    assert [link.kind for link in chain.links[2:]] == [
        "collective_inflation",
        "batch_change",
        "algo_churn",
        "token_flip",
    ]
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["precision_change"] == (
        "all 86 steps up to the flip ran the reference's precision; bf16 is bfloat16 by another name: "
        "no margin moved between them"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"moved": 0.001},  # they do compute something else
        {"steps": (STILL - 1) // 6},  # of six requests: too few to tell
        {"flat": True},  # nothing moves margins that are recorded so coarsely
    ],
)
def test_two_tactics_for_all_that_is_known(tmp_path: Path, opened: Opener, changes: dict[str, float]) -> None:
    """Every step ran another tactic than the reference's, by all that tells."""
    chain = chain_of(tmp_path, opened, **changes)
    assert [link.kind for link in chain.links] == ["algo_churn", "token_flip"]
    assert chain.links[0].summary == "100 % of iterations 0 to 85 ran another tactic than tile32; step 85 ran 8"
