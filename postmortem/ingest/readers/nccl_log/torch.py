"""PyTorch's ProcessGroupNCCL lines: collectives that its watchdog gave up on, and process groups' state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.rows import Rows, integer
from postmortem.ingest.readers.nccl_log.times import NS_DIGITS, seconds_of

# A line may repeat another rank's words ("terminated with exception: [Rank 2] Watchdog ...").
WATCHDOG = re.compile(
    r"\[Rank (?P<rank>\d{1,9})\] Watchdog caught collective operation timeout: WorkNCCL\("
    r"(?:SeqNum=(?P<seq>\d{1,18}), )?OpType=(?P<op>\w+), (?P<shape>.*?),? ?Timeout\(ms\)=(?P<timeout>\d{1,15})\)"
    r" ran for (?P<ran>\d{1,15}) milliseconds"
)
STATUS = re.compile(
    r"\[PG (?:ID )?(?P<pg>\d{1,9})(?: PG GUID (?P<guid>[^\s()]*)(?:\((?P<name>[^)]*)\))?)? Rank (?P<rank>\d{1,9})\]"
    r".*?(?:Timeout at NCCL work: |watchdog at work: |watchdog at work sequence id: )(?P<seq>-?\d{1,18})"
    r".*?last enqueued (?:NCCL )?work: (?P<enqueued>-?\d{1,18}),"
    r" last completed (?:NCCL )?work: (?P<completed>-?\d{1,18})"
)
_NUMEL = re.compile(r"NumelIn=(\d{1,18}), NumelOut=(\d{1,18})")
_GLOG = re.compile(
    r"\[(?P<level>[EWIF])(?:(?P<month>\d{1,2})(?P<day>\d\d) (?P<time>(\d\d):(\d\d):(\d\d)\.(\d{1,9})))?\s+"
    r"ProcessGroupNCCL\.[ch]pp:\d+\]"
)
_PG = re.compile(r"\[PG (?:ID )?(\d{1,9})(?: PG GUID [^\s()]*(?:\(([^)]*)\))?)? Rank \d+\]")
# Enough to look closer: what every line of these two kinds holds.
MARKS = ("Watchdog caught collective", "last enqueued")


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the watchdog: kind, level, rank, text."""

    kind: str
    level: str
    rank: int
    message: str


@dataclass(slots=True)
class Watchdogs:
    """Reads the lines and keeps the first telling of each timeout.

    PyTorch prints a timeout again when it ends the process; the second telling names the
    process group, which the first does not, so the two cannot be told apart by group.
    """

    repeats: int = 0
    year: int | None = None
    _told: set[tuple[object, ...]] = field(default_factory=set)

    def read(self, text: str, line: int, rows: Rows) -> Told | None:
        """A line as a row of torch_watchdog (unless told before); None where it is none."""
        glog = _GLOG.search(text)
        level = glog["level"] if glog else "E"
        status = STATUS.search(text)
        watchdog = WATCHDOG.search(text)
        if watchdog is not None:
            rank = int(watchdog["rank"])
            self._timeout(watchdog, text, line, glog, rows)
            return Told("torch_watchdog", level, rank, text[glog.start() if glog else watchdog.start() :])
        if status is None:
            return None
        rank = int(status["rank"])
        t_ns, time_text = self._time(glog)
        key = ("status", rank, status["pg"], status["seq"], status["enqueued"], status["completed"])
        if self._new(key):
            rows.add(
                "torch_watchdog", line, "status", rank, status["pg"], status["name"],
                int(status["seq"]), None, None, None, None, None,
                int(status["enqueued"]), int(status["completed"]), t_ns, time_text,
            )  # fmt: skip
        return Told("torch_pg_status", level, rank, text[glog.start() if glog else status.start() :])

    def _timeout(self, found: re.Match[str], text: str, line: int, glog: re.Match[str] | None, rows: Rows) -> None:
        group = _PG.search(text, 0, found.start())
        # Two groups may time out at the same number: what ran and how long tells them apart.
        key = ("timeout", found["rank"], found["seq"], found["op"], found["shape"], found["timeout"], found["ran"])
        if not self._new(key):
            return
        numel = _NUMEL.search(found["shape"])
        t_ns, time_text = self._time(glog)
        rows.add(
            "torch_watchdog", line, "timeout", int(found["rank"]), group[1] if group else None,
            group[2] if group else None, integer(found["seq"]), found["op"],
            int(numel[1]) if numel else None, int(numel[2]) if numel else None,
            float(found["timeout"]), float(found["ran"]), None, None, t_ns, time_text,
        )  # fmt: skip

    def _new(self, key: tuple[object, ...]) -> bool:
        if key in self._told:
            self.repeats += 1
            return False
        self._told.add(key)
        return True

    def _time(self, glog: re.Match[str] | None) -> tuple[int | None, str | None]:
        if glog is None or glog["time"] is None:
            return None, None
        month, day = int(glog["month"]), int(glog["day"])
        text = f"{month:02d}{day:02d} {glog['time']}"
        if self.year is None:
            return None, text
        base = seconds_of(self.year, month, day, int(glog[5]), int(glog[6]), int(glog[7]))
        if base is None:
            return None, text
        return base * 10**NS_DIGITS + int(glog[8].ljust(NS_DIGITS, "0")), text
