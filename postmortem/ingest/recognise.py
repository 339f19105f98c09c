"""Which reader knows a file: every reader is asked, the highest confidence wins, ties are errors.

A text whose beginning nobody knows is looked through to its end: a serving log may bear NCCL's
lines hours after its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import postmortem.ingest.readers as package
from postmortem.base.errors import SourceUnreadable
from postmortem.base.rooms import rooms
from postmortem.ingest.packed import Damage, pieces
from postmortem.ingest.reader import HEAD_BYTES, Head, Reader


@cache
def readers() -> dict[str, Reader]:
    """All readers by name."""
    return rooms(package, "READER", Reader)


def recognise(head: Head) -> Reader | None:
    """The reader that knows this file best, or None.

    Raises SourceUnreadable where two are equally sure, OSError where the file cannot be read on.
    """
    everyone = readers()
    # A text that was cut to nothing under its writer (logrotate's copytruncate) begins with NULs.
    if (found := _best(head, everyone)) or len(head.data) < HEAD_BYTES or b"\0" in head.data.lstrip(b"\0"):
        return found
    late = {name: r for name, r in everyone.items() if r.anywhere}
    return next((r for part in _later(head) if (r := _best(part, late))), None)


def _best(head: Head, asked: dict[str, Reader]) -> Reader | None:
    votes = sorted(((r.sniff(head), n) for n, r in asked.items()), reverse=True)
    best = [(v, n) for v, n in votes if v > 0 and v == votes[0][0]]
    if not best:
        return None
    if len(best) > 1:
        raise SourceUnreadable(head.name, "recognised equally by " + " and ".join(n for _, n in best))
    return asked[best[0][1]]


def _later(head: Head) -> Iterator[Head]:
    """The file in parts of whole lines; a line longer than a part is cut, one before a damaged place is let go."""
    rest = b""
    for piece in pieces(head.path, head.packed):
        if isinstance(piece, Damage):
            return
        part = rest + piece
        end = part.rfind(b"\n") + 1 or len(part)
        yield Head(head.name, part[:end], head.path, head.packed, head.data)
        rest = part[end:]
    if rest:
        yield Head(head.name, rest, head.path, head.packed, head.data)
