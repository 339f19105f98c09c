"""Replays by hand: a request on replica a, and its twin on b, whose margins are given step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
