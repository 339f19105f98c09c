"""Evidence taken out never makes the chain surer: no link's grade rises, nor does the confidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.confidence import RIGHT, confidence
from postmortem.chain.model import Chain, Grade, Link

Opener = Callable[..., Incident]
FIELDS = ("margin", "algo_id", "batch_size", "dequant_cycles", "comm_ms", "sync_ms", "gpu_ms", "rank", "iteration",
          "effective_text_sha256", "raw_prompt_sha256", "ts_ns", "queue_ms", "isolation_mode")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The chain with all the evidence."""
    from postmortem.api import open_bundle

    with open_bundle(write_bundle(tmp_path_factory.mktemp("whole"), *straggler(ranks=4, late=2))) as incident:
        return incident.chain("b-1")


GONE = [*((f,) for f in FIELDS), ("margin", "comm_ms"), ("dequant_cycles", "margin")]


# every third as a rule, the others where time is no matter
@pytest.mark.parametrize(
    "gone", [pytest.param(g, marks=() if k % 3 == 0 else pytest.mark.slow) for k, g in enumerate(GONE)]
)
def test_evidence_taken_out(tmp_path: Path, opened: Opener, whole: Chain, gone: tuple[str, ...]) -> None:
    """Whatever field is not recorded: what is left is graded no better than before."""
    chain = opened(write_bundle(tmp_path, *straggler(ranks=4, late=2, quiet=gone))).chain("b-1")
    order = list(Grade)
    before = {link.kind: order.index(link.grade) for link in whole.links}
    assert all(order.index(link.grade) >= before[link.kind] for link in chain.links if link.kind in before)
    assert whole.confidence is not None
    assert (chain.confidence or 0.0) <= whole.confidence
    if chain.root_cause is None:
        assert chain.confidence is None


def test_a_weaker_link_never_makes_it_surer() -> None:
    """The confidence falls with the weakest grade."""
    sure = [confidence([Link("token_flip", "", Grade.PROVEN), Link("batch_change", "", grade)]) for grade in RIGHT]
    assert sure == sorted(sure, reverse=True)
    assert all(0 < p < 1 for p in sure)
