"""A batch of a size that no calm iteration had: what size does to times is known only as well as its slope."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from builders import write_bundle

from postmortem.api import Incident
from postmortem.chain.model import Chain
from tests.chain.test_filled import CUT, FILLS, asked, cut_after_filling

FROM = 52  # the recording begins here: eighteen calm iterations, in which no ten in a row were as slow by chance

Opener = Callable[..., Incident]


def filled_beyond(
    folder: Path, opened: Opener, *, more_ms: float = 0.0, slope_ms: float = 0.2, transfer_ms: float | None = None
) -> Chain:
    """Batches of 22, 24 and 26 take turns, ``slope_ms`` of compute and a fourth of it of transfer apart for each
    sequence; then ten of 40 run, which take ``more_ms`` besides, until the cut.

    With ``transfer_ms``, which is theirs, transfers take 6 ms when calm.
    """
    traces = cut_after_filling(0)
    for trace in traces:
        trace.batch = {i: 22 + 2 * (i % 3) for i in range(trace.iterations)} | trace.batch
        apart = {i: size - 24 for i, size in trace.batch.items()}
        full = range(FILLS, CUT) if trace is traces[1] else ()
        trace.all_extra_ms = {i: slope_ms * by + more_ms * (i in full) for i, by in apart.items()}
        trace.transfer_extra_ms = {i: slope_ms / 4 * by for i, by in apart.items()}
        if transfer_ms is not None:
            trace.transfer_ms = 6.0
            trace.transfer_extra_ms |= dict.fromkeys(full, transfer_ms - trace.transfer_ms)
    bundle = write_bundle(folder, *traces)
    for file in bundle.glob("?.jsonl"):
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line}\n" for line in lines if json.loads(line).get("iteration", FROM) >= FROM))
    return opened(bundle).chain("b-1")


def test_what_forty_may_take_is_nobodys_fault(tmp_path: Path, opened: Opener) -> None:
    """0.15 ms in 13: the slope, learnt from two sequences to either side, is not known to that, sixteen away."""
    chain = filled_beyond(tmp_path, opened, more_ms=0.15)
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["step_stretch"].endswith("within chance, and what batches of another size may take")


def test_what_is_far_beyond_it_is_told(tmp_path: Path, opened: Opener) -> None:
    """3 ms in 13 are beyond any slope that the calm sizes allow; transfers took what their size takes."""
    chain = filled_beyond(tmp_path, opened, more_ms=3.0)
    assert [link.kind for link in chain.links] == ["step_stretch", "batch_change", "algo_churn", "token_flip"]
    assert chain.links[0].grade == "proven"


def test_steps_of_size_are_no_slow_fabric(tmp_path: Path, opened: Opener) -> None:
    """Servers pad batches to set sizes: 22 to 26 take the same, and 40 may take 40 / 26 of it."""
    chain = filled_beyond(tmp_path, opened, slope_ms=0.0, transfer_ms=8.5)
    assert "fabric_congestion" not in [link.kind for link in chain.links]
    told = "transfer between ranks that had all arrived took longer than it takes in batches of 40: when calm, 24 ran"
    assert f"whether {told}" in [m.what for m in chain.missing]


def test_a_fabric_slower_than_its_batch(tmp_path: Path, opened: Opener) -> None:
    """Three times as long is more than 40 sequences make of 24."""
    chain = filled_beyond(tmp_path, opened, slope_ms=0.0, transfer_ms=18.0)
    assert chain.links[0].kind == "fabric_congestion"


def test_a_surge_into_a_size_that_never_ran(tmp_path: Path, opened: Opener) -> None:
    """22 to 26 take the same, and 40 a third longer: the size may do that, and no calm record says that it does."""
    traces = cut_after_filling(16, all_extra_ms=dict.fromkeys(range(FILLS, CUT), 3.0))
    for trace in traces:
        trace.batch = {i: 22 + 2 * (i % 3) for i in range(trace.iterations)} | trace.batch
    chain = asked(tmp_path, opened, traces, 16)
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
    assert "whether batches of 40 take that long by themselves: when calm, about 24 ran" in [
        m.what for m in chain.missing
    ]
    assert {"load_surge", "step_stretch"}.isdisjoint(a.kind for a in chain.alternatives)  # nothing rules them out
