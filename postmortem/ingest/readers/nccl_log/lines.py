"""From physical lines to text: container wrappers, colours, launchers' prefixes and suffixes.

A *text* is what one program wrote as one line. Docker and CRI break a long one into several
physical lines; those are joined again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.times import Stamp, container_time

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([PF])(?::\S*)? (.*)", re.S)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\[\d{1,3}(?:;\d{1,3})*m")
# What Ray writes behind a line that other workers wrote as well, with an explanation the first time.
_REPEATED = re.compile(r" \[repeated \d+x across cluster\](?: \(Ray deduplicates logs .*)?$")
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")

# What stands before a text: quotes, bars, launchers' marks, hosts' names, times; RANKS name the rank.
_LEAD = re.compile(
    r"(?:[>|\s]+"
    r"|\[\d+,(?P<mpi>\d{1,9})\]<std(?:out|err)>:\s?"
    r"|\[rank(?P<torch>\d{1,9})\]:\s?"
    r"|\[default\d+\]:\s?"
    r"|\[[A-Za-z_][\w.-]*:\d+\]:\s?"
    r"|\([^()]*\bpid=\d+[^()]*\)\s?"
    r"|(?P<srun>\d{1,7}): "
    r"|\[(?P<launcher>\d{1,7})\] (?=\S)(?!NCCL )"
    r"|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?:?\s?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "  # syslog and journalctl: time, host, program[pid]
    r"|[\w.-]+ [\w./@-]+\[\d+\]:(?:\s|$)"
    r"|\[pod/[\w./-]+\](?:\s|$)"
    r"|[\w.@-]+\s+\|(?:\s|$)"
    # pdsh's ``host: `` stands before its own host, or bears a digit: NCCL's words before a colon have none.
    r"|(?P<label>[\w-]+)(?:\.[\w.-]*)?: (?=(?P=label):)"
    r"|(?=[\w.-]*\d)[A-Za-z0-9][\w.-]*:(?: |$)"
    r")",
    re.ASCII,
)
RANKS = {"mpi", "torch", "srun", "launcher"}  # its groups that hold one


@dataclass(slots=True)
class Text:
    """One program's line: its text, the physical lines it came from, its container's time."""

    text: str
    lines: list[int]
    stamp: Stamp | None = None
    broken: str = ""


@dataclass(slots=True)
class Unwrapper:
    """Takes wrappers off physical lines and joins what was broken in transport.

    Parts are joined once, at their end: a progress bar without a line break has thousands.
    """

    _held: dict[str, list[Text]] = field(default_factory=dict)

    def feed(self, number: int, line: str) -> Text | None:
        """The text of a physical line (no newline); None while it is only a part of one."""
        if line.endswith("\r"):
            line = line.rstrip("\r")
        first = line[:1]
        if first == "\0":  # a log cut under its writer, behind another
            line = line.lstrip("\0")
            first = line[:1]
        if first == "{" and line.startswith('{"log":'):
            return self._docker(number, line)
        if first == "2":
            cri = _CRI.fullmatch(line)
            if cri is not None:
                return self._join(cri[2], Text(clean(cri[4]), [number], container_time(cri[1])), cri[3] == "F")
        return Text(clean(line), [number])

    def rest(self) -> list[Text]:
        """Texts whose end never came."""
        held = [_joined(parts) for parts in self._held.values()]
        self._held.clear()
        return held

    def _docker(self, number: int, line: str) -> Text | None:
        try:
            record = json.loads(line)
            text, stream, time = record["log"], str(record.get("stream", "")), str(record.get("time", ""))
            whole = text.endswith("\n")
            text.encode()  # an escape may be half a character
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return Text("", [number], None, "a container's JSON line is cut or malformed")
        return self._join(stream, Text(clean(text.rstrip("\r\n")), [number], container_time(time)), whole)

    def _join(self, stream: str, part: Text, whole: bool) -> Text | None:
        if whole and stream not in self._held:
            return part
        self._held.setdefault(stream, []).append(part)
        return _joined(self._held.pop(stream)) if whole else None


def inner(line: str) -> str:
    """A physical line without its container's time, for a look ahead; empty where that is JSON."""
    if line.startswith('{"log":'):
        return ""
    cri = _CRI.fullmatch(line) if line[:1] == "2" else None
    return clean(line if cri is None else cri[4])


def _joined(parts: list[Text]) -> Text:
    """One text of its parts, with the first one's time."""
    lines = [number for part in parts for number in part.lines]
    return Text("".join(part.text for part in parts), lines, parts[0].stamp)


def clean(line: str) -> str:
    """A line without terminal colours, whether or not their escape byte survived."""
    if "m" in line and ("\x1b" in line or "[" in line):
        line = _COLOUR.sub("", line)
    return line


def take_repeats(text: Text) -> bool:
    """Take Ray's count of repeats off a text; whether it had one, and other workers' lines were left out for it."""
    if "x across cluster]" not in text.text:
        return False
    text.text, found = _REPEATED.subn("", text.text)
    return found > 0


def unlink(line: str) -> str:
    """A line with markdown links replaced by their text."""
    return _LINK.sub(r"\1", line)


def lead_of(text: str) -> tuple[int, int | None]:
    """How far launchers' marks and hosts' names reach into ``text``, and the rank they name (None: none).

    torchrun's ``[default3]:`` and ``[host:3]:`` number the workers of one node: no rank.
    """
    at = 0
    rank: int | None = None
    while True:
        match = _LEAD.match(text, at)
        if match is None or match.end() == at:
            return at, rank
        if match.lastgroup in RANKS:
            rank = int(match[match.lastgroup])
        at = match.end()
