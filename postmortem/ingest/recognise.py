"""Which reader knows a file: every reader is asked, the highest confidence wins, ties are errors."""

from __future__ import annotations

from functools import cache

import postmortem.ingest.readers as package
from postmortem.base.errors import SourceUnreadable
from postmortem.base.rooms import rooms
from postmortem.ingest.reader import Head, Reader


@cache
def readers() -> dict[str, Reader]:
    """All readers by name."""
    return rooms(package, "READER", Reader)


def recognise(head: Head) -> Reader | None:
    """The reader that knows this file best, or None.

    Raises SourceUnreadable where two are equally sure.
    """
    votes = sorted(((r.sniff(head), n) for n, r in readers().items()), reverse=True)
    best = [(v, n) for v, n in votes if v > 0 and v == votes[0][0]]
    if not best:
        return None
    if len(best) > 1:
        raise SourceUnreadable(head.name, "recognised equally by " + " and ".join(n for _, n in best))
    return readers()[best[0][1]]
