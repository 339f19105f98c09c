"""The bytes of a source in blocks of whole lines, unpacked; where a packed file is damaged is said in its place."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from postmortem.ingest.reader import Source

BLOCK = 4 << 20  # bytes read at a time: some 6,000 records, and a frame of them stays in the processor's cache
PACKED = 64 << 10  # of a gzip file fed at a time; what a damaged piece still gives is taken byte by byte
ZST_PACKED = 4 << 10  # zstd gives a block of 128 KiB for 4 bytes at best: this keeps a bomb's piece at 128 MiB
MAX_LINE = 1 << 20  # a record is about 1 KB; a "line" of a binary file is not held in memory


class Damage(Exception):
    """Why a packed file gives no more bytes from here on."""


def blocks(source: Source) -> Iterator[bytes | Damage]:
    """Blocks of whole lines (the last may lack its newline), then perhaps a Damage.

    A line longer than MAX_LINE comes cut to MAX_LINE bytes and one more, without the rest of it.
    """
    rest = bytearray()
    cutting = False  # inside a line that is too long: its bytes are dropped until it ends
    damage: Damage | None = None
    for piece in _pieces(source):
        if isinstance(piece, Damage):
            damage = piece
            break
        if cutting:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, cutting = piece[end:], False
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            yield bytes(rest[:end])
            del rest[:end]
        if len(rest) > MAX_LINE:
            del rest[MAX_LINE + 1 :]
            cutting = True
    if rest:
        yield bytes(rest)
    if damage:
        yield damage


def _pieces(source: Source) -> Iterator[bytes | Damage]:
    if source.packed == "gz":
        return _gz(source.path)
    if source.packed == "zst":
        return _zst(source.path)
    return _plain(source.path)


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as f:
        while piece := f.read(BLOCK):
            yield piece


def _gz(path: Path) -> Iterator[bytes | Damage]:
    """Every member of a gzip file: a recorder that was started again appends one."""
    with path.open("rb") as f:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        fed = b""
        while data := fed or f.read(PACKED):
            before = member.copy()
            try:
                out = member.decompress(data, BLOCK)
            except zlib.error as e:
                yield _byte_by_byte(before, data)
                yield Damage(f"packed file is damaged here: {e}")
                return
            if out:
                yield out
            fed = member.unconsumed_tail
            if member.eof:
                fed = member.unused_data.lstrip(b"\0") or f.read(PACKED).lstrip(b"\0")  # tapes pad with zeros
                if not fed:
                    return
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        yield member.flush()
        yield Damage("packed file is damaged here: it ends early")


def _byte_by_byte(member: zlib._Decompress, data: bytes) -> bytes:
    """What a damaged piece gives before its damage."""
    out = bytearray()
    for at in range(len(data)):
        try:
            out += member.decompress(data[at : at + 1])
        except zlib.error:
            break
    return bytes(out)


def _zst(path: Path) -> Iterator[bytes | Damage]:
    """Every frame of a zstd file."""
    import zstandard

    def frames(f: IO[bytes]) -> Iterator[bytes | Damage]:
        frame = zstandard.ZstdDecompressor().decompressobj()
        data = f.read(ZST_PACKED)
        while data:
            if out := frame.decompress(data):
                yield out
            data = f.read(ZST_PACKED) if not frame.eof else frame.unused_data or f.read(ZST_PACKED)
            if frame.eof:
                if not data:
                    return
                frame = zstandard.ZstdDecompressor().decompressobj()
        yield Damage("packed file is damaged here: it ends early")

    with path.open("rb") as f:
        try:
            yield from frames(f)
        except zstandard.ZstdError as e:
            yield Damage(f"packed file is damaged here: {e}")
