"""Records of one text: where each begins, what it says, whether it is whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.grammar import BARE, BARE_VERSION, BODY, PREFIX
from postmortem.ingest.readers.nccl_log.lines import Text, lead_of, unlink
from postmortem.ingest.readers.nccl_log.times import Clock, Stamp, in_zone_of

_WORD = re.compile(r"[\w.]+")


@dataclass(slots=True)
class Record:
    """One record; ``level`` is None where it is torn before its message."""

    piece: int
    host: str | None
    pid: int | None
    tid: int | None
    dev: int | None
    loc: str | None
    level: str | None
    message: str
    stamp: Stamp | None
    rank: int | None


@dataclass(slots=True)
class Finder:
    """Finds records; knows the hosts seen at clean places, to free those glued to torn text."""

    clock: Clock
    _hosts: set[str] = field(default_factory=set)
    _prefixes: set[str] = field(default_factory=set)  # the log's own, by their shape

    def learn(self, lines: Iterable[str], clean: int) -> None:
        """What stands before the first records of most lines is the log's own prefix, though unknown, and no torn text.

        ``clean``: lines of the same stretch whose records begin them.
        """
        shapes = Counter[str]()
        for line in lines:
            start = PREFIX.search(line)
            if start is not None and lead_of(line)[0] < start.start():
                shapes[_shape(line[: start.start()])] += 1
            elif start is not None:
                clean += 1
        again = {shape for shape, lines in shapes.items() if lines > 1}
        if sum(shapes[shape] for shape in again) > clean:
            self._prefixes |= again

    def know(self, host: str) -> None:
        """A host seen at a clean place elsewhere."""
        self._hosts.add(host)

    def find(self, text: Text) -> list[Record]:
        """The records of a text, in order; empty where it holds none."""
        line = text.text
        if ":" in line:
            starts = list(PREFIX.finditer(line))
            if not starts and "](" in line:
                line = unlink(line)
                starts = list(PREFIX.finditer(line))
            if starts:
                return self._pieces(line, starts, text.stamp)
        return self._bare(line, text.stamp) if "NCCL " in line else []

    def _pieces(self, line: str, starts: list[re.Match[str]], outer: Stamp | None) -> list[Record]:
        out: list[Record] = []
        at, rank = lead_of(line)
        lead_end = 0
        for index, start in enumerate(starts):
            first = index == 0
            end = starts[index + 1].start() if index + 1 < len(starts) else len(line)
            if index + 1 < len(starts):
                # A time directly before the next process is the next record's, not this one's text.
                end = start.end() + self.clock.find(line[start.end() : end])[1]
            stamp, _ = self.clock.find(line[lead_end : start.start()])
            clean = first and (at >= start.start() or self._is_prefix(line[: start.start()]))
            body = BODY.match(line, start.end(), end)
            out.append(
                Record(
                    index,
                    self._host(start[1], clean, stamp is not None),
                    int(start[2]),
                    int(start[3]),
                    None if start[4] is None else int(start[4]),
                    body[1] if body else None,
                    body[3] if body else None,
                    (body[4] if body else line[start.end() : end]).rstrip(),
                    in_zone_of(stamp, outer if first else None),
                    rank if first else None,
                )
            )
            if body and not body[4].strip():
                out[-1].level = None
            lead_end = end
        return out

    def _is_prefix(self, lead: str) -> bool:
        return bool(self._prefixes) and _shape(lead) in self._prefixes

    def _host(self, host: str, clean: bool, timed: bool) -> str | None:
        """The host's name; of one glued to torn text only what a clean record named before."""
        if clean or timed:
            self._hosts.add(host)
            return host
        if host in self._hosts:
            return host
        ends = [known for known in self._hosts if host.endswith(known)]
        return max(ends, key=len) if ends else None

    def _bare(self, line: str, outer: Stamp | None) -> list[Record]:
        at, rank = lead_of(line)
        if BARE_VERSION.match(line, at):
            stamp = in_zone_of(self.clock.find(line[:at])[0], outer)
            return [Record(0, None, None, None, None, None, "VERSION", line[at:].rstrip(), stamp, rank)]
        match = BARE.match(line, at)
        if match is None or not match[4].strip():
            return []
        stamp = in_zone_of(self.clock.find(line[:at])[0], outer)
        dev = None if match[1] is None else int(match[1])
        return [Record(0, None, None, None, dev, match[2], match[3], match[4].rstrip(), stamp, rank)]


def _shape(lead: str) -> str:
    """What is alike in prefixes of other times, ranks and names."""
    return _WORD.sub("w", lead)
