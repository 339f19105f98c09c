"""All ranks computed longer alike: what rose on every one of them is the cause, what rose on some is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]
WINDOW = range(70, 100)


def chain_of(folder: Path, opened: Opener, recomputed: tuple[int | None, ...]) -> Chain:
    """Every rank computes 3 ms longer from 70 on; ``recomputed``: tokens that each recomputes meanwhile."""
    calm, b = straggler(ranks=len(recomputed), extra_ms={}, all_extra_ms=dict.fromkeys(WINDOW, 3.0))

    def tokens(most: int | None) -> dict[str, Any]:
        return {"recompute_tokens": lambda i: None if most is None else most if i in WINDOW else 0}

    b.rank_fields = {rank: tokens(most) for rank, most in enumerate(recomputed)}
    return opened(write_bundle(folder, calm, b)).chain("b-1")


def test_evicted_on_every_rank(tmp_path: Path, opened: Opener) -> None:
    """Evicted on all ranks alike: none is to blame, and the one that had least tells how much."""
    chain = chain_of(tmp_path, opened, (600, 512, 700))
    assert [link.kind for link in chain.links[:2]] == ["kv_eviction", "step_stretch"]
    root = chain.links[0]
    assert (root.rank, root.iteration, root.value, root.baseline) == (None, 70, 512, 0)
    assert root.summary == "every rank recomputed 512 tokens of evicted KV blocks an iteration, 0 when calm"
    assert root.grade == "proven"


@pytest.mark.parametrize(
    ("recomputed", "ruled_out", "missing"),
    [
        ((600, 512, 0), "every rank, recomputing evicted KV blocks: 0 tokens an iteration, 0 when calm", None),
        ((600, 512, None), None, "recomputing evicted KV blocks on every rank"),
    ],
)
def test_on_some_ranks(
    tmp_path: Path, opened: Opener, recomputed: tuple[int | None, ...], ruled_out: str | None, missing: str | None
) -> None:
    """The third got longer as much without it; where it does not tell, nothing is known."""
    chain = chain_of(tmp_path, opened, recomputed)
    assert chain.root_cause is None
    why = next((a.ruled_out for a in chain.alternatives if a.kind == "kv_eviction"), None)
    assert why is None if ruled_out is None else str(why).startswith(ruled_out)
    assert [m.record for m in chain.missing if m.what == missing] == (
        ["recompute_tokens in the s records of every rank"] if missing else []
    )
