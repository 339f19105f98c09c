"""Every real log against its table of counts (PROVENANCE.md beside the logs)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from postmortem.ingest.reader import HEAD_BYTES, Head
from postmortem.ingest.readers import nccl_inspector, nccl_log
from tests.ingest.nccl.collect import REAL, collect

TABLE = REAL / "PROVENANCE.md"


def oracle() -> list[Any]:
    """The table's rows: file, lines, records, lines of several records, torn pieces, kinds."""
    if not TABLE.is_file():
        return [pytest.param("", 0, 0, 0, 0, {}, marks=pytest.mark.skip(reason=f"no real logs at {REAL}"))]
    rows = []
    for row in TABLE.read_text("utf-8").splitlines():
        cells = [c.strip() for c in row.strip("|").split("|")]
        if len(cells) >= 9 and (REAL / cells[0]).is_file():
            kinds = {m[1]: int(m[2]) for m in re.finditer(r"(\w+) (\d+)", cells[-1])}
            rows.append(pytest.param(cells[0], *map(int, cells[-5:-1]), kinds, id=cells[0]))
    return rows


@pytest.mark.parametrize(("name", "lines", "records", "multi", "torn", "kinds"), oracle())
def test_counts_by_kind(name: str, lines: int, records: int, multi: int, torn: int, kinds: dict[str, int]) -> None:
    """Records, lines of several records, torn pieces and each kind are as many as the table says; no line is lost."""
    got = collect(REAL / name)
    rows = got.rows("nccl_records")
    counted = dict(got.kinds())
    if warnings := sum(r["level"] == "WARN" for r in rows):
        counted["WARN"] = warnings
    per_line: dict[int, int] = {}
    for row in rows:
        per_line[row["line"]] = per_line.get(row["line"], 0) + 1
    torn_here = sum(r["level"] is None for r in rows) + sum("without its message" in r.reason for r in got.rejects)
    assert counted == kinds
    assert sum(r["level"] in {"INFO", "WARN"} for r in rows) == records
    assert sum(n > 1 for n in per_line.values()) == multi
    assert torn_here == torn
    assert got.facts.lines == lines
    assert got.balances()


@pytest.mark.parametrize(("name", "lines", "records", "multi", "torn", "kinds"), oracle())
def test_recognised_by_content(
    name: str, lines: int, records: int, multi: int, torn: int, kinds: dict[str, int]
) -> None:
    """A log is recognised without its name, and only by its own reader; RAS reports are not claimed."""
    path = REAL / name
    head = Head("unknown.bin", path.read_bytes()[:HEAD_BYTES], path)
    log, inspector = nccl_log.READER.sniff(head), nccl_inspector.READER.sniff(head)
    if name.endswith(".jsonl"):
        assert (log, inspector > 0) == (0, True)
    elif name.startswith("ras-"):
        assert (log, inspector) == (0, 0)
    else:
        assert (log > 0, inspector) == (True, 0)


needs_real = pytest.mark.skipif(not TABLE.is_file(), reason=f"no real logs at {REAL}")


@needs_real
def test_torn_rank_gets_no_foreign_id() -> None:
    """Rank 5, whose completion was torn, has no communicator; ranks 1, 3, 4 and 6 have their own."""
    got = collect(REAL / "stdout-torn-lines-8ranks-2.28.log")
    found = {(r["rank"], r["host"], r["pid"], r["bus_id"], r["comm_id"]) for r in got.rows("nccl_communicators")}
    assert found == {
        (1, "dev-dc07a789", 1797, "64000", "0x7b6dcb8062e2781c"),
        (3, "dev-dc07a789", 1799, "86000", "0x7b6dcb8062e2781c"),
        (4, "dev-dc07a789", 1800, "97000", "0x7b6dcb8062e2781c"),
        (6, "dev-dc07a789", 1802, "b9000", "0x7b6dcb8062e2781c"),
    }
    assert [r["torn"] for r in got.rows("nccl_records") if r["pid"] == 1801] == [True, True]


@needs_real
def test_one_process_two_gpus() -> None:
    """Pointers alone tell two ranks of one thread apart; each counts its own 495 calls although opCount stays 0."""
    got = collect(REAL / "a100pcie-2gpu-coll-tuning-2.27.7.log")
    calls = got.rows("nccl_calls")
    assert {c["op_count"] for c in calls} == {0}
    for rank in (0, 1):
        assert [c["call_no"] for c in calls if c["rank"] == rank] == list(range(1, 496))
    choices = got.rows("nccl_tuning")
    assert [t["call_no"] for t in choices] == list(range(1, 496))
    assert {(t["algo"], t["proto"], t["comm_key"]) for t in choices} == {("RING", "SIMPLE", "0x54fe282d32a87d85")}


@needs_real
@pytest.mark.parametrize(
    ("name", "torn"),
    [("socket-connect-abort-shm-2.18.log", 0), ("socket-retry-2.7.log", 1), ("tf-2gpu-coll-2.4.log", 1)],
)
def test_cut_records_are_flagged(name: str, torn: int) -> None:
    """As many records are flagged as a person finds cut; a whole warning is not."""
    assert sum(r["torn"] for r in collect(REAL / name).rows("nccl_records")) == torn


@needs_real
def test_wrapped_warning_is_joined() -> None:
    """A warning wrapped over two lines keeps the vendor's number of its second line."""
    rows = collect(REAL / "azure-ib-err12-wrapped-2.18.log").rows("nccl_errors")
    assert [(r["peer"], r["status"], r["vendor"], r["first_cause"]) for r in rows][:1] == [("10.2.0.5", 12, 129, True)]


@needs_real
def test_watchdog_tells_once() -> None:
    """A timeout told again when the process ends is one row, and the repetition is noted."""
    got = collect(REAL / "torch-watchdog-desync-8ranks-torch2.9.log")
    timeouts = [r for r in got.rows("torch_watchdog") if r["kind"] == "timeout"]
    assert sorted(r["rank"] for r in timeouts) == [1, 2, 3, 5, 6, 7]
    assert [n.code for n in got.notes] == ["torch-watchdog-repeats"]
