"""A bundle on disk: a folder or an archive → files to read, and what bundle.toml says.

The evidence is only read. An archive is unpacked into a temporary folder, under limits and
without links, device files or paths that leave it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from postmortem.base.errors import BundleUnreadable
from postmortem.base.units import NS_PER_S
from postmortem.ingest.reader import HEAD_BYTES, Head

# Limits on an archive, against bombs. 1,024 ranks with ten files each fit the first; the second
# is more than a responder's laptop holds; deflate's own best is 1032:1, logs reach 30:1.
MAX_FILES = 20_000
MAX_BYTES = 256 << 30
MAX_RATIO = 250
RATIO_FREE_BYTES = 64 << 20  # below this an extreme ratio does no harm

MAX_TOML_BYTES = 1 << 20  # a bundle.toml is written by hand


@dataclass(frozen=True)
class BundleFile:
    """A file of the bundle: ``name`` inside it (``/`` between parts), ``path`` on disk."""

    name: str
    path: Path


@dataclass(frozen=True)
class SourceSettings:
    """What bundle.toml says of one file."""

    replica: str | None = None
    rank: int | None = None
    clock_offset_ns: int = 0


@dataclass(frozen=True)
class Settings:
    """bundle.toml, checked: ``values`` are its scalars by dotted key, times in UTC epoch ns."""

    values: dict[str, Any] = field(default_factory=dict)
    nvtx: dict[str, str] = field(default_factory=dict)
    sources: dict[str, SourceSettings] = field(default_factory=dict)
    time_format: str | None = None


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; ``shown`` is the path as the user gave it."""

    shown: str
    files: tuple[BundleFile, ...]
    settings: Settings
    left_out: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def open_files(path: Path) -> Iterator[Bundle]:
    """The bundle's files, sorted by name; an archive's temporary copies vanish at the end.

    Raises BundleUnreadable.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as e:
        raise BundleUnreadable(str(path), e.strerror or "cannot be opened", "name a folder or an archive") from e
    if stat.S_ISDIR(mode):
        files, left_out = _walk(path)
        yield _bundle(path, files, left_out)
        return
    temporary = Path(tempfile.mkdtemp(prefix="postmortem-"))
    try:
        left_out = _unpack(path, temporary)
        files, _ = _walk(temporary)
        yield _bundle(path, files, left_out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _bundle(path: Path, files: list[BundleFile], left_out: list[tuple[str, str]]) -> Bundle:
    if not files:
        raise BundleUnreadable(str(path), "holds no file", "name the folder with the traces")
    settings = Settings()
    for file in files:
        if PurePosixPath(file.name).name == "bundle.toml":
            settings = read_settings(file.path, file.name)
            break
    return Bundle(str(path), tuple(files), settings, tuple(left_out))


def _walk(root: Path) -> tuple[list[BundleFile], list[tuple[str, str]]]:
    """Regular files below ``root`` by name; links and special files are left out, and said."""
    files: list[BundleFile] = []
    left_out: list[tuple[str, str]] = []

    def refused(error: OSError) -> None:
        name = Path(error.filename).relative_to(root).as_posix() if error.filename else "."
        left_out.append((name, error.strerror or "cannot be listed"))

    for folder, folders, names in os.walk(root, onerror=refused):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            shown = path.relative_to(root).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                files.append(BundleFile(shown, path))
            else:
                left_out.append((shown, "a link" if stat.S_ISLNK(mode) else "no regular file"))
        for name in list(folders):
            if (Path(folder) / name).is_symlink():
                left_out.append(((Path(folder) / name).relative_to(root).as_posix(), "a link"))
    return sorted(files, key=lambda f: f.name), left_out


def _unpack(path: Path, into: Path) -> list[tuple[str, str]]:
    """Unpack an archive's regular files; raises BundleUnreadable on limits, damage, or no archive."""
    try:
        if zipfile.is_zipfile(path):
            return _unpack_zip(path, into)
        return _unpack_tar(path, into)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as e:
        raise BundleUnreadable(
            str(path),
            f"is no folder and no readable archive ({e})",
            "a bundle is a folder, .zip, .tar, .tar.gz or .tar.zst",
        ) from e
    except RuntimeError as e:  # zipfile: an encrypted member
        raise BundleUnreadable(str(path), str(e), "unpack it yourself and name the folder") from e
    except OSError as e:
        raise BundleUnreadable(
            str(path), e.strerror or str(e), "check the file and the space in the temporary folder"
        ) from e


class _Budget:
    """Counts what comes out of an archive and stops at the limits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packed = max(path.stat().st_size, 1)
        self.files = 0
        self.bytes = 0

    def file(self) -> None:
        self.files += 1
        if self.files > MAX_FILES:
            raise BundleUnreadable(
                str(self.path), f"holds more than {MAX_FILES} files", "unpack it yourself and name the folder"
            )

    def copy(self, source: IO[bytes], target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while chunk := source.read(1 << 20):
                self.bytes += len(chunk)
                bomb = self.bytes > RATIO_FREE_BYTES and self.bytes > MAX_RATIO * self.packed
                if bomb or self.bytes > MAX_BYTES:
                    why = (
                        f"unpacks to more than {MAX_RATIO} times its size"
                        if bomb
                        else f"unpacks to more than {MAX_BYTES >> 30} GiB"
                    )
                    raise BundleUnreadable(str(self.path), why, "unpack it yourself and name the folder")
                out.write(chunk)


def _safe(name: str) -> PurePosixPath | None:
    """The member's path inside the temporary folder, or None where it would leave it."""
    name = name.replace("\\", "/")
    parts = [p for p in name.split("/") if p not in {"", "."}]
    if name.startswith("/") or ".." in parts or not parts or "\0" in name or re.match(r"^[A-Za-z]:", name):
        return None
    return PurePosixPath(*parts)


def _unpack_zip(path: Path, into: Path) -> list[tuple[str, str]]:
    left_out: list[tuple[str, str]] = []
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            budget.file()
            place = _safe(member.filename)
            if place is None:
                left_out.append((member.filename, "its path leaves the archive"))
            elif stat.S_ISLNK(member.external_attr >> 16):
                left_out.append((member.filename, "a link"))
            else:
                with archive.open(member) as source:
                    budget.copy(source, into / place)
    return left_out


def _unpack_tar(path: Path, into: Path) -> list[tuple[str, str]]:
    left_out: list[tuple[str, str]] = []
    budget = _Budget(path)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        magic = raw.read(4)
        raw.seek(0)
        if magic == ZST_MAGIC:
            import zstandard

            stream = cast(IO[bytes], stack.enter_context(zstandard.open(path, "rb")))
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))
        else:
            archive = stack.enter_context(tarfile.open(fileobj=raw, mode="r:*"))
        for member in archive:
            if member.isdir():
                continue
            budget.file()
            place = _safe(member.name)
            if place is None:
                left_out.append((member.name, "its path leaves the archive"))
            elif not member.isreg():
                left_out.append((member.name, "a link or special file"))
            else:
                source = archive.extractfile(member)
                if source is not None:
                    budget.copy(source, into / place)
    return left_out


GZ_MAGIC = b"\x1f\x8b"
ZST_MAGIC = b"\x28\xb5\x2f\xfd"


def head_of(file: BundleFile) -> Head:
    """The file's beginning, unpacked where it is gzip or zstd. Raises OSError, EOFError, ValueError."""
    with file.path.open("rb") as f:
        data = f.read(HEAD_BYTES)
    packed: Literal["", "gz", "zst"] = ""
    if data.startswith(GZ_MAGIC):
        import gzip

        packed = "gz"
        with gzip.open(file.path, "rb") as z:
            data = z.read(HEAD_BYTES)
    elif data.startswith(ZST_MAGIC):
        import zstandard

        packed = "zst"
        try:
            with zstandard.open(file.path, "rb") as z:
                data = cast(bytes, z.read(HEAD_BYTES))
        except zstandard.ZstdError as e:
            raise ValueError(str(e)) from e
    return Head(file.name, data, file.path, packed)


def read_settings(path: Path, name: str) -> Settings:
    """bundle.toml; raises BundleUnreadable with the key that is off."""
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise BundleUnreadable(name, "is larger than 1 MiB", "a bundle.toml is a few lines")
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BundleUnreadable(name, f"is no TOML: {e}", "mend that line") from e
    except OSError as e:
        raise BundleUnreadable(name, e.strerror or str(e)) from e
    values: dict[str, Any] = {}
    for section, content in data.items():
        if section in {"nvtx", "source"}:
            continue
        if not isinstance(content, dict):
            values[section] = _scalar(name, section, content)
            continue
        for key, value in content.items():
            dotted = f"{section}.{key}"
            if isinstance(value, datetime | date):
                values[f"{dotted}_ns"] = _epoch_ns(name, dotted, value)
            else:
                values[dotted] = _scalar(name, dotted, value)
    nvtx = data.get("nvtx", {})
    if not isinstance(nvtx, dict):
        raise BundleUnreadable(name, "nvtx must be a table of kind = pattern")
    for kind, pattern in nvtx.items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as e:
            raise BundleUnreadable(name, f"nvtx.{kind} is no regular expression: {e}") from e
    return Settings(values, nvtx, _sources(name, data.get("source", [])), values.get("logs.time_format"))


def _scalar(name: str, key: str, value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list) and all(isinstance(v, str | int | float | bool) for v in value):
        return value
    raise BundleUnreadable(name, f"{key} must be a plain value")


def _epoch_ns(name: str, key: str, value: datetime | date) -> int:
    """A TOML time as UTC epoch ns, exact to the microsecond that TOML holds."""
    if not isinstance(value, datetime):
        raise BundleUnreadable(name, f"{key} must be a time, not a date")
    if value.tzinfo is None:
        raise BundleUnreadable(name, f"{key} has no time zone", "add Z or an offset")
    whole = value.astimezone(UTC)
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1_000


def _sources(name: str, entries: Any) -> dict[str, SourceSettings]:
    if not isinstance(entries, list):
        raise BundleUnreadable(name, "source must be [[source]] tables")
    found: dict[str, SourceSettings] = {}
    for entry in entries:
        path, replica, rank = entry.get("path"), entry.get("replica"), entry.get("rank")
        offset = entry.get("clock_offset_ns", 0)
        good = (
            isinstance(path, str)
            and isinstance(replica, str | None)
            and (rank is None or (isinstance(rank, int) and not isinstance(rank, bool)))
            and isinstance(offset, int)
        )
        if not good:
            raise BundleUnreadable(
                name, f"a [[source]] is off: {entry}", "it wants path, replica, rank, clock_offset_ns"
            )
        found[path] = SourceSettings(replica, rank, offset)
    return found
