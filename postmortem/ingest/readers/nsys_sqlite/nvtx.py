"""NVTX ranges and marks: names of domains and categories, payloads, what a text tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Batch
from postmortem.ingest.readers.nsys_sqlite.events import Seen
from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.rows import Column, Ledger, checked_times, rows
from postmortem.ingest.readers.nsys_sqlite.strings import Strings, tidied

TABLE = "NVTX_EVENTS"
OWN_DOMAIN = "postmortem"

CATEGORY, MARK, THREAD, DOMAIN_CREATE, DOMAIN_DESTROY = 33, 34, 39, 75, 76
STYLES = {34: "Mark", 59: "PushPop", 60: "StartEnd", 70: "PushPop", 71: "StartEnd"}  # 70, 71: from NVTXT files
TID_BITS = 0xFFFFFF
LONGEST = 300  # characters of a number: a double ends at 309 digits, and what is beyond stays text

Patterns = Mapping[str, re.Pattern[str]]

_KIND = re.compile(r"\w+")
_KEY = re.compile(r"(\w+)=(\S*)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")

_COLUMNS = (
    Column("start", required=True), Column("end"), Column("eventType", required=True), Column("rangeId"),
    Column("category"), Column("color"), Column("text", "text"), Column("globalTid"), Column("endGlobalTid"),
    Column("textId"), Column("domainId"), Column("uint64Value"), Column("int64Value"), Column("doubleValue", "real"),
    Column("uint32Value"), Column("int32Value"), Column("floatValue", "real"), Column("jsonTextId"),
    Column("jsonText", "text"),
)  # fmt: skip


@dataclass
class NvtxSeen:
    """What the notes want to know: domains made, ranges and marks read, and the odd ones."""

    domains: int = 0
    categories: int = 0
    events: int = 0
    iteration_processes: set[int] = field(default_factory=set)
    never_popped: int = 0
    unnamed: int = 0  # of domains whose creation the export lacks
    unknown_types: set[int] = field(default_factory=set)
    unparsed: int = 0
    unparsed_example: str = ""


@dataclass(frozen=True)
class Names:
    """Names by process: (globalPid, domain) → domain, (globalPid, domain, category) → category."""

    domains: dict[tuple[int, int], str]
    categories: dict[tuple[int, int, int], str]
    threads: dict[int, str]


def patterns(name: str, given: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    """The bundle's own patterns, compiled. Raises SourceUnreadable where one is no expression."""
    compiled = {}
    for kind, text in given.items():
        try:
            compiled[kind] = re.compile(text)
        except re.error as e:
            raise SourceUnreadable(name, f"the [nvtx] pattern of {kind} is no regular expression ({e})") from e
    return compiled


def told(text: str, own: bool, others: Patterns) -> tuple[str, str] | None:
    """(kind, keys as JSON) of a text, or None: the bundle's patterns first, then the grammar.

    own: the text is of the domain ``postmortem``, whose grammar is ``kind key=value …``.
    """
    for kind, pattern in others.items():
        if match := pattern.search(text):
            return kind, json.dumps({k: _value(v) for k, v in match.groupdict().items() if v is not None})
    if not own:
        return None
    kind, *pairs = text.split() or [""]
    keys = [_KEY.fullmatch(p) for p in pairs]
    if not _KIND.fullmatch(kind) or not all(keys):
        return None
    return kind, json.dumps({k[1]: _value(k[2]) for k in keys if k})


def _value(text: str) -> int | float | str:
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def names(db: Database, strings: Strings, keep_environment: bool) -> Names:
    """Names of domains, categories and threads; a process numbers its own."""
    found = Names({}, {}, {})
    where = f"eventType IN ({CATEGORY}, {THREAD}, {DOMAIN_CREATE})"
    if not db.has(TABLE, "eventType"):
        return found
    for batch in rows(db, TABLE, _COLUMNS, Ledger(), where):
        texts = _texts(batch, strings, keep_environment)
        for row, text in zip(
            batch.select(["eventType", "globalTid", "domainId", "category"]).to_pylist(), texts.to_pylist(), strict=True
        ):
            tid, domain = row["globalTid"] or 0, row["domainId"] or 0
            pid = tid & ~TID_BITS
            if row["eventType"] == DOMAIN_CREATE:
                found.domains[pid, domain] = text or ""
            elif row["eventType"] == THREAD:
                found.threads[tid] = text or ""
            else:
                found.categories[pid, domain, row["category"] or 0] = text or ""
    return found


def read(
    db: Database, strings: Strings, known: Names, others: Patterns, session_end: int | None,
    keep_environment: bool, ledger: Ledger, seen: Seen, nvtx: NvtxSeen,
) -> Iterator[Batch]:  # fmt: skip
    """Batches of ``nvtx_events``. session_end: in the export's times, None where unknown."""
    for batch in rows(db, TABLE, _COLUMNS, ledger):
        kinds = pc.value_counts(batch.column("eventType")).to_pylist()
        for row in kinds:
            nvtx.domains += row["counts"] if row["values"] == DOMAIN_CREATE else 0
            nvtx.categories += row["counts"] if row["values"] == CATEGORY else 0
        nvtx.unknown_types |= {r["values"] for r in kinds} - {*STYLES, CATEGORY, THREAD, DOMAIN_CREATE, DOMAIN_DESTROY}
        batch = batch.filter(pc.is_in(batch.column("eventType"), pa.array(list(STYLES), pa.int64())))
        batch = checked_times(TABLE, batch, "start", "end", ledger)
        if batch.num_rows:
            nvtx.events += batch.num_rows
            events = _events(batch, strings, known, others, session_end, keep_environment, nvtx)
            of = events.column("global_tid").filter(pc.equal(events.column("kind"), "iteration"))
            nvtx.iteration_processes |= {t & ~TID_BITS for t in pc.unique(of).to_pylist() if t is not None}
            yield Batch("nvtx_events", events)
            seen.span(batch.column("start"))
            seen.span(pc.coalesce(batch.column("end"), batch.column("start")))


def _events(
    batch: pa.RecordBatch, strings: Strings, known: Names, others: Patterns,
    session_end: int | None, keep_environment: bool, nvtx: NvtxSeen,
) -> pa.Table:  # fmt: skip
    col = {name: batch.column(name) for name in batch.schema.names}
    styles = pa.array([STYLES[t] for t in col["eventType"].to_pylist()], pa.string())
    mark = pc.equal(col["eventType"], MARK)
    texts = _texts(batch, strings, keep_environment)
    domains, categories = _named(col, known)
    unnamed = pc.and_(pc.is_null(domains), pc.fill_null(pc.not_equal(col["domainId"], 0), fill_value=False))
    nvtx.unnamed += int(pc.sum(unnamed).as_py() or 0)
    end = pc.if_else(mark, pa.scalar(None, pa.int64()), col["end"])
    open_ = pc.is_null(end)
    if session_end is not None:
        open_ = pc.or_(open_, pc.fill_null(pc.greater_equal(end, session_end), fill_value=False))
    never = pc.and_(pc.invert(mark), open_)
    nvtx.never_popped += int(pc.sum(never).as_py() or 0)
    kinds, keys = _told(texts, domains, others, nvtx)
    none = pa.scalar(None, pa.int64())
    return pa.table({
        "event_id": col["_rowid"],
        "global_tid": col["globalTid"],
        "end_global_tid": pc.if_else(mark, none, pc.coalesce(col["endGlobalTid"], col["globalTid"])),
        "start_ns": col["start"],
        "end_ns": end,
        "style": styles,
        "text": texts,
        "domain_id": col["domainId"],
        "domain": domains,
        "category_id": col["category"],
        "category": categories,
        "range_id": col["rangeId"],
        "color": col["color"],
        "payload_uint": pc.coalesce(_unsigned(col["uint64Value"], 64), _unsigned(col["uint32Value"], 32)),
        "payload_int": pc.coalesce(col["int64Value"], col["int32Value"]),
        "payload_float": pc.coalesce(col["doubleValue"], col["floatValue"]),
        "payload_json": pc.coalesce(col["jsonText"], strings.names(col["jsonTextId"]).cast(pa.string())),
        "never_popped": never,
        "kind": kinds,
        "keys": keys,
    })  # fmt: skip


def _texts(batch: pa.RecordBatch, strings: Strings, keep_environment: bool) -> pa.Array:
    registered = strings.names(batch.column("textId")).cast(pa.string())
    return tidied(pc.coalesce(registered, batch.column("text")), keep_environment=keep_environment)


def _unsigned(values: pa.Array, bits: int) -> pa.Array:
    """SQLite keeps unsigned numbers in signed ones of 64 bits."""
    raw = pc.fill_null(values, 0).to_numpy().astype(np.uint64) & np.uint64((1 << bits) - 1)
    return pa.array(raw, pa.uint64(), mask=pc.is_null(values).to_numpy(zero_copy_only=False))


def _named(col: Mapping[str, pa.Array], known: Names) -> tuple[pa.Array, pa.Array]:
    """Names of each row's domain and category: a few comparisons for each known name."""
    pid = pc.fill_null(col["globalTid"], 0).to_numpy() & ~TID_BITS
    domain = pc.fill_null(col["domainId"], 0).to_numpy()
    category = pc.fill_null(col["category"], 0).to_numpy()
    domains: np.ndarray = np.full(len(pid), None, dtype=object)
    categories: np.ndarray = np.full(len(pid), None, dtype=object)
    for (p, d), text in known.domains.items():
        domains[(pid == p) & (domain == d)] = text
    for (p, d, c), text in known.categories.items():
        categories[(pid == p) & (domain == d) & (category == c)] = text
    return pa.array(domains, pa.string()), pa.array(categories, pa.string())


def _told(texts: pa.Array, domains: pa.Array, others: Patterns, nvtx: NvtxSeen) -> tuple[pa.Array, pa.Array]:
    """kind and keys of each row; each distinct text is parsed once."""
    own = pc.fill_null(pc.equal(domains, OWN_DOMAIN), fill_value=False)
    if not others and not pc.any(own).as_py():
        return pa.nulls(len(texts), pa.string()), pa.nulls(len(texts), pa.string())
    encoded = texts.dictionary_encode()
    index = pc.fill_null(encoded.indices, -1).to_numpy()
    is_own = own.to_numpy(zero_copy_only=False)
    kinds: np.ndarray = np.full(len(texts), None, dtype=object)
    keys: np.ndarray = np.full(len(texts), None, dtype=object)
    distinct = encoded.dictionary.to_pylist()
    for mine in (True, False):
        rows_ = np.flatnonzero((is_own == mine) & (index >= 0))
        if not len(rows_) or not (mine or others):
            continue
        parsed = {int(i): told(distinct[i], mine, others) for i in np.unique(index[rows_])}
        for row in rows_:
            answer = parsed[int(index[row])]
            if answer is not None:
                kinds[row], keys[row] = answer
            elif mine:
                nvtx.unparsed += 1
                nvtx.unparsed_example = distinct[index[row]]
    return pa.array(kinds, pa.string()), pa.array(keys, pa.string())
