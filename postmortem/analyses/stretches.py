"""Stretches of a series of iterations: where a tactic held, where a batch began to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def departure(values: Sequence[object], at: int, home: object) -> int:
    """Index at which the run of values other than ``home`` that holds ``at`` begins.

    ``at`` itself where the value there is ``home``.
    """
    if values[at] == home:
        return at
    start = at
    while start > 0 and values[start - 1] != home and values[start - 1] is not None:
        start -= 1
    return start


def ramp(sizes: Sequence[int], at: int) -> int:
    """Index of the first step of the monotonic change that reaches ``at``; ``at`` where nothing changed there."""
    if at == 0 or sizes[at] == sizes[at - 1]:
        return at
    rising = sizes[at] > sizes[at - 1]
    start = at
    while start > 1 and sizes[start - 1] != sizes[start - 2] and (sizes[start - 1] > sizes[start - 2]) == rising:
        start -= 1
    return start
