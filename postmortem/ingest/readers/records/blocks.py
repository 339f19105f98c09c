"""The bytes of a source in blocks of whole lines, unpacked; where a packed file is damaged is said in its place."""

from __future__ import annotations

from collections.abc import Iterator

from postmortem.ingest.packed import Damage, pieces
from postmortem.ingest.reader import Source

MAX_LINE = 1 << 20  # a record is about 1 KB; a "line" of a binary file is not held in memory


def blocks(source: Source) -> Iterator[bytes | Damage]:
    """Blocks of whole lines (the last may lack its newline), then perhaps a Damage.

    A line longer than MAX_LINE comes cut to MAX_LINE bytes and one more, without the rest of it.
    """
    rest = b""
    cutting = False  # inside a line that is too long: its bytes are dropped until it ends
    damage: Damage | None = None
    for piece in pieces(source.path, source.packed):
        if isinstance(piece, Damage):
            damage = piece
            break
        start = 0
        if cutting:
            start = piece.find(b"\n")
            if start < 0:
                continue
            cutting = False
        end = piece.rfind(b"\n", start) + 1
        if end:
            yield rest + piece[start:end]
            rest, start = b"", end
        rest += piece[start:]
        if len(rest) > MAX_LINE:
            rest = rest[: MAX_LINE + 1]
            cutting = True
    if rest:
        yield rest
    if damage:
        yield damage
