"""What cut the batch was over before the flip, and something else held collectives up by then."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain, Verdict

Opener = Callable[..., Incident]


def chain_of(
    folder: Path,
    opened: Opener,
    *,
    until: int = 100,
    other: float = 0.0,
    fabric: float = 0.0,
    at: int = 115,
    ranks: int = 4,
) -> Chain:
    """Rank 1 is 5 ms late from 70 ``until``; the batch is cut at 82; from 97 on rank 3 is late, or the fabric slow."""
    late, later = range(70, until), range(97, 120)
    calm, b = straggler(
        ranks=ranks, extra_ms=dict.fromkeys(late, 5.0), batch=dict.fromkeys(range(82, 120), 12), flips={1: at}
    )
    b.rank_fields = {1: {"dequant_cycles": lambda i: 40 if i in late else 0}}
    b.rank_extra_ms = {3: dict.fromkeys(later, other), 2: dict.fromkeys(range(70, 97), 0.5 if until > 100 else 0.0)}
    b.transfer_extra_ms = dict.fromkeys(later, fabric)
    return opened(write_bundle(folder, calm, b)).chain("b-1")


@pytest.mark.parametrize(("other", "fabric", "began"), [(4.0, 0.0, "rank 3"), (0.0, 4.0, "transfers")])
def test_another_took_its_place(tmp_path: Path, opened: Opener, other: float, fabric: float, began: str) -> None:
    """The rank that made for the cut was late no more for 15 iterations when the token flipped: it is not blamed."""
    chain = chain_of(tmp_path, opened, other=other, fabric=fabric)
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
    assert (chain.verdict, chain.root_cause) == (Verdict.PARTIAL, None)
    (why,) = (a.ruled_out for a in chain.alternatives if a.kind == "collective_inflation")
    less, more = (float(took) for took in re.findall(r"took ([\d.]+) ms", why))
    assert (less, more) == (pytest.approx(5, abs=0.2), pytest.approx(4, abs=0.2))
    assert why == (
        f"rank 1 took {less:g} ms less from iteration 100 on: what had cut the batch was over; "
        f"{began} took {more:g} ms more from iteration 97 on, and the batch stayed small"
    )


def test_of_many_ranks(tmp_path: Path, opened: Opener) -> None:
    """Of 60 ranks as of 4: with p of either change at its lowest, 0.001, times 61, it would be nobody's."""
    chain = chain_of(tmp_path, opened, other=4.0, ranks=60)
    assert chain.root_cause is None
    (why,) = (a.ruled_out for a in chain.alternatives if a.kind == "collective_inflation")
    assert re.match(r"rank 1 took (4\.9|5|5\.1) ms less from iteration 100 on: .*; rank 3 took", why)


@pytest.mark.parametrize(
    "changes",
    [
        {},  # nothing did: the batch had not filled again yet
        {"other": 1.0},  # too little to do the same
        {"other": 4.0, "until": 120},  # rank 1 was late still, whatever rank 2 had ended and rank 3 begun
        {"other": 4.0, "at": 90},  # the token flipped before
    ],
)
def test_the_first_is_blamed(tmp_path: Path, opened: Opener, changes: dict[str, float]) -> None:
    """What cut the batch answers for it as long as nothing else may have kept it small."""
    chain = chain_of(tmp_path, opened, **changes)
    assert chain.root_cause is not None
    assert (chain.root_cause.kind, chain.root_cause.rank) == ("quant_stall", 1)
