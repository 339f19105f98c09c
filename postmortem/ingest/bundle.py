"""A bundle on disk: a folder or an archive → files to read, and what bundle.toml says.

The evidence is only read. An archive is unpacked into a temporary folder, under limits and
without links, device files or paths that leave it.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import stat
import tempfile
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from postmortem.base.errors import BundleUnreadable
from postmortem.base.units import NS_PER_S
from postmortem.ingest.archive import GZ_MAGIC, ZST_MAGIC, unpack
from postmortem.ingest.files import BundleFile, walk
from postmortem.ingest.reader import HEAD_BYTES, Head

MAX_TOML_BYTES = 1 << 20  # a bundle.toml is written by hand


@dataclass(frozen=True)
class SourceSettings:
    """What bundle.toml says of one file."""

    replica: str | None = None
    rank: int | None = None
    clock_offset_ns: int = 0


@dataclass(frozen=True)
class Settings:
    """bundle.toml, checked: ``values`` are its scalars by dotted key, times in UTC epoch ns.

    ``unread``: keys that nothing reads.
    """

    values: dict[str, Any] = field(default_factory=dict)
    nvtx: dict[str, str] = field(default_factory=dict)
    sources: dict[str, SourceSettings] = field(default_factory=dict)
    time_format: str | None = None
    unread: tuple[str, ...] = ()


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
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        why = getattr(e, "strerror", None) or "cannot be opened"
        raise BundleUnreadable(str(path), why, "name a folder or an archive") from e
    if stat.S_ISDIR(mode):
        files, left_out = walk(path)
        yield _bundle(path, files, left_out)
        return
    if not stat.S_ISREG(mode):
        raise BundleUnreadable(str(path), "is neither a folder nor a file", "name a folder or an archive")
    temporary = Path(tempfile.mkdtemp(prefix="postmortem-"))
    try:
        left_out = unpack(path, temporary)
        files, _ = walk(temporary)
        yield _bundle(path, files, left_out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _bundle(path: Path, files: list[BundleFile], left_out: list[tuple[str, str]]) -> Bundle:
    if not files:
        why = f"holds no file that can be read: {left_out[0][0]} is {left_out[0][1]}" if left_out else "holds no file"
        raise BundleUnreadable(str(path), why, "name the folder with the traces")
    settings = Settings()
    written = [f for f in files if PurePosixPath(f.name).name == "bundle.toml"]
    if written:
        nearest = min(written, key=lambda f: (f.name.count("/"), f.name))
        settings = read_settings(nearest.path, nearest.name)
        left_out = left_out + [(f.name, f"a second bundle.toml beside {nearest.name}") for f in written if f != nearest]
        known = {f.name for f in files}
        left_out += [
            (name, f"in {nearest.name} but not in the bundle") for name in settings.sources if name not in known
        ]
        left_out += [(f"{key} of {nearest.name}", _unread(key)) for key in settings.unread]
    return Bundle(str(path), tuple(files), settings, tuple(left_out))


def head_of(file: BundleFile) -> Head:
    """The file's beginning, unpacked where it is gzip or zstd; what a damaged one still gives.

    Raises OSError, and ValueError where a packed file gives nothing.
    """
    with file.path.open("rb") as f:
        data = f.read(HEAD_BYTES)
    packed: Literal["", "gz", "zst"] = ""
    if data.startswith(GZ_MAGIC):
        packed = "gz"
        data = _head(data, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), zlib.error)
    elif ZST_MAGIC.match(data):
        import zstandard

        packed = "zst"
        data = _head(data, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
    return Head(file.name, data[:HEAD_BYTES], file.path, packed)


class _Unpacker(Protocol):
    """What zlib's and zstandard's objects have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


HEAD_PIECE = 512  # bytes fed at a time: what lies before a damaged place comes out


def _head(data: bytes, unpacker: Callable[[], _Unpacker], error: type[Exception]) -> bytes:
    """The unpacked beginning of packed bytes that may be cut or damaged."""
    out, member, why = bytearray(), unpacker(), "it ends early"
    at = 0
    while at < len(data) and len(out) < HEAD_BYTES:
        piece = data[at : at + HEAD_PIECE]
        try:
            out += member.decompress(piece)
        except error as e:
            why = str(e)
            break
        at += len(piece)
        if member.eof:
            at -= len(member.unused_data)
            why, member = "", unpacker()
    if not out and why:
        raise ValueError(f"packed file is damaged: {why}")
    return bytes(out)


TIMES = {"incident.start", "incident.end", "baseline.start", "baseline.end"}
# What is read of bundle.toml, besides [nvtx] and [[source]]. A deployment has more facts than are listed here.
READ = TIMES | {
    *("incident.title", "logs.time_format"),
    *("regimes.memory_evaporation_share", "regimes.memory_pressured_mb", "regimes.queue_degraded_ms"),
}
I64 = range(-(2**63), 2**63)  # what the store's BIGINT holds
RANKS = range(2**31)  # what its INTEGER holds


def read_settings(path: Path, name: str) -> Settings:
    """bundle.toml; raises BundleUnreadable with the key that is off."""
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise BundleUnreadable(name, "is larger than 1 MiB", "a bundle.toml is a few lines")
        data = tomllib.loads(path.read_text("utf-8-sig"))  # Windows' editors put a byte order mark first
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OverflowError) as e:
        raise BundleUnreadable(name, f"is not valid TOML: {e}", "correct that line") from e
    except OSError as e:
        raise BundleUnreadable(name, e.strerror or str(e)) from e
    values: dict[str, Any] = {}
    unread: list[str] = []
    for section, content in data.items():
        if section in {"nvtx", "source"}:
            continue
        dotted = {f"{section}.{k}": v for k, v in content.items()} if isinstance(content, dict) else {section: content}
        unread += [key for key in dotted if key.removesuffix("_ns") not in READ and section != "deployment"]
        for key, value in dotted.items():
            if isinstance(value, datetime | date):
                values[f"{key}_ns"] = _epoch_ns(name, key, value)
            elif key in TIMES or (key.removesuffix("_ns") in TIMES and type(value) is not int):
                raise BundleUnreadable(name, f"{key} must be a time", "write it as 2026-11-02T10:00:00Z, unquoted")
            else:
                values[key] = _scalar(name, key, value)
    for section in ("incident", "baseline"):
        start, end = values.get(f"{section}.start_ns"), values.get(f"{section}.end_ns")
        if start is not None and end is not None and start >= end:
            raise BundleUnreadable(name, f"{section}.end is not after {section}.start")
    time_format = values.get("logs.time_format")
    if not isinstance(time_format, str | None):
        raise BundleUnreadable(name, "logs.time_format must be a text")
    nvtx, sources = _nvtx(name, data.get("nvtx", {})), _sources(name, data.get("source", []))
    return Settings(values, nvtx, sources, time_format, tuple(unread))


def _unread(key: str) -> str:
    """Why a key of bundle.toml is not read, with the one that may be meant."""
    from difflib import get_close_matches

    near = get_close_matches(key, READ, 1) or [k for k in sorted(READ) if k.endswith(f".{key.rpartition('.')[2]}")]
    return "a setting that nothing reads" + (f": did you mean {near[0]}?" if near else "")


def _nvtx(name: str, patterns: Any) -> dict[str, str]:
    if not isinstance(patterns, dict):
        raise BundleUnreadable(name, "nvtx must be a table of kind = pattern")
    for kind, pattern in patterns.items():
        if not isinstance(pattern, str):
            raise BundleUnreadable(name, f"nvtx.{kind} must be a regular expression in quotes")
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as e:
            raise BundleUnreadable(name, f"nvtx.{kind} is no regular expression: {e}") from e
    return patterns


def _scalar(name: str, key: str, value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(v, str | int | float) for v in items):
        raise BundleUnreadable(name, f"{key} must be a plain value")
    if any(isinstance(v, int) and v not in I64 for v in items):
        raise BundleUnreadable(name, f"{key} is beyond 64 bits")
    if any(isinstance(v, float) and not math.isfinite(v) for v in items):
        raise BundleUnreadable(name, f"{key} must be a finite number")
    return value


def _epoch_ns(name: str, key: str, value: datetime | date) -> int:
    """A TOML time as UTC epoch ns, exact to the microsecond that TOML holds."""
    if not isinstance(value, datetime):
        raise BundleUnreadable(name, f"{key} must be a time, not a date")
    if value.tzinfo is None:
        raise BundleUnreadable(name, f"{key} has no time zone", "add Z or an offset")
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1_000
    if ns not in I64:
        raise BundleUnreadable(name, f"{key} lies outside the years 1678 to 2262")
    return ns


def _sources(name: str, entries: Any) -> dict[str, SourceSettings]:
    """The [[source]] tables by path, which is told from bundle.toml's own folder."""
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise BundleUnreadable(name, "source must be [[source]] tables")
    folder = PurePosixPath(name).parent
    found: dict[str, SourceSettings] = {}
    for entry in entries:
        path, replica, rank = entry.get("path"), entry.get("replica"), entry.get("rank")
        offset = entry.get("clock_offset_ns", 0)
        good = (
            isinstance(path, str)
            and isinstance(replica, str | None)
            and (rank is None or (type(rank) is int and rank in RANKS))
            and (type(offset) is int and offset in I64)
            and set(entry) <= {"path", "replica", "rank", "clock_offset_ns"}
        )
        if not good:
            raise BundleUnreadable(
                name, f"a [[source]] is invalid: {entry}", "it wants path, replica, rank, clock_offset_ns"
            )
        place = (folder / path).as_posix()
        if place in found:
            raise BundleUnreadable(name, f"two [[source]] tables tell of {path}")
        found[place] = SourceSettings(replica, rank, offset)
    return found
