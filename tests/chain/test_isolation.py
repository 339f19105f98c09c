"""Isolation that changed what may share a batch: by what it kept out, and by what came in afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import CALM, Trace, straggler, write_bundle

from postmortem.api import Incident

Opener = Callable[..., Incident]


class Roomy(Trace):
    """An engine whose calm tactic takes up to 24 sequences, fewer ones too."""

    def tactic_at(self, iteration: int) -> str:
        return CALM if self.batch_at(iteration) <= 24 else "tile64"


def isolated(trace: Trace, first: int, stop: int) -> Trace:
    """Isolation is strict in these iterations, by every record."""
    isolation = {"isolation_mode": lambda i: "strict" if first <= i < stop else "shared"}
    trace.rank_fields = {rank: dict(isolation) for rank in range(trace.ranks)}
    trace.request_fields = dict(isolation)
    return trace


@pytest.mark.parametrize(
    ("full", "share", "grade"), [(32, 0.6, "proven"), pytest.param(48, 1 / 3, "supported", marks=pytest.mark.slow)]
)
def test_those_whom_it_kept_out_came_in_afterwards(
    tmp_path: Path, opened: Opener, full: int, share: float, grade: str
) -> None:
    """Strict from 60 to 79, it takes the batch from 24 to 12 and one waits; shared again, the batch rises beyond 24.

    It answers for the 12 that it kept out: of a rise by 20 that is 60 %, of one by 36 a third.
    """
    strict, risen = range(60, 80), range(80, 104)
    b = Roomy("b", seed=1001, flips={1: 85}, aside={5: strict})
    b.batch = dict.fromkeys(strict, 12) | dict.fromkeys(risen, full)
    chain = opened(write_bundle(tmp_path, Roomy("a"), isolated(b, 60, 80))).chain("b-1")
    assert [link.kind for link in chain.links] == ["isolation_change", "batch_change", "algo_churn", "token_flip"]
    root, rise = chain.links[:2]
    assert (rise.facts["direction"], rise.iteration, rise.facts["stop"], rise.facts["backlog"]) == (
        "rise",
        80,
        60,
        True,
    )
    assert (root.iteration, str(root.grade)) == (60, grade)
    counterfactual = next(t for t in root.tests if t.name == "counterfactual")
    assert counterfactual.figure == pytest.approx(share)


def test_those_whom_it_holds_back(tmp_path: Path, opened: Opener) -> None:
    """The batch had shrunk to 16 by itself; strict from 70 on it takes 13, and twelve wait, with whom it had the 24
    that the calm tactic takes: of the 12 that are missing they are all, though it fell by 3 in that iteration.
    """
    strict = range(70, 100)
    b = Trace("b", seed=1001, requests=14, flips={1: 85}, aside=dict.fromkeys(range(2, 14), strict))
    b.batch = dict.fromkeys(range(60, 70), 16) | dict.fromkeys(strict, 13)
    chain = opened(write_bundle(tmp_path, Trace("a", requests=14), isolated(b, 70, 100))).chain("b-1")
    assert [link.kind for link in chain.links] == ["isolation_change", "batch_change", "algo_churn", "token_flip"]
    root, held = chain.links[:2]
    assert (root.iteration, held.iteration, held.baseline, held.value) == (70, 70, 25, 13)
    counterfactual = next(t for t in root.tests if t.name == "counterfactual")
    assert counterfactual.says == "nobody waited before iteration 70, up to 12 since: 100 % of the change"


@pytest.mark.slow
def test_a_posture_that_moved_no_batch(tmp_path: Path, opened: Opener) -> None:
    """Isolation became strict seven iterations before the batch was cut, and the batch stayed: it is not that."""
    calm, cut = straggler(extra_ms={})
    chain = opened(write_bundle(tmp_path, calm, isolated(cut, 75, 120))).chain("b-1")
    assert chain.root_cause is None
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["isolation_change"] == "isolation became strict at iteration 75, where the batch stayed at 24"
