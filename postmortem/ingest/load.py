"""Run the readers over a bundle and write the store: the one place where files meet the database."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import zstandard

from postmortem.base.errors import NothingRecognised, SourceUnreadable
from postmortem.base.units import count
from postmortem.ingest.bundle import I64, Bundle, SourceSettings, head_of, open_files
from postmortem.ingest.files import BundleFile
from postmortem.ingest.groups import RowGroups
from postmortem.ingest.identity import rank_of, replica_of
from postmortem.ingest.reader import Batch, Facts, Ignored, Note, Reject, Source
from postmortem.ingest.recognise import recognise
from postmortem.store.store import Writer, create, finish

if TYPE_CHECKING:
    from postmortem.ingest.reader import Reader

HASH_BYTES = 1 << 20  # read at a time for the hash
REJECTS = 5_000  # rejects held before they are written

Progress = Callable[[str, int, int], None]
"""Called with the source's name, rows so far and bytes on disk."""
Derive = Callable[[Writer], None]
"""Called once with the filled store, before it takes its place."""


@dataclass
class Loaded:
    """What became of one file; the row of ``sources``."""

    source_id: int
    file: BundleFile
    kind: str
    bytes: int
    of_a_rank: bool = False
    sha256: str | None = None
    rows: int = 0
    rejected: int = 0
    ignored: int = 0
    facts: Facts = field(default_factory=Facts)
    error: str | None = None
    seconds: float = 0.0


def ingest(
    path: Path,
    store: Path,
    *,
    keep_environment: bool = False,
    progress: Progress | None = None,
    derive: Derive | None = None,
) -> None:
    """Read the bundle at ``path`` into a new store at ``store``, whole or not at all.

    ``derive`` adds to the filled store what would else be worked out at every question.
    One bad file is noted and the others go on. Raises BundleUnreadable, NothingRecognised
    (no reader knows any file), StoreError.
    """
    with open_files(path) as bundle, create(store) as writer:
        loaded = []
        for number, file in enumerate(bundle.files):
            loaded.append(_load_file(writer, bundle, number, file, keep_environment, progress))
        if not any((s.rows or s.error is None) and s.kind not in {"unrecognised", "bundle_toml"} for s in loaded):
            reasons = [f"{s.file.name}: {s.error}" for s in loaded if s.error]
            raise NothingRecognised(
                bundle.shown,
                "; ".join(reasons[:3]) if reasons else f"it holds {count(len(loaded), 'file')}, and no known trace",
                "bring s records, Nsight Systems SQLite exports or NCCL logs",
            )
        _write_settings(writer, bundle)
        _write_sources(writer, bundle, loaded)
        finish(writer)
        if derive:
            derive(writer)


def _load_file(
    writer: Writer, bundle: Bundle, number: int, file: BundleFile, keep_environment: bool, progress: Progress | None
) -> Loaded:
    start = time.perf_counter()
    done = Loaded(number, file, "unreadable", 0)
    with ThreadPoolExecutor(1, "hash") as aside:
        digest = aside.submit(sha256_of, file.path)
        _read_file(writer, bundle, done, keep_environment, progress)
    try:
        done.sha256 = digest.result()
    except OSError as e:
        done.error = done.error or e.strerror or str(e)
    done.seconds = time.perf_counter() - start
    return done


def _read_file(writer: Writer, bundle: Bundle, done: Loaded, keep_environment: bool, progress: Progress | None) -> None:
    """Read one file into the store; what stops that is the file's error."""
    file = done.file
    try:
        done.bytes = file.path.stat().st_size
        if file.name.rsplit("/", 1)[-1] == "bundle.toml":
            done.kind = "bundle_toml"
            return
        head = head_of(file)
        if not head.data:
            done.error = "is empty"
            return
        reader = recognise(head)
        done.kind = reader.name if reader else "unrecognised"
        if reader:
            done.of_a_rank = reader.of_a_rank
            settings = bundle.settings
            source = Source(file.name, file.path, head.packed, keep_environment, settings.time_format, settings.nvtx)
            _read(writer, reader, source, done, progress)
    except SourceUnreadable as e:
        done.error = e.reason + (f"; {e.remedy}" if e.remedy else "")
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, zstandard.ZstdError, pa.ArrowException) as e:
        done.error = " ".join((getattr(e, "strerror", None) or str(e) or type(e).__name__).split())


def _read(writer: Writer, reader: Reader, source: Source, done: Loaded, progress: Progress | None) -> None:
    """Drain one reader into the store."""
    rejects: list[Reject] = []
    groups = RowGroups()

    def write(batches: Iterator[Batch]) -> None:
        for batch in batches:
            writer.append(batch.table, batch.rows, source_id=done.source_id)

    def write_rejects() -> None:
        if rejects:
            rows = {
                "place": [r.place for r in rejects],
                "reason": [r.reason for r in rejects],
                "text": [r.text[:200] for r in rejects],
            }
            writer.append(
                "rejects",
                pa.table(
                    rows, schema=pa.schema([("place", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
                ),
                source_id=done.source_id,
            )
            rejects.clear()

    try:
        for item in reader.read(source):
            if isinstance(item, Batch):
                done.rows += item.rows.num_rows
                write(groups.add(item))
                if progress:
                    progress(source.name, done.rows, done.bytes)
            elif isinstance(item, Reject):
                done.rejected += 1
                rejects.append(item)
                if len(rejects) >= REJECTS:
                    write_rejects()
            elif isinstance(item, Ignored):
                done.ignored += item.lines
                writer.append("ignored", pa.table({"why": [item.why], "lines": [item.lines]}), source_id=done.source_id)
            elif isinstance(item, Note):
                rows = {"severity": [item.severity], "code": [item.code], "message": [item.message]}
                writer.append("notes", pa.table(rows), source_id=done.source_id)
            else:
                given = {k: v for k, v in vars(item).items() if v is not None}
                done.facts = replace(done.facts, **given)
    finally:
        write(groups.rest())
        write_rejects()
        for why in source.damage:
            note = {
                "severity": ["data_loss"],
                "code": ["packed-damaged"],
                "message": [f"{why}; what lies before it was read"],
            }
            writer.append("notes", pa.table(note), source_id=done.source_id)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _write_settings(writer: Writer, bundle: Bundle) -> None:
    settings = bundle.settings
    values = dict(settings.values)
    values |= {f"nvtx.{kind}": pattern for kind, pattern in settings.nvtx.items()}
    rows = {"key": list(values), "value": [msgspec.json.encode(v).decode() for v in values.values()]}
    writer.append("bundle", pa.table(rows))


def _write_sources(writer: Writer, bundle: Bundle, loaded: list[Loaded]) -> None:
    """Rows of ``sources`` and ``clocks``; rank and replica by the contract's order of guesses."""
    replicas = writer.replicas()
    spans = writer.replica_spans()
    for s in loaded:
        given = bundle.settings.sources.get(s.file.name, SourceSettings())
        facts = s.facts
        origin = facts.origin_ns
        shift = None if origin is None else origin + given.clock_offset_ns
        first, last = (
            None if shift is None or t is None or t + shift not in I64 else t + shift
            for t in (facts.first_ns, facts.last_ns)
        )
        rank, rank_from = rank_of(s.file.name, given, facts)
        replica, replica_from = replica_of(s.file.name, given, facts, replicas, spans, first, last)
        row = {
            "source_id": s.source_id, "path": s.file.name, "kind": s.kind, "bytes": s.bytes, "sha256": s.sha256,
            "rows": s.rows, "rejected": s.rejected, "ignored": s.ignored, "lines": facts.lines,
            "parsed": facts.parsed, "first_ns": first, "last_ns": last, "rank": rank, "rank_from": rank_from,
            "replica": replica, "replica_from": replica_from, "version": facts.version, "error": s.error,
            "seconds": s.seconds,
        }  # fmt: skip
        writer.insert("sources", row)
        if s.rows:  # also where the rest of it could not be read
            method = facts.clock or "none: the source has no wall clock"
            clock = {
                "source_id": s.source_id,
                "origin_ns": origin,
                "offset_ns": given.clock_offset_ns,
                "method": method,
            }
            writer.insert("clocks", clock)
            if facts.ranks is not None:
                _of_several(writer, s.source_id, facts.ranks, rank)
            placed = rank is not None or facts.ranks is not None
            unknown = [what for what, known in (("rank", placed), ("replica", replica is not None)) if not known]
            if s.of_a_rank and unknown:
                _unplaced(writer, s.source_id, unknown)
    for name, why in bundle.left_out:
        writer.insert(
            "notes",
            {"source_id": -1, "severity": "notice", "code": "left-out", "message": f"{name}: left out, it is {why}"},
        )


def _of_several(writer: Writer, source_id: int, ranks: int, rank: int | None) -> None:
    """Say of an export of several ranks what of it is told apart."""
    laps = "its iterations are no rank's" if rank is None else f"its iterations are all rank {rank}'s, says bundle.toml"
    message = f"holds the work of {ranks} ranks: its collectives are told apart, {laps}; one export a rank tells both"
    writer.insert("notes", {"source_id": source_id, "severity": "notice", "code": "ranks_together", "message": message})


def _unplaced(writer: Writer, source_id: int, unknown: list[str]) -> None:
    """Say of a rank's own trace that nothing tells whose it is."""
    what, them = ("neither its rank nor its replica", "them") if len(unknown) == 2 else (f"no {unknown[0]}", "it")
    message = f"nothing tells whose it is: {what} is known; write {them} into bundle.toml under [[source]]"
    writer.insert("notes", {"source_id": source_id, "severity": "notice", "code": "unplaced", "message": message})
