"""What the audit must say of an export: what it does not hold, and why that is not nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from postmortem.ingest.reader import Batch, Note
from postmortem.ingest.readers.nsys_sqlite.events import Seen
from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.nvtx import NvtxSeen
from postmortem.ingest.readers.nsys_sqlite.rows import Ledger
from postmortem.ingest.readers.nsys_sqlite.session import Session

KNOWN_MAJORS = {"2", "3"}  # schema majors seen in real exports, 2022 to 2026
KERNELS, GRAPHS, NVTX = "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_GRAPH_TRACE", "NVTX_EVENTS"
METRICS, GENERIC = "GPU_METRICS", "GENERIC_EVENTS"

_LOST = re.compile(
    r"overflow|\blost\b|\bdropped\b|\bdiscarded\b|\bmissing\b|not collected|\bnot all\b.*\bcollected\b", re.I
)


def of_file(db: Database) -> Iterator[Note]:
    """Notes on the file as a file."""
    if db.truncated:
        there, promised = db.truncated
        yield Note("data_loss", "truncated", f"cut off: {there} of {promised} bytes; what could be read was kept")
    if db.wal:
        yield Note("notice", "wal_mode", "in WAL mode: changes left in a -wal file elsewhere would be missing")


def of_session(session: Session) -> Iterator[Note]:
    """Notes on the session's clock, version and origin."""
    if session.origin_ns is None:
        yield Note("notice", "no_wall_clock", "no session start in UTC: its times cannot be set against other sources")
    if session.schema is None:
        yield Note("info", "no_schema_version", "no schema version (about 2020): tables and columns were probed")
    elif session.schema.split(".")[0] not in KNOWN_MAJORS:
        yield Note("notice", "unknown_schema", f"schema {session.schema} is newer than any known: columns were probed")
    if session.normalized:
        yield Note("info", "times_in_utc", "exported with --ts-normalize: its times are UTC, not since session start")
    if session.shift_ns:
        yield Note(
            "notice",
            "times_shifted",
            f"exported with --ts-shift={session.shift_ns}: taken off again; if it is to mend the clock, write it into "
            "bundle.toml as clock_offset_ns",
        )
    if session.only_tables or session.only_times:
        parts = {"--tables": session.only_tables, "--times": session.only_times}
        what = " ".join(f"{option}={value}" for option, value in parts.items() if value)
        yield Note(
            "data_loss",
            "partial_export",
            f"exported with {what}: what that leaves out may have been recorded (export it again without)",
        )
    if session.derived_from:
        yield Note("info", "derived", "cut from another export by a tool: what lies outside the cut is missing")


def of_events(db: Database, session: Session, ledger: Ledger, seen: Seen, nvtx: NvtxSeen) -> Iterator[Note]:
    """Notes on what was and was not recorded."""
    graphs = ledger.rows[GRAPHS]
    if graphs or (seen.graph_launch_calls and not seen.kernels_of_graphs):
        what = f"{graphs} graph launches" if graphs else f"{seen.graph_launch_calls} graph launch calls"
        yield Note(
            "data_loss",
            "graphs_hide_kernels",
            f"{what}: recorded at graph granularity, so the kernels inside are not in the export "
            "(record with --cuda-graph-trace=node)",
        )
    if not ledger.rows[KERNELS] and KERNELS not in ledger.damaged:
        yield Note("notice", "no_kernels", f"no kernel was {_done(session)} ({_there(db, KERNELS)})")
    if nvtx.domains and not nvtx.events and not nvtx.categories:
        yield Note(
            "data_loss",
            "instrumentation_lost",
            f"{nvtx.domains} NVTX domains but no range: the program's nvtx package is newer than its nsys",
        )
    elif not nvtx.events and NVTX not in ledger.damaged:
        yield Note("info", "no_nvtx", f"no NVTX range was {_done(session)} ({_there(db, NVTX)})")
    if nvtx.never_popped:
        what = f"{nvtx.never_popped} NVTX ranges were open at the end: their ends are not their own"
        yield Note("notice", "never_popped", what)
    if nvtx.unnamed:
        yield Note(
            "notice",
            "unnamed_domains",
            f"{nvtx.unnamed} NVTX ranges and marks are of domains whose names were left out: "
            "only bundle.toml's [nvtx] patterns tell what they say",
        )
    if nvtx.unknown_types:
        types = ", ".join(map(str, sorted(nvtx.unknown_types)[:10]))
        yield Note("notice", "nvtx_types_left_out", f"NVTX events of unknown types were left out: {types}")
    if (
        (ledger.rows[METRICS] or ledger.rows[GENERIC])
        and ledger.rows["TARGET_INFO_GPU"] > 1
        and session.renumbers_devices
        and not ledger.rows["TARGET_INFO_CUDA_DEVICE"]
    ):
        yield Note(
            "notice",
            "gpu_unknown",
            "CUDA_VISIBLE_DEVICES renumbered the GPUs: which of several sampled ones ran the kernels is not told "
            "(nsys 2025.1 and later tell it)",
        )
    if ledger.rows[GENERIC] and not db.has(GENERIC, "timestamp"):
        yield Note(
            "notice",
            "raw_clock",
            f"{GENERIC} has no column timestamp: its metrics are placed by rawTimestamp, which may be of another clock",
        )
    if nvtx.unparsed:
        what = f"{nvtx.unparsed} texts of the domain postmortem tell nothing: {nvtx.unparsed_example[:80]!r}"
        yield Note("notice", "nvtx_unparsed", what)


def _done(session: Session) -> str:
    """A part of a recording cannot tell what was not recorded."""
    return "exported" if session.only_tables or session.only_times else "recorded"


def _there(db: Database, table: str) -> str:
    return f"the table {table} is there and empty" if table in db.tables else f"no table {table}"


def of_ledger(ledger: Ledger) -> Iterator[Note]:
    """Notes on what was lost or mended while reading."""
    for table, why in ledger.damaged.items():
        yield Note("data_loss", "damaged_table", f"{table}: {why}; {ledger.rows[table]} rows were read before that")
    if ledger.mended:
        yield Note("notice", "not_utf8", f"{ledger.mended} texts are not UTF-8: what could not be read shows as U+FFFD")
    if ledger.dangling:
        yield Note("notice", "dangling_names", f"{ledger.dangling} names are missing: the export lacks their strings")


def of_diagnostics(batch: Batch) -> Iterator[Note]:
    """Notes on the profiler's own warnings and errors."""
    for row in batch.rows.to_pylist():
        text = " ".join((row["text"] or "").split())
        if row["severity"] in {"warning", "error"} and _LOST.search(text):
            yield Note("data_loss", "lost_events", f"the profiler says: {text}")
        elif row["severity"] == "error":
            yield Note("notice", "profiler_error", f"the profiler says: {text}")
