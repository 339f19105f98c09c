"""The record types of the bundle contract, strictly typed: the decoder refuses what does not fit."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import msgspec.structs
import pyarrow as pa

# Arrow's and DuckDB's BIGINT; a larger number is a reject, not an overflow.
I64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
# Half of BIGINT and of INTEGER: what is added to such a number still fits. Times reach from 1896 to 2116: so does
# the length from the first to the end of a step that begins at the last.
HALF = 2**62 - 1
Time = Annotated[int, msgspec.Meta(ge=-(2**61), le=HALF)]
Count = Annotated[int, msgspec.Meta(ge=0, le=HALF)]
Rank = Annotated[int, msgspec.Meta(ge=0, le=2**30 - 1)]
# Milliseconds: 11.6 days, longer than any step or wait, and 9,000 of them are BIGINT nanoseconds still.
LONGEST_MS = 10**9
Duration = Annotated[float, msgspec.Meta(ge=-LONGEST_MS, le=LONGEST_MS)]
# What requests and iterations add up: eight million of 2^40 are BIGINT still, and no step has so many of anything.
MOST = 2**40
Amount = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Memory = Annotated[float, msgspec.Meta(ge=-MOST, le=MOST)]  # 2^40 MiB is an exbibyte; sums and squares stay finite
Gap = Annotated[float, msgspec.Meta(ge=-(2.0**129), le=2.0**129)]  # two logits': a float32 is below 2^128
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]+$")]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class XRecord(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the model saw: one a request."""

    record: str | None = None
    req_id: Name
    replica: str | None = None
    admitted_ns: Time | None = None
    raw_prompt_sha256: Hex | None = None
    effective_text_sha256: Hex | None = None
    effective_tokens: Amount | None = None
    truncated: bool | None = None
    trunc_reason: str | None = None
    decode_cfg_applied: dict[str, Any] | None = None
    shaping_events: list[str] | None = None
    prefix_cache_used: bool | None = None
    prefix_cache_key: str | None = None
    routing_template: str | None = None
    system_sha256: Hex | None = None
    tenant: str | None = None
    prompt_family: str | None = None


class SRecord(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which plan ran: one a request and decode step, or one a rank and iteration."""

    record: str | None = None
    req_id: Name | None = None
    step: Count | None = None
    ts_ns: Time | None = None
    replica: str | None = None
    rank: Rank | None = None
    iteration: Count | None = None
    batch_fp: str | None = None
    batch_size: Amount | None = None
    shape: str | None = None
    queue_ms: Duration | None = None
    gpu_ms: Duration | None = None
    comm_ms: Duration | None = None
    sync_ms: Duration | None = None
    vram_free_mb: Memory | None = None
    workspace_free_mb: Memory | None = None
    kv_pool_total_mb: Memory | None = None
    isr_pinned_mb: Memory | None = None
    ckpt_pinned_mb: Memory | None = None
    kv_regime: str | None = None
    kv_evicted_blocks: Amount | None = None
    recompute_tokens: Amount | None = None
    paging_on: bool | None = None
    queue_p95_ms: Duration | None = None
    precision_path: str | None = None
    dequant_cycles: Amount | None = None
    algo_id: str | I64 | None = None
    kernel_variant: str | I64 | None = None
    expected_algo_id: str | I64 | None = None
    fallback_reason: str | None = None
    isolation_mode: str | None = None
    token_id: I64 | None = None
    top2_token_id: I64 | None = None
    margin: Gap | None = None


class RecorderRecord(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a recorder wrote and dropped: one a recorder, on close."""

    record: str | None = None
    replica: str | None = None
    rank: Rank | None = None
    written: Count | None = None
    dropped: Count | None = None
    errors: Count | None = None
    started_ns: Time | None = None
    ended_ns: Time | None = None


KINDS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "x": (XRecord, "x_records"),
    "s": (SRecord, "s_records"),
    "recorder": (RecorderRecord, "recorder_losses"),
}

TACTICS = ("algo_id", "kernel_variant", "expected_algo_id")  # a tactic's name may be a number
_ARROW: dict[Any, pa.DataType] = {
    "I64": pa.int64(),
    "Time": pa.int64(),
    "Count": pa.int64(),
    "Amount": pa.int64(),
    "Rank": pa.int32(),
    "Duration": pa.float64(),
    "Memory": pa.float64(),
    "Gap": pa.float64(),
    "bool": pa.bool_(),
    "list[str]": pa.list_(pa.string()),
}


def arrow_schema(kind: str) -> pa.Schema:
    """The Arrow columns of a record kind: its fields, then ``line`` and ``extra``."""
    struct, _ = KINDS[kind]
    fields = []
    for name, annotation in struct.__annotations__.items():
        if name == "record":
            continue
        base = str(annotation).replace(" | None", "")
        fields.append(pa.field(name, pa.string() if name in TACTICS else _ARROW.get(base, pa.string())))
    fields.append(pa.field("line", pa.int64()))
    if kind != "recorder":
        fields.append(pa.field("extra", pa.string()))
    return pa.schema(fields)


def limits(kind: str) -> dict[str, tuple[float | None, float | None, int | None]]:
    """Smallest and largest value, and smallest length, of the fields that have such."""
    known: dict[str, tuple[float | None, float | None, int | None]] = {}
    for field in msgspec.structs.fields(KINDS[kind][0]):
        for part in getattr(field.type, "__args__", ()):
            for meta in getattr(part, "__metadata__", ()):
                if field.name not in TACTICS:  # a tactic is a text or any number of 64 bits
                    known[field.name] = (meta.ge, meta.le, meta.min_length)
    return known


def kind_of(record: dict[str, Any]) -> str | None:
    """x, s or recorder, by its mark, else by the fields that only one of them has; None: neither."""
    mark = record.get("record")
    if isinstance(mark, str) and mark in KINDS:
        return mark
    if mark is not None:  # another program's: loguru's ``record`` is an object
        return None
    if any(key.endswith("_sha256") for key in record):
        return "x"
    if "step" in record or "iteration" in record:
        return "s"
    return None


def fault(record: msgspec.Struct) -> str | None:
    """What an s record lacks to be placed, or None."""
    if isinstance(record, SRecord):
        if record.req_id is not None:
            return None if record.step is not None else "s record of a request without step"
        if record.replica is None or record.rank is None or record.iteration is None:
            return "s record without req_id wants replica, rank and iteration"
    return None
