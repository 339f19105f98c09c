"""Fisher's exact test, one-sided, in whole numbers."""

from __future__ import annotations

from math import comb


def fisher_greater(a: int, b: int, c: int, d: int) -> float:
    """P of a table at least as extreme as [[a, b], [c, d]] towards a large ``a``, margins fixed.

    The hypergeometric tail, exact.
    """
    row, column, total = a + b, a + c, a + b + c + d
    top = min(row, column)
    ways = sum(comb(column, k) * comb(total - column, row - k) for k in range(a, top + 1))
    return ways / comb(total, row) if total else 1.0
