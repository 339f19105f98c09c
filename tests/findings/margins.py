"""Replays by hand: a request on replica a, and its twin on b, whose margins are given step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from postmortem.catalogue.catalogue import Catalogue, queries

Step = tuple[float, float, bool]  # the reference's margin, what it lost, and whether another tactic ran


def replayed(groups: Sequence[Sequence[Step]]) -> dict[str, list[dict[str, Any]]]:
    """x and s records of one reference ``a-N`` and one request ``b-N`` a group; a move beyond the margin flips."""
    x: list[dict[str, Any]] = []
    s: list[dict[str, Any]] = []
    for n, steps in enumerate(groups):
        for at, replica in enumerate("ab"):
            x.append({
                "line": len(x), "req_id": f"{replica}-{n}", "replica": replica, "admitted_ns": at,
                "effective_text_sha256": f"{n:02x}", "decode_cfg_applied": '{"temperature": 0}',
            })  # fmt: skip
        for step, (margin, lost, other) in enumerate(steps):
            flips = lost > margin
            shared = {"step": step, "ts_ns": step}
            s.append({
                "line": len(s), "req_id": f"a-{n}", "replica": "a", **shared, "token_id": 1, "top2_token_id": 2,
                "margin": margin, "algo_id": "t",
            })  # fmt: skip
            s.append({
                "line": len(s), "req_id": f"b-{n}", "replica": "b", **shared, "token_id": 2 if flips else 1,
                "top2_token_id": 1 if flips else 2, "margin": abs(margin - lost), "algo_id": "u" if other else "t",
            })  # fmt: skip
    return {"x_records": x, "s_records": s}


def moves(groups: Sequence[Sequence[Step]]) -> pl.DataFrame:
    """What margin_moves says of ``replayed(groups)``, without a store: quick."""
    rows = []
    for n, steps in enumerate(groups):
        after = False
        for step, (margin, lost, other) in enumerate(steps):
            flips, own = lost > margin, abs(margin - lost)
            rows.append({
                "req_id": f"b-{n}", "reference": f"a-{n}", "step": step, "tactic": "u" if other else "t",
                "reference_tactic": "t", "margin": own, "reference_margin": margin,
                "moved": margin + own if flips else margin - own, "flipped": flips, "other_plan": other,
                "after_other": after,
            })  # fmt: skip
            after |= other
            if flips:
                break
    asked = queries()["margin_moves"].columns
    told = pl.DataFrame(rows).with_columns(pl.lit(None).alias(c.name) for c in asked if c.name not in rows[0])
    kinds = {"iteration": pl.Int64} | dict.fromkeys(("replica", "precision", "reference_precision"), pl.String)
    return told.select(c.name for c in asked).cast(kinds)


class Fixed(Catalogue):
    """A catalogue whose every query gives one answer."""

    def __init__(self, answer: pl.DataFrame) -> None:
        self._answer = answer

    def run(self, name: str, **params: Any) -> pl.DataFrame:
        """The answer."""
        return self._answer

    kept = run

    def view(self, name: str) -> pl.DataFrame:
        """What ``compared`` says of the requests of the answer."""
        assert name == "compared"
        return self._answer.group_by("req_id", "reference", maintain_order=True).agg(pl.col("flipped").any())
