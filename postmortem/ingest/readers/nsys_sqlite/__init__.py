"""Nsight Systems exports in SQLite, from about 2020 (no version) to 2026 (schema 3.25).

Tables and columns are probed, never assumed: a table exists only if it has rows, and names
and columns change with the exporter's version. Times stay as exported, ns since session start; what an
exporter was told to add to them is taken off in the source's origin.
"""

from __future__ import annotations

from postmortem.ingest.reader import Reader
from postmortem.ingest.readers.nsys_sqlite.evidence import sniff
from postmortem.ingest.readers.nsys_sqlite.read import read

READER = Reader(
    name="nsys_sqlite",
    says="Nsight Systems export in SQLite (nsys export --type sqlite)",
    sniff=sniff,
    read=read,
    of_a_rank=True,
)
