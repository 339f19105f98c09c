"""An archive within the bundle: its files would be taken for one, so it is answered with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.archive import ZIP_MAGIC
from postmortem.ingest.reader import Head, Item, Reader, Source

TAR_MAGIC = (257, b"ustar")  # offset and text in the first member's header, of POSIX and GNU


def sniff(head: Head) -> int:
    """100 for a tar, plain or packed, and for a zip."""
    at, text = TAR_MAGIC
    return 100 if head.data.startswith(text, at) or head.data.startswith(ZIP_MAGIC + b"\3\4") else 0


def read(source: Source) -> Iterator[Item]:
    """Nothing: raises SourceUnreadable with the way to read it."""
    raise SourceUnreadable(source.name, "an archive within the bundle, not looked into", "unpack it in its place")


READER = Reader(
    name="archive",
    says="tar or zip within the bundle, which wants to be unpacked",
    sniff=sniff,
    read=read,
)
