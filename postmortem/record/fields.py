"""The fields of x and s records as readers of a bundle take them: what these would refuse is refused here, and counted.

An engine's own types are made to fit where they say the same: a request's number is an id, 5.0 sequences are 5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

LONGEST_LINE = 1 << 20  # bytes; readers take no more for one record
I64 = 2**63
HALF = I64 // 2  # times and counts lie within: so the difference of two fits into 64 bits
LONGEST_MS = 10**9  # 11.6 days, longer than any step or wait
MOST = 2**40  # of what is added up, and of MiB: no machine has so many


def text(value: Any) -> str:
    """A text; a number (an engine's own request id, a replica's index) as its digits."""
    return value if isinstance(value, str) else str(whole(value))


def name(value: Any) -> str:
    """A text that is not empty."""
    if value == "":
        raise ValueError("empty")
    return text(value)


def digest(value: Any) -> str:
    """A hash in hexadecimal digits."""
    if not re.fullmatch("[0-9a-fA-F]+", value):
        raise ValueError("not hexadecimal")
    return str(value)


def whole(value: Any) -> int:
    """A whole number, be it written as a float."""
    number = int(value)
    if number != value:  # a text, too: it equals no number
        raise ValueError("not whole")
    return number


def within(least: int, most: int) -> Callable[[Any], int | None]:
    """A whole number from ``least`` to ``most``; None where it is not finite."""

    def fit(value: Any) -> int | None:
        if type(value) is int and least <= value <= most:
            return value
        if isinstance(value, float) and not math.isfinite(value):
            return None
        number = whole(value)
        if not least <= number <= most:
            raise ValueError("out of range")
        return number

    return fit


def up_to(most: float) -> Callable[[Any], float]:
    """A number of either sign that is no larger."""

    def number(value: Any) -> float:
        if not -most <= value <= most and math.isfinite(value):
            raise ValueError("out of range")
        return float(value)

    return number


def flag(value: Any) -> bool:
    """Yes or no; 1 or 0."""
    if value not in (0, 1):
        raise ValueError("neither true nor false")
    return bool(value)


def tactic(value: Any) -> Any:
    """A name or a number; one of more than 64 bits (a hash) as its digits."""
    if isinstance(value, str):
        return value
    known = whole(value)
    return known if -I64 <= known < I64 else str(known)


def texts(value: Any) -> list[str]:
    """A list of texts."""
    if not isinstance(value, (list, tuple)):
        raise TypeError("no list")
    return [text(item) for item in value]


def config(value: Any) -> dict[Any, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


count = within(0, HALF - 1)
time = within(-(2**61), HALF - 1)
amount = within(0, MOST)
milliseconds = up_to(LONGEST_MS)
memory = up_to(MOST)
gap = up_to(2.0**129)
rank_of = within(0, 2**30 - 1)
token = within(-I64, I64 - 1)

FITS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "x": {
        "req_id": name, "replica": text, "admitted_ns": time, "raw_prompt_sha256": digest,
        "effective_text_sha256": digest, "effective_tokens": amount, "truncated": flag, "trunc_reason": text,
        "decode_cfg_applied": config, "shaping_events": texts, "prefix_cache_used": flag, "prefix_cache_key": text,
        "routing_template": text, "system_sha256": digest, "tenant": text, "prompt_family": text,
    },
    "s": {
        "req_id": name, "step": count, "ts_ns": time, "replica": text, "rank": rank_of, "iteration": count,
        "batch_fp": text, "batch_size": amount, "shape": text, "queue_ms": milliseconds, "gpu_ms": milliseconds,
        "comm_ms": milliseconds, "sync_ms": milliseconds, "vram_free_mb": memory, "workspace_free_mb": memory,
        "kv_pool_total_mb": memory, "isr_pinned_mb": memory, "ckpt_pinned_mb": memory, "kv_regime": text,
        "kv_evicted_blocks": amount, "recompute_tokens": amount, "paging_on": flag, "queue_p95_ms": milliseconds,
        "precision_path": text, "dequant_cycles": amount, "algo_id": tactic, "kernel_variant": tactic,
        "expected_algo_id": tactic, "fallback_reason": text, "isolation_mode": text, "token_id": token,
        "top2_token_id": token, "margin": gap,
    },
}  # fmt: skip
# What needs no closer look.
EASY: dict[str, dict[str, type]] = {
    kind: {
        key: plain
        for key, fit in fits.items()
        for one, plain in ((text, str), (flag, bool), (tactic, str))
        if fit is one
    }
    for kind, fits in FITS.items()
}
PLACE = {"x": ("req_id",), "s": ("req_id", "step")}
PLACE_OF_RANK = ("replica", "rank", "iteration")  # of an s record without a request


def fitting(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The record without what is None, each field as readers take it.

    Raises ValueError, TypeError or OverflowError where a field is no such thing, or the record belongs nowhere.
    """
    fits, easy = FITS[kind], EASY[kind]
    record: dict[str, Any] = {"record": kind}
    for key, value in fields.items():
        if value is None:
            continue
        if key in fits and type(value) is not easy.get(key):
            value = fits[key](value)
        record[key] = value
    record["record"] = kind  # whatever the caller calls so
    wanted = PLACE_OF_RANK if kind == "s" and "req_id" not in record else PLACE[kind]
    if any(record.get(key) is None for key in wanted):
        raise ValueError(f"an {kind} record wants {', '.join(wanted)}")
    return record
