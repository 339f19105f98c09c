"""Reads one export: what it says of itself, then its events table by table."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Batch, Facts, Item, Note, Source
from postmortem.ingest.readers.nsys_sqlite import events, metrics, notes, nvtx, session
from postmortem.ingest.readers.nsys_sqlite.evidence import DAMAGE, Database, opened
from postmortem.ingest.readers.nsys_sqlite.rows import Ledger
from postmortem.ingest.readers.nsys_sqlite.strings import Strings

# Every table that is read, and where its rows go; nsys_tables tells which of them are there.
READ_INTO = {
    **{t.export: t.store for t in events.TABLES},
    "NVTX_EVENTS": "nvtx_events",
    "GPU_METRICS": "gpu_metrics",
    "TARGET_INFO_GPU_METRICS": "gpu_metrics",
    "GENERIC_EVENTS": "gpu_metrics",
    "GENERIC_EVENT_TYPES": "gpu_metrics",
    "GENERIC_EVENT_SOURCES": "gpu_metrics",
    "DIAGNOSTIC_EVENT": "diagnostics",
    "TARGET_INFO_GPU": "gpus",
    "TARGET_INFO_CUDA_DEVICE": "gpu_devices",
    "TARGET_INFO_NIC_INFO": "nics",
    "TARGET_INFO_CUDA_STREAM": "streams",
    "TARGET_INFO_CUDA_NULL_STREAM": "streams",
    "TARGET_INFO_CUDA_CONTEXT_INFO": "streams",
    "PROCESSES": "processes",
    "ThreadNames": "threads",
    "META_DATA_EXPORT": "nsys_sessions",
    "EXPORT_META_DATA": "nsys_sessions",
    "TARGET_INFO_SESSION_START_TIME": "nsys_sessions",
    "ANALYSIS_DETAILS": "nsys_sessions",
    "TARGET_INFO_SYSTEM_ENV": "nsys_sessions",
    "META_DATA_CAPTURE": "nsys_environment",
    "StringIds": "names of all tables",
}


def read(source: Source) -> Iterator[Item]:
    """All that the export holds. Raises SourceUnreadable where nothing of it can be read."""
    others = nvtx.patterns(source.name, source.nvtx)
    with opened(source) as db:
        try:
            yield from _read(source, db, others)
        except DAMAGE as e:
            raise SourceUnreadable(source.name, f"SQLite says: {e}", "export it again") from e


def _read(source: Source, db: Database, others: nvtx.Patterns) -> Iterator[Item]:
    keep = source.keep_environment
    ledger, seen, nvtx_seen = Ledger(), events.Seen(), nvtx.NvtxSeen()
    about = session.read_session(db, ledger)
    strings = Strings(db, ledger, keep_environment=keep)
    known = nvtx.names(db, strings, keep)
    yield from notes.of_file(db)
    yield from notes.of_session(about)
    yield from session.session_batches(about, keep_environment=keep)
    for batch in session.machine_batches(db, about, strings, known.threads, ledger, keep):
        yield batch
        if batch.table == "diagnostics":
            yield from notes.of_diagnostics(batch)
    for table in events.TABLES:
        for batch in events.read(db, table, strings, ledger, seen):
            yield batch
            yield from ledger.take()
    for batch in nvtx.read(db, strings, known, others, about.end_ns, keep, ledger, seen, nvtx_seen):
        yield batch
        yield from ledger.take()
    for batch in metrics.read(db, ledger, seen):
        yield batch
        yield from ledger.take()
    yield from ledger.take()
    yield _tables(db, ledger)
    yield from notes.of_events(db, about, ledger, seen, nvtx_seen)
    yield from notes.of_ledger(ledger)
    yield from _facts(about, seen, nvtx_seen)


def _tables(db: Database, ledger: Ledger) -> Batch:
    """Which tables are there: an absent one says that nothing of its kind was recorded."""
    names = sorted({*READ_INTO, *db.tables})
    counts = [ledger.rows[n] if n in READ_INTO and n in db.tables else None for n in names]
    return Batch("nsys_tables", pa.table({
        "table_name": pa.array(names, pa.string()),
        "present": pa.array([n in db.tables for n in names], pa.bool_()),
        "rows": pa.array(counts, pa.int64()),
        "read_into": pa.array([READ_INTO.get(n) for n in names], pa.string()),
    }))  # fmt: skip


def _facts(about: session.Session, seen: events.Seen, nvtx_seen: nvtx.NvtxSeen) -> Iterator[Item]:
    rank = None
    # A rank has one device in NCCL's communicators, and one process whose iterations launch work.
    ranks = max(len(seen.collective_devices), len(seen.gpu_processes & nvtx_seen.iteration_processes))
    if ranks <= 1 and (found := about.ranks()):
        variable, values = found
        processes = len(seen.gpu_processes)
        if len(values) == 1 and processes <= 1:
            rank = next(iter(values))
        else:
            why = f"{variable} has {len(values)} values" if len(values) > 1 else f"{processes} processes used GPUs"
            yield Note("notice", "several_ranks", f"its environment tells no single rank: {why}")
    yield Facts(
        first_ns=seen.first_ns,
        last_ns=seen.last_ns,
        origin_ns=about.origin_ns,
        clock="UTC, as exported" if about.normalized else "session start",
        rank=rank,
        rank_from=None if rank is None else "environment",
        ranks=ranks if ranks > 1 else None,
        version=about.exporter,
    )
