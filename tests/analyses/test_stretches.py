"""Where a stretch of iterations begins, by hand."""

from __future__ import annotations

import pytest

from postmortem.analyses.stretches import departure, ramp


@pytest.mark.parametrize(
    ("sizes", "at", "start"),
    [
        ([24, 24, 20, 16, 12, 12], 4, 2),  # it fell in three steps
        ([24, 24, 20, 16, 12, 12], 5, 5),  # nothing changed there
        ([12, 24, 20, 16], 3, 2),  # a rise before is none of it
        ([24, 12, 16, 20], 3, 2),
        ([12, 12, 16, 16, 20], 4, 4),  # it stood in between
        ([10, 12, 14], 2, 1),  # from the first change that is here
        ([10, 12, 14], 0, 0),
    ],
)
def test_ramp(sizes: list[int], at: int, start: int) -> None:
    """Back to the first step of the change in one direction."""
    assert ramp(sizes, at) == start


@pytest.mark.parametrize(
    ("tactics", "at", "start"),
    [
        ("AABBCB", 5, 2),  # any other than home
        ("AABBAB", 5, 5),
        ("AABBAB", 4, 4),  # at home
        ("BBB", 2, 0),
        ("AB?BB", 4, 3),  # what ran in between is not known
    ],
)
def test_departure(tactics: str, at: int, start: int) -> None:
    """Back to where the run away from home began."""
    assert departure([None if t == "?" else t for t in tactics], at, "A") == start
