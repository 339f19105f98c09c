"""The bytes of a plain, gzip or zstd file, piece by piece; where a packed one is damaged is said in its place."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

Packed = Literal["", "gz", "zst"]

PIECE = 4 << 20  # bytes read or unpacked at a time: some 6,000 records, in a large processor's cache
GZ_FED = 64 << 10  # of a gzip file fed at a time; what a damaged piece still gives is taken byte by byte
ZST_FED = 4 << 10  # zstd gives a block of 128 KiB for 4 bytes at best: this keeps a bomb's piece at 128 MiB


class Damage(Exception):
    """Why a packed file gives no more bytes from here on."""


def pieces(path: Path, packed: Packed) -> Iterator[bytes | Damage]:
    """The file's bytes, unpacked, then perhaps a Damage."""
    return {"gz": _gz, "zst": _zst, "": _plain}[packed](path)


def unpacked(path: Path, packed: Packed, damaged: Callable[[str], None]) -> IO[bytes]:
    """A packed file's bytes as a stream that ends at its damage, after a call of ``damaged`` with the reason."""
    return io.BufferedReader(_Stream(pieces(path, packed), damaged))


class _Stream(io.RawIOBase):
    """Pieces, to be read as one file."""

    def __init__(self, source: Iterator[bytes | Damage], damaged: Callable[[str], None]) -> None:
        self._source = source
        self._damaged = damaged
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # the base takes any buffer
        while not self._piece:
            piece = next(self._source, b"")
            if isinstance(piece, Damage):
                self._damaged(str(piece))
                return 0
            if not piece:
                return 0
            self._piece = memoryview(piece)
        count = min(len(into), len(self._piece))
        into[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as f:
        while piece := f.read(PIECE):
            yield piece


def _gz(path: Path) -> Iterator[bytes | Damage]:
    """Every member of a gzip file: a recorder that was started again appends one."""
    with path.open("rb") as f:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        fed = b""
        while data := fed or f.read(GZ_FED):
            before = member.copy()
            try:
                out = member.decompress(data, PIECE)
            except zlib.error as e:
                if given := _byte_by_byte(before, data):
                    yield given
                yield Damage(f"packed file is damaged here: {e}")
                return
            if out:
                yield out
            fed = member.unconsumed_tail
            if member.eof:
                fed = member.unused_data.lstrip(b"\0")
                while not fed:
                    if not (more := f.read(GZ_FED)):
                        return
                    fed = more.lstrip(b"\0")  # tapes pad with zeros
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        if out := member.flush():
            yield out
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
        data = f.read(ZST_FED)
        while data:
            if out := frame.decompress(data):
                yield out
            data = f.read(ZST_FED) if not frame.eof else frame.unused_data or f.read(ZST_FED)
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
