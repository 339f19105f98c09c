"""A pattern of bundle.toml's [nvtx] that brings nothing is told: it would look as if nothing had been recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.nsys.exports import build, global_id, nvtx

TEXTS = ("execute_model_12_bs4", "execute_model_13_bs4", "pager evicted 7 blk")
UNMATCHED = "the [nvtx] pattern of {} matches no NVTX text that an earlier one leaves"
UNNUMBERED = (
    "2 iteration ranges or marks tell no number: their text, or the [nvtx] pattern's group n, (?P<n>\\d+), names it"
)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({"iteration": r"execute_model_(?P<n>\d+)_bs"}, []),
        ({"iteration": r"execute_model_(\d+)_bs"}, [UNNUMBERED]),
        ({"iteration": r"execute_model_(?P<num>\d+)_bs"}, [UNNUMBERED]),
        ({"iteration": r"exec_model_(?P<n>\d+)_bs"}, [UNMATCHED.format("iteration")]),
        (
            {
                "iteration": r"execute_model_(?P<n>\d+)_bs",
                "ckpt_pin": r"execute_model_(?P<mb>\d+)",
                "kv_evict": "evicted",
            },
            [UNMATCHED.format("ckpt_pin")],
        ),
    ],
)
def test_what_brings_nothing_is_told(
    patterns: dict[str, str], expected: list[str], opened: Any, tmp_path: Path
) -> None:
    """No text matches, or an iteration's matches tell no number."""
    events = [nvtx(100 * i, 100 * i + 50, text) for i, text in enumerate(TEXTS)]
    build(tmp_path / "rank0.sqlite", NVTX_EVENTS=events)
    lines = [f"{kind} = '{pattern}'" for kind, pattern in patterns.items()]
    (tmp_path / "bundle.toml").write_text("\n".join(["[nvtx]", *lines]))
    notes = opened(tmp_path).query("notes").to_dicts()
    assert [n["message"] for n in notes if n["code"].startswith("nvtx-")] == expected


def test_without_an_export_no_pattern_is_blamed(opened: Any, tmp_path: Path) -> None:
    """Where no NVTX was recorded at all, the patterns are not at fault."""
    (tmp_path / "bundle.toml").write_text("[nvtx]\niteration = 'step (?P<n>.*)'\n")
    (tmp_path / "s.jsonl").write_text('{"record": "s", "replica": "a", "req_id": "q", "step": 0, "iteration": 1}\n')
    assert [n for n in opened(tmp_path).query("notes").to_dicts() if n["code"].startswith("nvtx-")] == []


AGAIN = (
    "a thread's iteration 0 began after its iteration {} had: its counter began again, or the text counts "
    "something else (a request's steps); iterations of one number are told as one"
)


@pytest.mark.parametrize(
    ("numbers", "middle"),
    [
        ([*range(10), *range(12)], 6),  # of a request's steps, or two lives of an engine
        ([*range(12), *range(3)], 6),
        ([n - part for n in range(1, 12) for part in (0, 1)], None),  # scheduled ahead: parts of two take turns
        ([0, 1, 2, 0, 1, 2], None),  # too few to tell from that
        (list(range(12)), None),
    ],
)
def test_a_counter_that_begins_again_within_an_export(
    numbers: list[int], middle: int | None, opened: Any, tmp_path: Path
) -> None:
    """One thread's first number comes back after half of all; other threads may lag behind."""
    events = [nvtx(100 * i, 100 * i + 50, f"step {n}") for i, n in enumerate(numbers)]
    late = [nvtx(90_000 + 100 * i, 90_050 + 100 * i, f"step {n}") for i, n in enumerate(range(12))]
    build(tmp_path / "rank0.sqlite", NVTX_EVENTS=[*events, *({**e, "globalTid": global_id(10, 11)} for e in late)])
    (tmp_path / "bundle.toml").write_text("[nvtx]\niteration = 'step (?P<n>\\d+)'\n")
    notes = opened(tmp_path).query("notes").to_dicts()
    found = [n["message"] for n in notes if n["code"] == "iterations-begun-again"]
    assert found == ([AGAIN.format(middle)] if middle else [])
