"""Dequantisation against free memory: paper and pencil, ranks renamed, and the lab's own stall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.queries.test_every_query import store_with

FINDING = findings()["dequant_pressure"]


def ask(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return FINDING.run(Catalogue(store_with({"s_records": rows}))).to_dicts()


def pressed(rank: int) -> list[dict[str, Any]]:
    """Two ranks, 40 iterations, free memory at random; one rank dequantises 1000 less a cycle for each MiB left."""
    free = np.random.default_rng(1).permutation(40) * 10.0
    return [
        {
            "line": 2 * i + r, "replica": "a", "rank": r, "iteration": i, "vram_free_mb": free[i] + 50,
            "isr_pinned_mb": 50.0, "dequant_cycles": 1000 - int(free[i]) if r == rank else 7,
        }
        for i in range(40)
        for r in (0, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("rank", [0, 1])
def test_by_hand(rank: int) -> None:
    """-1 on that rank: 20 iterations of 0 to 190 MiB have 905 cycles each, those of 200 to 390 have 705."""
    (row,) = ask(pressed(rank))
    assert (row["rank"], row["iterations"], row["free_mb"]) == (rank, 40, 195.0)
    assert (row["rho"], row["low"], row["high"]) == pytest.approx((-1, -1, -1))
    assert (row["cycles_short"], row["cycles_ample"]) == (905.0, 705.0)
    assert row["p_value"] < 0.05


def test_the_order_of_ties_is_no_pressure() -> None:
    """Cycles that grow with time, memory the same but for two iterations in the middle: no half had more of them."""
    free, cycles = [90.0] * 20, list(range(20))
    free[9] = free[10] = 80.0
    rows = [
        {
            "line": i, "replica": "a", "rank": 0, "iteration": i, "vram_free_mb": free[i], "dequant_cycles": cycles[i],
        }
        for i in range(20)
    ]  # fmt: skip
    (row,) = ask(rows)
    # all 20 and those two have a mean of 9.5, so every tie of 90 MiB has it, in whichever half it is put
    assert (row["rho"], row["cycles_short"], row["cycles_ample"]) == (pytest.approx(0), 9.5, 9.5)


def test_fewer_records_are_no_surer() -> None:
    """With four of five records gone, nothing is said."""
    assert ask([row for row in pressed(1) if row["iteration"] < 8]) == []


def test_the_labs_stall(shipped: dict[str, Incident]) -> None:
    """Its cycles do not come from short memory: none of the shipped recordings has more where less was free."""
    for incident in shipped.values():
        for row in incident.query("dequant_pressure").to_dicts():
            assert not (row["high"] < 0 and row["p_value"] < 0.05)
    assert shipped["straggler"].query("dequant_pressure")["rank"].to_list() == [1]
