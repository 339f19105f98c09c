"""The pass over a log: physical lines in, rows, rejects and counts out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from postmortem.base.units import count
from postmortem.ingest.reader import Batch, Facts, Ignored, Item, Note, Reject, Source
from postmortem.ingest.readers.nccl_log import detail, fast
from postmortem.ingest.readers.nccl_log.calls import Calls
from postmortem.ingest.readers.nccl_log.comms import Communicators, Process
from postmortem.ingest.readers.nccl_log.errors import Troubles
from postmortem.ingest.readers.nccl_log.grammar import CUT_PREFIX, TAIL, classify
from postmortem.ingest.readers.nccl_log.lines import Text, Unwrapper, inner, lead_of, take_repeats
from postmortem.ingest.readers.nccl_log.records import Finder, Record
from postmortem.ingest.readers.nccl_log.rows import Rows
from postmortem.ingest.readers.nccl_log.stretch import Waiting, column_records
from postmortem.ingest.readers.nccl_log.times import Clock, in_zone_of
from postmortem.ingest.readers.nccl_log.torch import MARKS, Watchdogs, Writer

CHUNK = 16 << 20  # bytes read at once: larger ones gain nothing and cost memory
LONGEST = CHUNK  # of a line, bytes: a progress bar of days; what is longer is not held in memory
LOOK_AHEAD = 1_000  # records that tell a log's own prefix: it stands before all, and more would read the log twice
REJECT_TEXT = 200  # characters of a rejected line that are kept (bundle.md)
SHOWN = 4 * REJECT_TEXT  # a character of UTF-8 has four bytes at most

# The line after a wrapped InfiniBand warning, which ends at ``len``.
_WRAPPED_END = ", len"
_WRAPPED_REST = re.compile(r"\d+, vendor err \d+")
_MATRIX = re.compile(r"\s*(?:Function|Broadcast|Reduce|AllGather|ReduceScatter|AllReduce) \|[\s\w|]+$")


class Pass:
    """State of one pass over one file."""

    def __init__(self, source: Source) -> None:
        self.rows = Rows()
        self.communicators = Communicators()
        self.calls = Calls(self.communicators)
        self.waiting = Waiting()
        self.troubles = Troubles()
        self.watchdogs = Watchdogs()
        self.finder = Finder(Clock(source.time_format))
        self.unwrapper = Unwrapper()
        self.ignored: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        self.lines = 0
        self.parsed = 0
        self.torn = 0
        self.left_out = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.local = False
        self.zoned = False
        self.processes: set[Process] = set()
        self.prefix_ranks: set[int | None] = set()  # what launchers put before records of processes
        self._wrapped: Record | None = None
        self._wrapped_line = 0

    def stretch(self, data: bytes) -> Iterator[Batch]:
        """A part of the file that ends with a line: its rows."""
        part = fast.split(data, self.lines + 1)
        for frame in (part.calls, part.choices):
            for host, pid in frame.select("host", "pid").unique().iter_rows():
                self.finder.know(host)
                self.processes.add((host, pid))
                self.prefix_ranks.add(None)
        records = islice((line for _, line in part.others if " NCCL " in line), LOOK_AHEAD)
        self.finder.learn(map(inner, records), len(part.calls) + len(part.choices))
        for number, line in part.others:
            self.feed(number, line)
        self.parsed += len(part.calls) + len(part.choices)
        self.lines += part.lines
        yield from self.rows.batches()
        yield from column_records(part.calls, part.choices)
        yield from self.waiting.batches(self.calls, part.calls, part.choices)

    def too_long(self, beginning: bytes) -> None:
        """A line that is longer than LONGEST, of which this is the beginning."""
        self.lines += 1
        text = Text(beginning.decode("utf-8", "replace"), [self.lines])
        self._reject(text, f"a line longer than {LONGEST >> 20} MiB", text.text)

    def feed(self, number: int, line: str) -> None:
        """One physical line, without its newline."""
        text = self.unwrapper.feed(number, line)
        if text is not None:
            self.text(text)

    def text(self, text: Text) -> None:
        """One program's line: its records, or why it has none."""
        if text.broken:
            self._reject(text, text.broken, "")
            return
        repeated = take_repeats(text)
        if self._wrapped is not None and self._unwrap(text):
            return
        records = self.finder.find(text)
        whole = [r for r in records if r.level is not None]
        if not whole:
            if not self._torch(text):
                self._nothing(text, bool(records))
            return
        self.parsed += len(text.lines)
        self.left_out += repeated
        line = text.lines[0]
        for record in records:
            if record.level == "WARN" and record.message.endswith(_WRAPPED_END):
                self._wrapped, self._wrapped_line = record, line
            else:
                self.record(record, line)

    def record(self, record: Record, line: int) -> None:
        """One record: a row of nccl_records, and of the table of its kind."""
        kind = classify(record.level or "", record.message)
        torn = kind.torn or record.level is None
        self.torn += torn
        stamp = record.stamp
        if record.pid is not None:  # up to 2.21 the version stands without its process
            self.processes.add((record.host, record.pid))
            if record.piece == 0:
                self.prefix_ranks.add(record.rank)
        if stamp is not None:
            self.time(stamp.ns, stamp.local)
        self.rows.add(
            "nccl_records", line, record.piece, record.level, kind.kind, record.host, record.pid,
            record.tid, record.dev, stamp.ns if stamp else None, stamp.whose if stamp else None,
            stamp.local if stamp else None, record.loc,
            None if kind.kind == "coll" else record.message, torn, record.rank,
        )  # fmt: skip
        if kind.kind == "other":
            self.troubles.hear((record.host, record.pid), record.message)
        write = detail.WRITERS.get(kind.kind)
        if write is not None:
            write(self, record, line, kind)

    def time(self, ns: int, local: bool) -> None:
        """A time of the log widens its span."""
        self.first_ns = ns if self.first_ns is None else min(self.first_ns, ns)
        self.last_ns = ns if self.last_ns is None else max(self.last_ns, ns)
        self.local |= local
        self.zoned |= not local
        self.watchdogs.near_ns = ns

    def end(self) -> None:
        """What waits for more lines gets none."""
        for text in self.unwrapper.rest():
            self.text(text)
        self._flush_wrapped()

    def _unwrap(self, text: Text) -> bool:
        """Join the second half of a wrapped warning; whether this text was it."""
        record = self._wrapped
        found = _WRAPPED_REST.match(text.text)
        if record is None or found is None or text.lines[0] != self._wrapped_line + 1:
            self._flush_wrapped()
            return False
        record.message += " " + text.text.rstrip()
        self.parsed += len(text.lines)
        self._flush_wrapped()
        return True

    def _flush_wrapped(self) -> None:
        record, self._wrapped = self._wrapped, None
        if record is not None:
            self.record(record, self._wrapped_line)

    def _torch(self, text: Text) -> bool:
        if not any(mark in text.text for mark in MARKS):
            return False
        line = text.lines[0]
        at, rank = lead_of(text.text)
        lead = text.text[:at]
        stamp = in_zone_of(self.finder.clock.find(lead)[0], text.stamp)
        if stamp is not None:
            self.watchdogs.near_ns = stamp.ns
        told = self.watchdogs.read(text.text, line, self.rows, Writer.of(lead, rank))
        if told is None:
            return False
        if stamp is not None:
            self.time(stamp.ns, stamp.local)
        self.parsed += len(text.lines)
        self.rows.add(
            "nccl_records", line, 0, told.level, told.kind, None, None, None, None,
            stamp.ns if stamp else None, stamp.whose if stamp else None, stamp.local if stamp else None,
            None, told.message, False, rank,
        )  # fmt: skip
        return True

    def _nothing(self, text: Text, prefixed: bool) -> None:
        """A text without a record: ignored with a reason, or rejected if it was one once."""
        at, _ = lead_of(text.text)
        rest = text.text[at:].strip()
        if prefixed:
            self._reject(text, "torn: a process without its message", text.text)
            self.torn += 1
        elif not rest:
            self._ignore(text, "blank")
        elif TAIL.search(rest):
            self._reject(text, "torn: the end of a record that begins elsewhere", text.text)
        elif CUT_PREFIX.fullmatch(rest):
            self._reject(text, "cut: the beginning of a record and no more", text.text)
        elif "NCCL INFO" in rest or "NCCL WARN" in rest:
            self._reject(text, "names NCCL's level, but not where a record has it", text.text)
        elif "ProcessGroupNCCL" in rest:
            self._ignore(text, "other lines of PyTorch's ProcessGroupNCCL")
        elif _MATRIX.match(text.text):
            self._ignore(text, "rows of NCCL's matrix of algorithms")
        else:
            self._ignore(text, "other programs' text")

    def _ignore(self, text: Text, why: str) -> None:
        self.ignored[why] += len(text.lines)

    def _reject(self, text: Text, reason: str, shown: str) -> None:
        self.rejects.extend(Reject(number, reason, shown[:REJECT_TEXT]) for number in text.lines)

    def take_rejects(self) -> list[Reject]:
        """Rejects gathered since the last call."""
        out, self.rejects = self.rejects, []
        return out


def chunks(source: Source) -> Iterator[tuple[bytes, bool]]:
    """The file in pieces of whole lines (the last may lack its newline), True; of a line too long the beginning, False.

    NULs before its first character, as many as were cut under its writer, are passed over.
    """
    held: list[bytes] = []
    size = 0  # of what is held
    begun = cutting = False  # cutting: inside a line that is too long, its bytes are dropped until it ends
    with source.open() as file:
        while data := file.read(CHUNK):
            if not begun:
                data = data.lstrip(b"\0")
                begun = bool(data)
            first = data.find(b"\n") + 1
            if cutting:
                if not first:
                    continue
                data, cutting = data[first:], False
            elif size + (first or len(data)) > LONGEST:
                yield b"".join([*held, data])[:SHOWN], False
                held, size, cutting = [], 0, not first
                data = data[first:] if first else b""
            end = data.rfind(b"\n") + 1
            if end:
                yield b"".join([*held, data[:end]]), True
                held, size = [], 0
            held.append(data[end:])
            size += len(data) - end
    yield b"".join(held), True


def read(source: Source) -> Iterator[Item]:
    """All of a log. Raises OSError where the file cannot be read, ValueError for a bad time format."""
    run = Pass(source)
    for data, whole in chunks(source):
        if not whole:
            run.too_long(data)
        elif data:
            yield from run.stretch(data)
        yield from run.take_rejects()
    run.end()
    yield from run.waiting.batches(run.calls, fast.NO_CALLS, fast.NO_CHOICES)
    run.communicators.rows(run.rows)
    yield from run.rows.batches()
    yield from run.take_rejects()
    for why, lines in sorted(run.ignored.items()):
        yield Ignored(why, lines)
    yield from notes(run)
    yield facts(run)


def notes(run: Pass) -> Iterator[Note]:
    """What the audit must say about this log."""
    if run.torn:
        yield Note(
            "data_loss", "nccl-torn-records",
            f"{count(run.torn, 'record')} torn or cut (several writers on one pipe, or a cut file): none was read",
        )  # fmt: skip
    if run.left_out:
        yield Note(
            "data_loss", "nccl-left-out",
            f"Ray wrote {count(run.left_out, 'record')} in place of several alike: calls and choices are not all here;"
            " set RAY_DEDUP_LOGS=0",
        )  # fmt: skip
    if run.local:
        yield Note(
            "notice", "nccl-local-time",
            "times carry no zone: they are local digits read as UTC; set clock_offset_ns for this source",
        )  # fmt: skip
    if run.local and run.zoned:
        yield Note("notice", "nccl-mixed-clocks", "some times carry a zone and some none: their order is uncertain")
    if run.watchdogs.repeats:
        yield Note(
            "info", "torch-watchdog-repeats",
            f"{run.watchdogs.repeats} lines of PyTorch's watchdog repeat one told before and were not counted twice",
        )  # fmt: skip


def facts(run: Pass) -> Facts:
    """What the log says about itself."""
    rank, rank_from = rank_of(run)
    timed = run.first_ns is not None
    return Facts(
        lines=run.lines,
        parsed=run.parsed,
        first_ns=run.first_ns,
        last_ns=run.last_ns,
        origin_ns=0 if timed else None,
        clock=("local time of the log, zone unknown" if run.local else "times of the log") if timed else None,
        rank=rank,
        rank_from=rank_from,
        version=run.communicators.version,
    )


def rank_of(run: Pass) -> tuple[int | None, str | None]:
    """The file's rank and how it is known: the launcher's prefix, which is global, else the largest communicator.

    Of several processes in one log none is the file's rank, unless all bear one prefix: a worker started anew.
    """
    alone = len(run.processes) <= 1
    prefixes = run.prefix_ranks - {None} if alone else run.prefix_ranks
    if len(prefixes) == 1 and None not in prefixes:
        return next(iter(prefixes)), "the launcher's prefix"
    ranks = run.communicators.largest_ranks() if alone else set()
    return (next(iter(ranks)), "NCCL's largest communicator") if len(ranks) == 1 else (None, None)
