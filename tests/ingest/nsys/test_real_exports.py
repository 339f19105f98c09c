"""Every real export, 2020 to 2026: opened, counted against SQLite itself, left as it was."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest

from postmortem.ingest.reader import Head, Note, Reject
from postmortem.ingest.readers.nsys_sqlite import READER
from postmortem.ingest.readers.nsys_sqlite.events import TABLES

from .conftest import load, real_files, unchanged

NVTX_STYLES = (34, 59, 60, 70, 71)


def counted(con: sqlite3.Connection, table: str, where: str = "1") -> int:
    """Rows by SQLite's own count; an absent table has none."""
    there = con.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    return con.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0] if there else 0


@pytest.mark.parametrize("stem", real_files())
def test_every_row_arrives(real, loaded, stem):
    """Each event table of each real export holds as many rows as SQLite counts, and none was rejected."""
    con = sqlite3.connect(f"file:{real / stem}.sqlite?mode=ro&immutable=1", uri=True)
    want: Counter[str] = Counter()
    for table in TABLES:
        want[table.store] += counted(con, table.export)
    want["nvtx_events"] = counted(con, "NVTX_EVENTS", f"eventType IN {NVTX_STYLES}")
    want["diagnostics"] = counted(con, "DIAGNOSTIC_EVENT")
    want["processes"] = counted(con, "PROCESSES")
    want["gpus"] = counted(con, "TARGET_INFO_GPU")
    want["nics"] = counted(con, "TARGET_INFO_NIC_INFO")
    threads = counted(con, "ThreadNames") + counted(con, "NVTX_EVENTS", "eventType = 39")
    want["threads"] = threads
    export = loaded(stem)
    got = {t: export.rows(f"SELECT count(*) FROM {t}")[0][0] for t in want}
    assert got == dict(want)
    assert not [i for i in export.items if isinstance(i, Reject)]


@pytest.mark.parametrize("stem", real_files())
def test_absent_is_not_empty(real, loaded, stem):
    """nsys_tables keeps a table that is absent apart from one that is there without rows."""
    con = sqlite3.connect(f"file:{real / stem}.sqlite?mode=ro&immutable=1", uri=True)
    there = {n for (n,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name, present, rows, read_into in loaded(stem).rows(
        "SELECT table_name, present, rows, read_into FROM nsys_tables"
    ):
        assert present == (name in there), name
        assert rows == (counted(con, name) if present and read_into else None), name


@pytest.mark.parametrize("stem", real_files())
def test_recognised_by_content_and_left_untouched(real, tmp_path, stem):
    """A real export is recognised under any name, and reading it changes neither it nor its folder."""
    copy = tmp_path / "in" / "unknown.bin"
    copy.parent.mkdir()
    copy.write_bytes((real / f"{stem}.sqlite").read_bytes())
    copy.chmod(0o444)
    with unchanged(copy):
        assert READER.sniff(Head(copy.name, copy.read_bytes()[:65536], copy)) == 100
        load(copy, tmp_path / "store.duckdb")


NOTES = {
    "cpu_nvtx_demo_ranges_lost_newnvtx__nsys2022.4.2": {"no_kernels", "instrumentation_lost"},
    "cudagraph_graphtrace_rtx3060__nsys2025.5.2": {"graphs_hide_kernels", "no_nvtx"},
    "cudf_groupby_rtx8000__nsys2020_nometa": {"no_wall_clock", "no_schema_version"},
    "cudaq_vqe_8xH100_runtime_only__nsys2023.4.4": {"no_kernels", "no_nvtx"},
    "streams4_rtx4060ti__nsys2026.1.1": {"lost_events", "no_nvtx"},
    "torch_V100_nvtx22k_kern1002__reexport2023.4.4": {"never_popped"},
    "torch_2xH100_nccl_sendrecv_before__nsys2026.2.1": {"derived", "unnamed_domains"},
    "torch_A100_nvtx_kern6__reexport2023.4.4": set(),
}


@pytest.mark.parametrize("stem", NOTES)
def test_the_audit_is_told(real, loaded, stem):
    """What a real export lacks is said, each thing under its own code."""
    assert {i.code for i in loaded(stem).items if isinstance(i, Note)} == NOTES[stem]


def test_the_same_capture_in_two_schemas_gives_the_same_events(loaded):
    """One .nsys-rep exported by 2022.4.2 and by 2023.4.4 gives the same ranges, marks, names and payloads."""
    sql = (
        "SELECT start_ns, end_ns, style, text, domain, category, payload_int, payload_float, never_popped, global_tid "
        "FROM nvtx_events ORDER BY ALL"
    )
    old, new = loaded("cpu_nvtx_demo__nsys2022.4.2").rows(sql), loaded("cpu_nvtx_demo__reexport2023.4.4").rows(sql)
    assert old == new
    assert len({row[4] for row in old}) > 2  # domains have their names
    assert any(row[6] is not None for row in old)
    assert any(row[7] is not None for row in old)
