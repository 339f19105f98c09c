"""Whose file is it: rank and replica of a source, by the order of guesses of the bundle contract."""

from __future__ import annotations

import re

from postmortem.ingest.bundle import SourceSettings
from postmortem.ingest.reader import Facts

_RANK = re.compile(r"(?:^|[^A-Za-z])rank[-_]?(\d{1,6})(?!\d)", re.IGNORECASE)


def rank_of(path: str, given: SourceSettings, facts: Facts) -> tuple[int | None, str | None]:
    """Rank and where it was read: bundle.toml, the source itself, its file name; else (None, None)."""
    if given.rank is not None:
        return given.rank, "bundle.toml"
    if facts.rank is not None:
        return facts.rank, facts.rank_from or "source"
    if facts.ranks is not None:
        return None, None  # whatever it is called, it is not one rank's
    for part in reversed(path.split("/")):
        found = _RANK.findall(part)
        if found:
            return int(found[-1]), "file name"
    return None, None


def replica_of(
    path: str,
    given: SourceSettings,
    facts: Facts,
    replicas: set[str],
    spans: dict[str, tuple[int, int]],
    first_ns: int | None,
    last_ns: int | None,
) -> tuple[str | None, str | None]:
    """Replica and where it was read: bundle.toml, the source, a part of the path, overlap in time."""
    if given.replica is not None:
        return given.replica, "bundle.toml"
    if facts.replica is not None:
        return facts.replica, "source"
    parts = path.split("/")
    stem = parts[-1].split(".", 1)[0]
    named = [r for r in sorted(replicas) if r in parts[:-1] or r == stem]
    if len(named) == 1:
        return named[0], "path"
    if first_ns is not None and last_ns is not None:
        overlapping = [r for r, (start, end) in sorted(spans.items()) if start <= last_ns and first_ns <= end]
        if len(overlapping) == 1:
            return overlapping[0], "overlap"
    return None, None
