"""Nsight Systems' own report (.nsys-rep, .qdrep): closed, so answered with the export command."""

from __future__ import annotations

from collections.abc import Iterator

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Head, Item, Reader, Source

MAGIC = b"NVIDIA Tegra Profiler Report"  # the name from before it was called Nsight Systems


def sniff(head: Head) -> int:
    """100 for a file with the report's magic bytes."""
    return 100 if head.data.startswith(MAGIC) else 0


def read(source: Source) -> Iterator[Item]:
    """Nothing: raises SourceUnreadable with the command that makes a readable file."""
    name = source.name.rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0]
    raise SourceUnreadable(
        source.name,
        "a report that only Nsight Systems itself can read",
        f"make its export: nsys export --type sqlite --output {stem}.sqlite {name}",
    )


READER = Reader(
    name="nsys_rep",
    says="Nsight Systems report (.nsys-rep), which wants nsys export",
    sniff=sniff,
    read=read,
)
