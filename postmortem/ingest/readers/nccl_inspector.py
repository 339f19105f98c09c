"""NCCL Inspector: JSON Lines of collectives with their durations (profiler plugin, NCCL 2.28 on).

A duration is the longest channel's time on one rank and contains waiting for late peers. Start
times exist in verbose dumps only; ``dump_ns`` is when the record was written, not when it ran.
Sequence numbers count by communicator and collective kind, and gaps are losses of the recorder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from postmortem.ingest.reader import Batch, Facts, Head, Ignored, Item, Reader, Reject, Source

NAME = "nccl_inspector"
ROWS = 50_000  # rows of one batch: some tens of MB of Python objects at most
NS_PER_US = 1_000
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
_TIME_US = (2**62 - 1) // NS_PER_US  # the difference of two such times still fits 64 bits of ns
LINES = 20  # a torn or foreign line may come first; twenty are read before giving up
REJECT_TEXT = 200  # characters of a rejected line that are kept (bundle.md)

SCHEMA = pa.schema([
    ("line", pa.int64()), ("comm_id", pa.string()), ("comm_name", pa.string()), ("rank", pa.int32()),
    ("n_ranks", pa.int32()), ("n_nodes", pa.int32()), ("coll", pa.string()), ("sn", pa.int64()),
    ("peer", pa.int32()), ("bytes", pa.int64()), ("exec_us", pa.float64()), ("timing_source", pa.string()),
    ("algbw", pa.float64()), ("busbw", pa.float64()), ("start_ns", pa.int64()), ("stop_ns", pa.int64()),
    ("dump_ns", pa.int64()), ("hostname", pa.string()), ("pid", pa.int64()), ("extra", pa.string()),
])  # fmt: skip

_MARK = re.compile(rb'"(?:coll_perf|p2p_perf)"\s*:\s*\{')
_KNOWN = {
    "header": {"id", "comm_name", "rank", "n_ranks", "nnodes"},
    "metadata": {"dump_timestamp_us", "hostname", "pid"},
}
_KNOWN_PERF = ("", "_sn", "_msg_size_bytes", "_exec_time_us", "_timing_source", "_algobw_gbs", "_busbw_gbs")


class BadRecord(ValueError):
    """A record that says something else than its format allows; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object of a record; each getter names the field that is of a wrong type."""

    values: dict[str, Any]

    def text(self, key: str) -> str | None:
        """A string, or None where absent; BadRecord for anything else."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise BadRecord(f"{key} is no string")
        return value

    def whole(self, key: str, limit: int = _INT64) -> int | None:
        """A whole number within ``limit`` (a float without a fraction counts); BadRecord otherwise."""
        value = self.number(key)
        if value is None:
            return None
        if value != int(value) or abs(value) > limit:
            raise BadRecord(f"{key} is no whole number of its size")
        return int(value)

    def number(self, key: str) -> float | int | None:
        """A number, or None where absent; BadRecord for anything else."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadRecord(f"{key} is no number")
        if isinstance(value, float) and value - value != 0:
            raise BadRecord(f"{key} is not finite")
        return value

    def real(self, key: str) -> float | None:
        """A number as a double, or None where absent; BadRecord for anything else."""
        value = self.number(key)
        try:
            return None if value is None else float(value)
        except OverflowError as e:
            raise BadRecord(f"{key} is beyond a double") from e

    def part(self, key: str) -> Fields:
        """An object within; empty where absent; BadRecord for anything else."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise BadRecord(f"{key} is no object")
        return Fields(value or {})


def sniff(head: Head) -> int:
    """95: JSON Lines with ``coll_perf`` or ``p2p_perf`` records; 85: such after a torn line; 0: anything else."""
    lines = (text for line in head.data.lstrip(b"\xef\xbb\xbf").split(b"\n") if (text := line.strip()))
    for number, text in enumerate(islice(lines, LINES)):
        if text.startswith(b"{") and _MARK.search(text):
            return 85 if number else 95
    return 0


def read(source: Source) -> Iterator[Item]:
    """All records of a dump. Raises OSError where the file cannot be read."""
    rows: list[tuple[Any, ...]] = []
    lines = parsed = blank = 0
    seen = _Seen()
    with source.open() as file:
        for number, raw in enumerate(file, 1):
            lines = number
            text = raw.strip()
            if not text:
                blank += 1
                continue
            try:
                row, version = record(number, text)
            except (ValueError, RecursionError) as e:
                reason = str(e) if isinstance(e, BadRecord) else "is no JSON object of one line"
                yield Reject(number, reason, text.decode("utf-8", "replace")[:REJECT_TEXT])
                continue
            parsed += 1
            seen.note(row, version)
            rows.append(row)
            if len(rows) >= ROWS:
                yield _batch(rows)
                rows = []
    if rows:
        yield _batch(rows)
    if blank:
        yield Ignored("blank", blank)
    yield seen.facts(lines, parsed)


def record(line: int, text: bytes) -> tuple[tuple[Any, ...], str | None]:
    """A line as a row of nccl_inspector, and the format's version. Raises ValueError."""
    top_value = json.loads(text.decode("utf-8-sig"), parse_constant=_no_constant)
    if not isinstance(top_value, dict):
        raise BadRecord("is no JSON object")
    if b"\\u" in text and _half(top_value):
        raise BadRecord("holds half a character")
    top = Fields(top_value)
    kind = "coll" if "coll_perf" in top_value else "p2p"
    if f"{kind}_perf" not in top_value:
        raise BadRecord("has neither coll_perf nor p2p_perf")
    perf = top.part(f"{kind}_perf")
    # Forks put at the top what belongs into a part that they have not.
    header, metadata = (top if top_value.get(part) is None else top.part(part) for part in _KNOWN)
    name = perf.text(kind)
    if name is None:
        raise BadRecord(f"names no {kind}")
    start, stop = _span(perf)
    return (
        line, _comm_id(header), header.text("comm_name"), header.whole("rank", _INT32),
        header.whole("n_ranks", _INT32), header.whole("nnodes", _INT32), name,
        perf.whole(f"{kind}_sn"), perf.whole("p2p_peer", _INT32), perf.whole(f"{kind}_msg_size_bytes"),
        perf.real(f"{kind}_exec_time_us"), perf.text(f"{kind}_timing_source"),
        perf.real(f"{kind}_algobw_gbs"), perf.real(f"{kind}_busbw_gbs"),
        start, stop, _ns(metadata.whole("dump_timestamp_us", _TIME_US)),
        metadata.text("hostname"), metadata.whole("pid"), _extra(top_value, kind),
    ), metadata.text("inspector_output_format_version")  # fmt: skip


def _no_constant(text: str) -> float:
    raise BadRecord(f"holds {text}, which JSON has not")


def _half(value: Any) -> bool:
    """Whether a text within is no UTF-8: an escape of one surrogate without its other."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _ns(us: int | None) -> int | None:
    return None if us is None else us * NS_PER_US


def _comm_id(header: Fields) -> str | None:
    """The communicator's hash as NCCL's log prints it: lower-case hex with 0x."""
    value = header.values.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    text = header.text("id")
    if text is None:
        return None
    try:
        return hex(int(text, 16))
    except ValueError as e:
        raise BadRecord("id is no hex number") from e


def _span(perf: Fields) -> tuple[int | None, int | None]:
    """Start and end of a verbose record, UTC epoch ns: its kernels'. Without these the call's start, and no end.

    The call's own end is that of its enqueueing, microseconds after its start, whenever its kernels run.
    """
    trace = perf.part("event_trace_ts")
    events = trace.values.get("kernel_events") or []
    if not isinstance(events, list) or not all(isinstance(e, dict) for e in events):
        raise BadRecord("kernel_events is no list of objects")
    # 0 stands for a time that was not taken.
    starts = [t for e in events if (t := Fields(e).whole("kernel_start_ts", _TIME_US))]
    stops = [t for e in events if (t := Fields(e).whole("kernel_stop_ts", _TIME_US))]
    start = min(starts) if starts else trace.whole("coll_start_ts", _TIME_US) or trace.whole("p2p_start_ts", _TIME_US)
    return _ns(start or None), _ns(max(stops)) if stops else None


def _extra(top: dict[str, Any], kind: str) -> str | None:
    """What no column holds, by section, as a JSON object."""
    perf = f"{kind}_perf"
    known_perf = {f"{kind}{end}" for end in _KNOWN_PERF} | {"p2p_peer"}
    at_top = {key for part, keys in _KNOWN.items() if top.get(part) is None for key in keys}
    left: dict[str, Any] = {}
    for section, value in top.items():
        if section == perf:
            rest = {k: v for k, v in value.items() if k not in known_perf}
        elif section in _KNOWN and value is not None:
            rest = {k: v for k, v in value.items() if k not in _KNOWN[section]}
        elif section in at_top:
            continue
        else:
            left[section] = value
            continue
        if rest:
            left[section] = rest
    return json.dumps(left, separators=(",", ":"), ensure_ascii=False) if left else None


def _batch(rows: list[tuple[Any, ...]]) -> Batch:
    arrays = [pa.array(c, type=f.type) for c, f in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return Batch(NAME, pa.Table.from_arrays(arrays, schema=SCHEMA))


class _Seen:
    """What the whole file says: its span, its rank, its version."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.version: str | None = None
        self.ranks: dict[int, set[int]] = {}
        self.processes: set[tuple[Any, Any]] = set()

    def note(self, row: tuple[Any, ...], version: str | None) -> None:
        rank, n_ranks, start, stop, dump = row[3], row[4], row[14], row[15], row[16]
        times = [t for t in (start, stop) if t is not None] or [t for t in (dump,) if t is not None]
        if times:
            self.first = min(times) if self.first is None else min(self.first, *times)
            self.last = max(times) if self.last is None else max(self.last, *times)
        self.version = self.version or version
        self.processes.add((row[17], row[18]))
        if rank is not None and (n_ranks or 0) > 1:
            self.ranks.setdefault(n_ranks, set()).add(rank)

    def facts(self, lines: int, parsed: int) -> Facts:
        """Facts of the file; a rank only where one process wrote it."""
        largest = self.ranks[max(self.ranks)] if self.ranks and len(self.processes) == 1 else set()
        one = next(iter(largest)) if len(largest) == 1 else None
        timed = self.first is not None
        return Facts(
            lines=lines, parsed=parsed, first_ns=self.first, last_ns=self.last,
            origin_ns=0 if timed else None, clock="host clock of NCCL Inspector" if timed else None,
            rank=one, rank_from="Inspector's largest communicator" if one is not None else None,
            version=f"inspector {self.version}" if self.version else None,
        )  # fmt: skip


READER = Reader(
    name=NAME,
    says="NCCL Inspector (JSON Lines of collectives with durations)",
    sniff=sniff,
    read=read,
)
