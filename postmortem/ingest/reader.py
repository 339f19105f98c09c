"""The contract of a reader: recognise a file by what it holds, read it into batches.

A reader is pure: it imports nothing of the store and writes nothing. It yields

* ``Batch``: rows of one table of the store, as an Arrow table whose columns are named as
  in ``store/tables/<table>.sql`` (columns left out are NULL; ``source_id`` is added by the
  loader),
* ``Reject``: a record that could not be read, with its place and reason,
* ``Ignored``: how many lines were left aside, and why (text sources),
* ``Note``: something about the source that the audit must say,
* ``Facts``: what the source says about itself (rank, replica, clock, version).

For every text source: lines = ``Facts.lines`` = parsed + ignored + rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa

from postmortem.ingest.packed import Packed, unpacked

Severity = Literal["info", "notice", "data_loss", "error"]

HEAD_BYTES = 65_536  # what a reader sees of a file before it says whether it knows it


@dataclass(frozen=True)
class Batch:
    """Rows of one table of the store."""

    table: str
    rows: pa.Table


@dataclass(frozen=True)
class Reject:
    """A record that could not be read: ``place`` is a line number (from 1) or a rowid."""

    place: int
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Ignored:
    """Lines left aside, counted by why."""

    why: str
    lines: int


@dataclass(frozen=True)
class Note:
    """What the audit must say about this source; ``code`` is a stable slug."""

    severity: Severity
    code: str
    message: str


@dataclass(frozen=True)
class Facts:
    """What a source says about itself; None where it does not say. May be yielded repeatedly.

    lines: physical lines (text sources). first_ns, last_ns: in the source's own time.
    origin_ns: UTC epoch ns of the source's time 0 (0 where its times are UTC already),
    clock: how that is known. rank, replica: with ``rank_from`` saying where it was read.
    ranks: how many ranks' work it surely holds, where more than one's.
    """

    lines: int | None = None
    parsed: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    origin_ns: int | None = None
    clock: str | None = None
    rank: int | None = None
    rank_from: str | None = None
    ranks: int | None = None
    replica: str | None = None
    version: str | None = None


Item = Batch | Reject | Ignored | Note | Facts


@dataclass(frozen=True)
class Head:
    """The beginning of a file, unpacked: ``data`` holds at most HEAD_BYTES.

    Of a text that no reader knows by its beginning, ``data`` holds whole lines from further on,
    and ``begins`` how the file began.
    """

    name: str
    data: bytes
    path: Path
    packed: Packed = ""
    begins: bytes = b""


@dataclass(frozen=True)
class Source:
    """A file of the bundle: ``name`` is its path in the bundle, ``path`` where it lies on disk.

    ``nvtx`` holds the deployment's own NVTX patterns (kind → regular expression, bundle.toml),
    ``keep_environment`` whether secrets may pass, ``time_format`` a strptime format for logs.
    ``damage`` is filled while it is read: why a packed file gave no more bytes.
    """

    name: str
    path: Path
    packed: Packed = ""
    keep_environment: bool = False
    time_format: str | None = None
    nvtx: dict[str, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)

    def open(self) -> IO[bytes]:
        """The file's bytes, unpacked; read-only. A damaged packed file ends where its damage begins."""
        return unpacked(self.path, self.packed, self.damage.append) if self.packed else self.path.open("rb")


@dataclass(frozen=True)
class Reader:
    """One format. ``sniff`` gives its confidence from 0 (not mine) to 100 (certainly mine).

    It decides by ``head.data``; a name may only break a tie between contents that are alike.
    ``anywhere``: its lines may begin late in a text, after those of other programs.
    ``of_a_rank``: a file is one rank's, so that it is said where nothing tells which.
    """

    name: str
    says: str
    sniff: Callable[[Head], int]
    read: Callable[[Source], Iterator[Item]]
    anywhere: bool = False
    of_a_rank: bool = False
