"""PyTorch's ProcessGroupNCCL lines: collectives that its watchdog gave up on, and process groups' state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.rows import Rows, integer
from postmortem.ingest.readers.nccl_log.times import NS_DIGITS, seconds_of, year_of

# Where words of other kinds stand between, they are few: a shape, half a sentence. What has no end makes a line of many
# beginnings slow.
_FEW = r".{0,200}?"
# A line may repeat another rank's words ("terminated with exception: [Rank 2] Watchdog ...").
WATCHDOG = re.compile(
    r"\[Rank (?P<rank>\d{1,9})\] Watchdog caught collective operation timeout: WorkNCCL\("
    r"(?:SeqNum=(?P<seq>\d{1,18}), )?OpType=(?P<op>\w+), (?P<shape>"
    + _FEW
    + r"),? ?Timeout\(ms\)=(?P<timeout>\d{1,15})\)"
    r" ran for (?P<ran>\d{1,15}) milliseconds"
)
STATUS = re.compile(
    r"\[PG (?:ID )?(?P<pg>\d{1,9})(?: PG GUID (?P<guid>[^\s()]*))?(?: ?\((?P<name>[^()]*)\))? Rank (?P<rank>\d{1,9})\]"
    + _FEW
    # A rank that times out on nothing tells its state when another's timeout has it dump: a late rank's only line.
    + r"(?:(?:Timeout at NCCL work: |watchdog at work: |watchdog at work sequence id: )(?P<seq>-?\d{1,18})"
    r"|Received a dump signal)" + _FEW + r"[Ll]ast enqueued (?:NCCL )?work: (?P<enqueued>-?\d{1,18}),"
    r" last completed (?:NCCL )?work: (?P<completed>-?\d{1,18})"
)
_NUMEL = re.compile(r"NumelIn=(\d{1,18}), NumelOut=(\d{1,18})")
_GLOG = re.compile(
    r"\[(?P<level>[EWIF])(?:(?P<month>\d{1,2})(?P<day>\d\d) (?P<time>(\d\d):(\d\d):(\d\d)\.(\d{1,9})))?\s+"
    r"ProcessGroupNCCL\.[ch]pp:\d+\]"
)
_WORKER = re.compile(r"\([^()]*\bpid=\d+[^()]*\)")  # Ray's and vLLM's prefix
_PG = re.compile(r"\[PG (?:ID )?(\d{1,9})(?: PG GUID [^\s()]*)?(?: ?\(([^()]*)\))? Rank \d+\]")
# Enough to look closer: what every line of these two kinds holds.
MARKS = ("Watchdog caught collective", "last enqueued", "Last enqueued")


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the watchdog: kind, level, text."""

    kind: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Writer:
    """What the launcher's prefix tells of the process that wrote a line: its rank, its name; None: nothing."""

    rank: int | None
    name: str | None

    @classmethod
    def of(cls, lead: str, rank: int | None) -> Writer:
        """The writer of a line that begins with ``lead``."""
        name = _WORKER.search(lead)
        return cls(rank, name[0] if name else None)

    def may_be(self, other: Writer) -> bool:
        """Whether nothing tells the two apart."""
        pairs = ((self.rank, other.rank), (self.name, other.name))
        return all(one is None or another is None or one == another for one, another in pairs)


@dataclass(slots=True)
class Watchdogs:
    """Reads the lines and keeps the first telling of each timeout.

    PyTorch prints a timeout again when it ends the process; the second telling names the
    process group, which the first does not, so the two cannot be told apart by group.
    Ranks are those in the process group: rank 0 of two groups is two processes.
    """

    repeats: int = 0
    near_ns: int | None = None  # the latest time with a year that the log gave
    _told: dict[tuple[object, ...], list[Writer]] = field(default_factory=dict)

    def read(self, text: str, line: int, rows: Rows, writer: Writer) -> Told | None:
        """A line as a row of torch_watchdog (unless told before); None where it is none."""
        glog = _GLOG.search(text)
        level = glog["level"] if glog else "E"
        status = STATUS.search(text)
        watchdog = WATCHDOG.search(text)
        if watchdog is not None:
            self._timeout(watchdog, text, line, glog, rows, writer)
            return Told("torch_watchdog", level, text[glog.start() if glog else watchdog.start() :])
        if status is None:
            return None
        t_ns, time_text = self._time(glog)
        key = ("status", *status.group("rank", "pg", "guid", "seq", "enqueued", "completed"))
        if self._new(key, writer):
            rows.add(
                "torch_watchdog", line, "status", int(status["rank"]), writer.rank, status["pg"], status["name"],
                integer(status["seq"]), None, None, None, None, None,
                int(status["enqueued"]), int(status["completed"]), t_ns, time_text,
            )  # fmt: skip
        return Told("torch_pg_status", level, text[glog.start() if glog else status.start() :])

    def _timeout(
        self, found: re.Match[str], text: str, line: int, glog: re.Match[str] | None, rows: Rows, writer: Writer
    ) -> None:
        group = _PG.search(text, 0, found.start())
        # Two groups may time out at the same number: what ran and how long tells them apart.
        key = ("timeout", *found.group("rank", "seq", "op", "shape", "timeout", "ran"))
        if not self._new(key, writer):
            return
        numel = _NUMEL.search(found["shape"])
        t_ns, time_text = self._time(glog)
        rows.add(
            "torch_watchdog", line, "timeout", int(found["rank"]), writer.rank, group[1] if group else None,
            group[2] if group else None, integer(found["seq"]), found["op"],
            int(numel[1]) if numel else None, int(numel[2]) if numel else None,
            float(found["timeout"]), float(found["ran"]), None, None, t_ns, time_text,
        )  # fmt: skip

    def _new(self, key: tuple[object, ...], writer: Writer) -> bool:
        told = self._told.setdefault(key, [])
        if any(writer.may_be(other) for other in told):
            self.repeats += 1
            return False
        told.append(writer)
        return True

    def _time(self, glog: re.Match[str] | None) -> tuple[int | None, str | None]:
        if glog is None or glog["time"] is None:
            return None, None
        month, day = int(glog["month"]), int(glog["day"])
        text = f"{month:02d}{day:02d} {glog['time']}"
        year = None if self.near_ns is None else year_of(self.near_ns)
        if self.near_ns is None or year is None:
            return None, text
        # The year is not printed: of the years around the log's own it is the nearest, a new one may have begun since.
        clock = (month, day, int(glog[5]), int(glog[6]), int(glog[7]))
        bases = [base for y in (year - 1, year, year + 1) if (base := seconds_of(y, *clock)) is not None]
        if not bases:
            return None, text
        near_s = self.near_ns // 10**NS_DIGITS
        base = min(bases, key=lambda s: abs(s - near_s))
        return base * 10**NS_DIGITS + int(glog[8].ljust(NS_DIGITS, "0")), text
