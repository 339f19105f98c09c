"""The recorder: x and s records to JSON Lines, through a bounded queue.

Units, as everywhere in a bundle: ``*_ns`` UTC epoch nanoseconds, ``*_ms``
milliseconds, ``*_mb`` MiB.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import threading
import time
import weakref
from collections import deque
from io import FileIO
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from postmortem.record.fields import LONGEST_LINE, fitting, rank_of
from postmortem.record.nvtx_ranges import Ranges, _NoRange, _Range

QUEUE_SIZE = 65_536  # records; at some 600 bytes each about 40 MB, minutes of a busy engine
FLUSH_EVERY_S = 0.25  # seconds; a crash loses at most so much


class Recorder:
    """Write records of one process (a rank, or the engine) below ``directory``.

    Files: ``x<suffix>.jsonl`` and ``s<suffix>.jsonl``, where the suffix is
    ``_rank<N>`` if ``rank`` is given. ``replica`` is put on every record and
    ``rank`` (a text, too, as an environment has it) on every s record that
    doesn't carry its own; ``rank=None`` in a call makes it the engine's own
    view of a request's step. Fields that are None are left out.

    With ``background=True`` a thread of its own writes every ``flush_every_s``
    seconds. With ``background=False`` nothing is written before the caller
    says ``flush()`` or ``close()``: for servers that own every microsecond of
    a core.

    A recorder that nobody closed closes itself when the interpreter ends.

    In the child of a fork it begins anew, with the first record: an empty
    queue, counts from 0, a thread of its own, and files whose suffix ends in
    ``_pid<pid>``. What was queued at the fork is the parent's to write.

    Once made, nothing here raises into the server. A record is what its values
    are at the call: lists and objects are copied, and a number of an array
    library is read at once (one that lies on a GPU is waited for, so hand over
    Python's own). A record that finds the queue full is dropped and counted; a
    record that readers of a bundle would refuse, and one that cannot be
    written, count as errors. Both counts are themselves recorded, whenever
    they have grown and once at the end, as a line
    ``{"record": "recorder", replica, rank, written, dropped, errors, started_ns, ended_ns}``
    with counts since the start; the last such line of a file holds. ``written``
    counts the records that the operating system took; of a write that it took
    in part, whole lines stay.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        replica: str | None = None,
        rank: int | str | None = None,
        queue_size: int = QUEUE_SIZE,
        background: bool = True,
        flush_every_s: float = FLUSH_EVERY_S,
        ranges: bool | None = None,
    ) -> None:
        self.replica = None if replica is None else str(replica)
        self.rank = rank if rank is None else rank_of(int(rank) if isinstance(rank, str) else rank)
        self.written = 0
        self.dropped = 0
        self._refused = 0  # counted where the server records, _unwritten where it is written: no count is waited for
        self._unwritten = 0
        self.started_ns = time.time_ns()
        self._directory = Path(directory)
        self._suffix = self._own_suffix = "" if rank is None else f"_rank{self.rank}"
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()
        self._queue_size = queue_size
        self._room = queue_size  # records the queue may hold now: none once closed, nor before a child's first record
        self._unused = False  # a forked child that has recorded nothing yet
        self._lines: dict[str, list[bytes]] = {}  # out of the queue; an interrupted write of them is made once more
        self._files: dict[str, FileIO | None] = {}  # unbuffered; None: to be opened again
        self._account: str | None = None  # the kind whose file bears the counts; one, or readers would add them up
        self._told = (0, 0)
        self._closed = False  # takes no more records
        self._ended = False  # has written the last of them
        self._writing = False
        self._io = threading.RLock()  # a signal's handler may flush or close amid a flush
        self._count = threading.RLock()  # a signal's handler may record or close amid a count
        self._wake: SimpleQueue[None] = SimpleQueue()  # unlike an Event, a handler may use it amid its use
        self._ranges = Ranges(ranges)
        self._thread: threading.Thread | None = None
        if not 0 < flush_every_s <= threading.TIMEOUT_MAX:  # else the thread would die of it, or take a core
            raise ValueError(f"flush_every_s is {flush_every_s}: no time to wait")
        self._every_s = flush_every_s if background else None
        _RECORDERS.add(self)
        self._begin()

    def _begin(self) -> None:
        if self._every_s is not None:
            thread = threading.Thread(target=self._run, args=(self._every_s,), name="postmortem-recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is to be had: flush() and close() write
                self._refuse()
            else:
                self._thread = thread
        atexit.register(self.close)  # again in a child: multiprocessing may have cleared the parent's

    # -- records ---------------------------------------------------------------

    def x(self, **fields: Any) -> None:
        """Record what the model really saw for one request; once a request, at admission."""
        self._put("x", fields)

    def s(self, **fields: Any) -> None:
        """Record which plan ran, under what pressure: once a request and step, or once a rank and iteration."""
        self._put("s", fields)

    def _put(self, kind: str, fields: dict[str, Any]) -> None:
        if not _PLAIN.issuperset(map(type, fields.values())):
            try:
                fields = _plain(fields)
            except Exception:  # noqa: BLE001 - whatever the value's own code does: counted, never into the server
                self._refuse()
                return
        if len(self._queue) < self._room:
            self._queue.append((kind, fields))
        else:
            self._put_without_room(kind, fields)

    def _put_without_room(self, kind: str, fields: dict[str, Any]) -> None:
        with self._count:
            first = self._unused and not self._closed
            if first:
                self._unused = False
                self._room = self._queue_size
        if first:
            self._begin()
        if len(self._queue) < self._room:  # another thread may have made it meanwhile
            self._queue.append((kind, fields))
        else:
            with self._count:
                self.dropped += 1

    # -- ranges ----------------------------------------------------------------

    def range(self, kind: str, **keys: object) -> _Range | _NoRange:
        """An NVTX range ``kind key=value …`` as long as the ``with`` block; nests per thread."""
        return self._ranges.range(kind, keys)

    def mark(self, kind: str, **keys: object) -> None:
        """An NVTX mark ``kind key=value …``: an instant."""
        self._ranges.mark(kind, keys)

    def begin(self, kind: str, **keys: object) -> object:
        """Open an NVTX range that outlasts a block (a pin); hand the result to ``end``."""
        return self._ranges.begin(kind, keys)

    def end(self, handle: object) -> None:
        """Close the range that ``begin`` opened."""
        self._ranges.end(handle)

    # -- writing ---------------------------------------------------------------

    def flush(self) -> None:
        """Write what is queued; returns when it is handed to the operating system.

        Called amid a flush, by a signal's handler, it leaves the writing to what it interrupted.
        """
        with self._io:
            if not self._writing:
                self._write_all()

    def close(self) -> None:
        """Write what is queued and the last count, then close; further records count as dropped.

        Called amid a flush, by a signal's handler, it leaves this to what it interrupted, even if the handler raises.
        """
        with self._count:
            self._closed = True
            self._room = 0
        if self._thread is not None:
            self._wake.put(None)
            self._thread.join()
        self.flush()

    def _write_all(self) -> None:
        self._writing = True
        try:
            if not self._closed:
                self._drain()
                self._tell_losses()
        finally:
            try:
                if self._closed and not self._ended:  # by a handler meanwhile, perhaps
                    self._end()
            finally:
                self._writing = False

    def _end(self) -> None:
        self._drain()
        if self._unused:
            self._tell_losses()
        elif not self._tell(ended_ns=time.time_ns()):
            self._failed()
        for kind in self._files:
            self._let_go(kind)
        self._ended = True
        atexit.unregister(self.close)  # not before: an interrupted close is made good at the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, every_s: float) -> None:
        while True:
            try:
                self._wake.get(timeout=every_s)
            except Empty:
                # Another's flush is not waited for: a handler's close() may have interrupted it, which waits for this.
                if self._io.acquire(blocking=False):
                    try:
                        self.flush()
                    finally:
                        self._io.release()
            else:
                return

    def _forked(self) -> None:
        """In the child of a fork: no thread has survived, and locks are as they were for the parent's."""
        self._io = threading.RLock()
        self._count = threading.RLock()
        self._writing = False
        self._ended = self._closed
        self._wake = SimpleQueue()
        self._thread = None
        self._queue = deque()
        self._lines = {}
        self._room = 0
        self._unused = True
        self.written = self.dropped = self._refused = self._unwritten = self._ranges.errors = 0
        self._told = (0, 0)
        self.started_ns = time.time_ns()
        self._suffix = f"{self._own_suffix}_pid{os.getpid()}"
        self._account = None
        for kind in self._files:
            self._let_go(kind)  # unbuffered: nothing of the parent's is written by it
        self._files = {}

    def _drain(self) -> None:
        try:
            for _ in range(len(self._queue)):  # what comes in meanwhile waits for the next time
                kind, fields = self._queue.popleft()
                try:
                    line = self._line(kind, fields)
                except Exception:  # noqa: BLE001 - not JSON, or changed meanwhile: counted, never into the server
                    self._failed()
                    continue
                except BaseException:  # the server's own Ctrl-C amid flush(): its to see
                    self._failed()
                    raise
                self._lines.setdefault(kind, []).append(line)
        finally:  # nor must it take along what has left the queue
            for kind in list(self._lines):
                written = self._write(kind, self._lines[kind])
                self.written += written
                self._failed(len(self._lines.pop(kind)) - written)

    def _line(self, kind: str, fields: dict[str, Any]) -> bytes:
        own: dict[str, Any] = {"replica": self.replica}
        if kind == "s":
            own["rank"] = self.rank
        record = fitting(kind, own | fields)
        try:
            line = _dumps(record)
        except ValueError:  # NaN and infinities are no JSON: such a value is unknown
            line = _dumps(_finite(record))
        encoded = line.encode() + b"\n"
        if len(encoded) > LONGEST_LINE:
            raise ValueError("longer than readers take")
        return encoded

    def _write(self, kind: str, lines: list[bytes]) -> int:
        """Append the lines by one write; how many of them the file has now, whole."""
        block = b"".join(lines)
        done = 0
        try:
            file = self._files.get(kind)
            if file is not None and not os.fstat(file.fileno()).st_nlink:
                self._let_go(kind)  # somebody removed the file: what is written to it is gone
            file = self._files.get(kind) or self._open(kind)
            done = file.write(block)
            if done < len(block):
                self._cut_back(file, done - block.rfind(b"\n", 0, done) - 1)
        except (OSError, ValueError):  # the disk is full, the folder is gone; ValueError: a closed file
            pass  # the caller counts each line that is lost
        if done < len(block):
            self._let_go(kind)  # opened again, for what comes next
        return block.count(b"\n", 0, done)

    def _open(self, kind: str) -> FileIO:
        self._files[kind] = None
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._files[kind] = (self._directory / f"{kind}{self._suffix}.jsonl").open("a+b", buffering=0)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a killed process left half a line: it must not take ours along
                file.write(b"\n")
        return file

    @staticmethod
    def _cut_back(file: FileIO, surplus: int) -> None:
        """Take the half line at the end out again, unless another process has written behind it meanwhile."""
        end = file.tell()
        if os.fstat(file.fileno()).st_size == end:
            file.truncate(end - surplus)

    def _let_go(self, kind: str) -> None:
        file, self._files[kind] = self._files.get(kind), None
        if file is not None:
            try:
                file.close()
            except OSError:
                self._failed()

    @property
    def errors(self) -> int:
        """Records that readers would refuse or that could not be written, and files; not those of ranges."""
        return self._refused + self._unwritten

    def _refuse(self) -> None:
        with self._count:
            self._refused += 1

    def _failed(self, times: int = 1) -> None:
        """Count what was not written. Whoever writes holds _io; it must not wait for _count, whose holder a handler's
        close() may have interrupted, which waits for the writer.
        """
        self._unwritten += times

    def _tell_losses(self) -> None:
        now = (self.dropped, self.errors + self._ranges.errors)
        if now != self._told and self._tell(ended_ns=None):
            self._told = now

    def _tell(self, ended_ns: int | None) -> bool:
        if self._account is None:
            self._account = "s" if "s" in self._files or "x" not in self._files else "x"
        account = {
            "record": "recorder",
            "replica": self.replica,
            "rank": self.rank,
            "written": self.written,
            "dropped": self.dropped,
            "errors": self.errors + self._ranges.errors,
            "started_ns": self.started_ns,
            "ended_ns": ended_ns,
            "nvtx": "on" if self._ranges.on else self._ranges.off_because,
        }
        return self._write(self._account, [_dumps(account).encode() + b"\n"]) == 1


_PLAIN = {int, float, str, bool, type(None)}  # what nobody can change after the call


def _plain(value: Any) -> Any:
    """A value as it is now: numbers of array libraries as Python's own, lists and objects copied; else the same."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_RECORDERS: weakref.WeakSet[Recorder] = weakref.WeakSet()  # whom a fork concerns


def _forked() -> None:
    for recorder in list(_RECORDERS):
        recorder._forked()  # noqa: SLF001 - one module


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_forked)
