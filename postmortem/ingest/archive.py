"""Archives: unpacked under limits, without links, device files, or paths that leave the folder."""

from __future__ import annotations

import contextlib
import errno
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Self, cast

from postmortem.base.errors import BundleUnreadable
from postmortem.ingest.files import MAX_DEPTH, TOO_DEEP, shown

GZ_MAGIC = b"\x1f\x8b"
ZST_MAGIC = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be skipped: pzstd's first
ZIP_MAGIC = b"PK"

# Limits on an archive, against bombs. 1,024 ranks with ten files each fit the first; the second
# is more than a responder's laptop holds; deflate's own best is 1032:1, logs reach 30:1.
MAX_FILES = 20_000
MAX_BYTES = 256 << 30
MAX_RATIO = 250
RATIO_FREE_BYTES = 64 << 20  # below this an extreme ratio does no harm


class _Refused(Exception):
    """A limit was met: the reason."""


def unpack(path: Path, into: Path) -> list[tuple[str, str]]:
    """Unpack an archive's regular files; gives the names that were left out, and why.

    Raises BundleUnreadable on limits, damage, or no archive: half an archive is no answer.
    """
    import zstandard

    broken = (tarfile.TarError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError, EOFError, ValueError)
    try:
        with path.open("rb") as f:
            is_zip = f.read(4).startswith(ZIP_MAGIC)  # by its beginning: a tar may end with a zip
        left_out = _unpack_zip(path, into) if is_zip else _unpack_tar(path, into)
    except _Refused as e:
        raise BundleUnreadable(str(path), str(e), "unpack it yourself and name the folder") from e
    except (*broken, lzma.LZMAError, NotImplementedError) as e:
        raise BundleUnreadable(
            str(path),
            f"is neither a folder nor a readable archive ({e})",
            "a bundle is a folder, .zip, .tar, .tar.gz or .tar.zst",
        ) from e
    except OSError as e:
        raise BundleUnreadable(
            str(path), e.strerror or str(e), "check the file and the space in the temporary folder"
        ) from e
    return [(shown(name), why) for name, why in left_out]


class _Budget:
    """Counts what comes out of an archive and stops at the limits."""

    def __init__(self, path: Path) -> None:
        self.packed = max(path.stat().st_size, 1)
        self.members = 0
        self.bytes = 0

    def member(self) -> None:
        self.members += 1
        if self.members > MAX_FILES:
            raise _Refused(f"holds more than {MAX_FILES} files")

    def grown(self, count: int) -> None:
        self.bytes += count
        if self.bytes > RATIO_FREE_BYTES and self.bytes > MAX_RATIO * self.packed:
            raise _Refused(f"unpacks to more than {MAX_RATIO} times its size")
        if self.bytes > MAX_BYTES:
            raise _Refused(f"unpacks to more than {MAX_BYTES >> 30} GiB")


class _Counted:
    """A stream whose bytes count against the budget as they come: headers can be bombs, too."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self.stream = stream
        self.budget = budget

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.budget.grown(len(data))
        return data


class _Place:
    """The folder that an archive is unpacked into."""

    def __init__(self, into: Path) -> None:
        self.into = into
        self.taken: set[PurePosixPath] = set()
        self.left_out: list[tuple[str, str]] = []

    def write(self, name: str, source: IO[bytes], budget: _Budget | None) -> None:
        """Write a member; a later one of the same name replaces it, as tar's own update means it."""
        place = _safe(name)
        if place is None:
            self.left_out.append((name, "its path leaves the archive"))
            return
        if len(place.parts) > MAX_DEPTH + 1:
            self.left_out.append((name, TOO_DEEP))
            return
        target = self.into / place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            out = target.open("wb")
        except OSError as e:
            if e.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
                raise
            self.left_out.append((name, e.strerror or str(e)))  # a name too long, a file where a folder is
            return
        if place in self.taken:
            self.left_out.append((name, "there more than once, the last one is read"))
        self.taken.add(place)
        with out:
            while chunk := source.read(CHUNK):
                if budget:
                    budget.grown(len(chunk))
                out.write(chunk)


CHUNK = 1 << 20  # bytes copied at a time


def _safe(name: str) -> PurePosixPath | None:
    """The member's path inside the temporary folder, or None where it would leave it."""
    name = name.replace("\\", "/")
    parts = [p for p in name.split("/") if p not in {"", "."}]
    if name.startswith("/") or ".." in parts or not parts or "\0" in name or re.match(r"^[A-Za-z]:", name):
        return None
    return PurePosixPath(*parts)


def _unpack_zip(path: Path, into: Path) -> list[tuple[str, str]]:
    place, budget = _Place(into), _Budget(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            budget.member()
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the packer knew no modes
            if member.filename.endswith("/"):  # is_dir fails on a name that is empty
                continue
            if kind not in {0, stat.S_IFREG}:
                place.left_out.append((member.filename, "a link" if kind == stat.S_IFLNK else "no regular file"))
            elif member.flag_bits & 1:
                raise _Refused(f"{member.filename} in it is encrypted")
            else:
                with archive.open(member) as source:
                    place.write(member.filename, source, budget)
    return place.left_out


class _Member(tarfile.TarInfo):
    """A tar header; a damaged or missing one is an error, where tarfile would take it for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as e:
            if type(e).__name__ == "EOFHeaderError":  # the block of zeros that ends an archive
                raise
            why = "it ends early" if type(e).__name__ == "EmptyHeaderError" else str(e)
            raise tarfile.ReadError(why) from e


def _unpack_tar(path: Path, into: Path) -> list[tuple[str, str]]:
    place, budget = _Place(into), _Budget(path)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        magic = raw.read(4)
        raw.seek(0)
        stream: IO[bytes] | None = None
        if ZST_MAGIC.match(magic):
            import zstandard

            unpacker = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            stream = cast(IO[bytes], stack.enter_context(unpacker))
        elif magic.startswith(GZ_MAGIC):
            stream = cast(IO[bytes], stack.enter_context(gzip.open(raw, "rb")))
        if stream:
            counted = cast(IO[bytes], _Counted(stream, budget))
            archive = stack.enter_context(tarfile.open(fileobj=counted, mode="r|", tarinfo=_Member))
        else:
            archive = stack.enter_context(tarfile.open(fileobj=raw, mode="r:", tarinfo=_Member))
        for member in archive:
            budget.member()
            if member.isdir():
                continue
            source = archive.extractfile(member) if member.isreg() else None
            if source is None:
                place.left_out.append(
                    (member.name, "a link" if member.islnk() or member.issym() else "no regular file")
                )
            else:
                place.write(member.name, source, None if stream and not member.issparse() else budget)
    return place.left_out
