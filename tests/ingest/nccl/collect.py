"""What a reader gives, gathered by kind, for the tests of this folder."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postmortem.ingest.reader import Batch, Facts, Ignored, Note, Reader, Reject, Source
from postmortem.ingest.readers.nccl_log import READER

SAMPLES = Path(__file__).parents[3] / "sample_traces" / "formats" / "nccl_log"
INSPECTOR_SAMPLES = SAMPLES.parent / "nccl_inspector"
HERE = Path(__file__).parents[4] / "shared" / "real"
REAL = Path(os.environ.get("POSTMORTEM_REAL", HERE)) / "nccl"


@dataclass
class Got:
    """All items of one reading."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table, in the order of the file."""
        rows = self.tables.get(table, [])
        return sorted(rows, key=lambda r: (r.get("line", 0), r.get("piece") or 0))

    def kinds(self) -> Counter[str]:
        """Records by kind."""
        return Counter(r["kind"] for r in self.rows("nccl_records") if r["level"])

    def balances(self) -> bool:
        """Whether lines = parsed + ignored + rejected."""
        assert self.facts.lines is not None
        assert self.facts.parsed is not None
        return self.facts.lines == self.facts.parsed + sum(self.ignored.values()) + len(self.rejects)


def collect(path: Path, reader: Reader = READER, **settings: Any) -> Got:
    """Read a file."""
    got = Got()
    for item in reader.read(Source(path.name, path, **settings)):
        if isinstance(item, Batch):
            got.tables.setdefault(item.table, []).extend(item.rows.to_pylist())
        elif isinstance(item, Reject):
            got.rejects.append(item)
        elif isinstance(item, Ignored):
            got.ignored[item.why] = got.ignored.get(item.why, 0) + item.lines
        elif isinstance(item, Note):
            got.notes.append(item)
        else:
            got.facts = item
    return got


def read_bytes(folder: Path, data: bytes, reader: Reader = READER) -> Got:
    """Read bytes by way of a file."""
    path = folder / "unknown.bin"
    path.write_bytes(data)
    return collect(path, reader)


def sample(name: str, **settings: Any) -> Got:
    """A sample, read; its ledger must balance."""
    got = collect(SAMPLES / name, **settings)
    assert got.balances()
    return got


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of rows."""
    return [tuple(row[name] for name in names) for row in rows]
