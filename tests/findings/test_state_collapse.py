"""State collapse: paper and pencil, ranks renamed, fewer records, the shipped recordings.

That p is uniform where there is nothing is shown of ``threshold`` itself (tests/analyses/test_threshold.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.findings.margins import replayed
from tests.queries.test_every_query import store_with

FINDING = findings()["state_collapse"]


def served(sizes: list[int], churns: list[bool], renamed: bool = False) -> dict[str, list[dict[str, Any]]]:
    """One request a..b of as many steps as iterations, each in a batch of its own size, with another tactic or not."""
    given = replayed([[(1.0, 0.0, other) for other in churns]])
    for record in given["s_records"]:
        own = sizes[record["step"]] if record["req_id"].startswith("b") else 20
        record |= {"iteration": record["step"], "batch_size": own, "queue_ms": 0.0}
    ranks = [
        {"line": 1000 + 2 * i + r, "replica": replica, "rank": 1 - r if renamed else r, "iteration": i, "ts_ns": i,
         "vram_free_mb": 1000.0 - 10 * sizes[i] + 5 * r}
        for replica in "ab" for i in range(len(sizes)) for r in (0, 1)
    ]  # fmt: skip
    return given | {"s_records": given["s_records"] + ranks}


def ask(given: dict[str, list[dict[str, Any]]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["load"], row["outcome"]): row for row in FINDING.run(Catalogue(store_with(given))).to_dicts()}


def drawn(seed: int, n: int = 80) -> list[int]:
    """Sizes from 10 to 29, in no order."""
    return np.random.default_rng(seed).integers(10, 30, n).tolist()


def test_by_hand() -> None:
    """Another tactic beyond 20, always: the cut lies between 20 and 21, and below 800 less the batch's memory."""
    sizes = [*drawn(1), 20, 21]
    found = ask(served(sizes, [size > 20 for size in sizes]))
    row = found["concurrency", "churn"]
    assert (row["threshold"], row["low"], row["high"]) == (20.5, 20.0, 21.0)
    assert (row["share_beyond"], row["share_within"], row["separation"]) == (1.0, 0.0, 1.0)
    assert row["p_value"] <= 0.05
    memory = found["free_mb", "churn"]  # 1000 - 10 * 21 to 1000 - 10 * 20, of the rank with less
    assert (memory["low"], memory["threshold"], memory["high"]) == (790.0, 795.0, 800.0)
    assert ("queue_ms", "churn") not in found  # it never varied
    assert ("concurrency", "flip") not in found  # none flipped


def test_less_load_is_no_collapse() -> None:
    """Where the small batches run the other tactic, more load did not do it."""
    sizes = drawn(2)
    assert ask(served(sizes, [size < 15 for size in sizes]))["concurrency", "churn"]["p_value"] > 0.9


@pytest.mark.slow
def test_renaming_ranks_changes_nothing() -> None:
    """The fullest rank is the fullest whatever its number."""
    sizes = drawn(3)
    churns = [size > 20 for size in sizes]
    assert ask(served(sizes, churns)) == ask(served(sizes, churns, renamed=True))


@pytest.mark.slow
def test_fewer_records_are_no_surer() -> None:
    """Of a fifth of the iterations, p is no smaller."""
    sizes = drawn(4)
    whole, part = (ask(served(sizes[:n], [size > 20 for size in sizes[:n]])) for n in (80, 16))
    assert part["concurrency", "churn"]["p_value"] >= whole["concurrency", "churn"]["p_value"]


def test_the_shipped_recordings(shipped: dict[str, Incident]) -> None:
    """Every threshold lies within its interval; a replica without churn or flips has no row."""
    for incident in shipped.values():
        for row in incident.query("state_collapse").to_dicts():
            assert row["low"] <= row["threshold"] <= row["high"]
    assert shipped["calm"].query("state_collapse").filter(outcome="flip").is_empty()
