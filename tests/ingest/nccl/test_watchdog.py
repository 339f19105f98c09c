"""Lines of PyTorch's watchdog and process groups, by version and wording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.nccl.collect import columns, read_bytes, sample


def test_torch_wordings() -> None:
    """PyTorch's wordings from 2.0 on are read; a year that no line gives stays unknown."""
    got = sample("torch-versions.log")
    assert columns(
        got.rows("torch_watchdog"), "kind", "rank", "seq", "op", "numel", "ran_ms", "last_enqueued", "t_ns"
    ) == [
        ("timeout", 3, 7, "_ALLGATHER_BASE", 80, 600096.0, None, None),
        ("timeout", 1, None, "ALLREDUCE", None, 1800123.0, None, None),
        ("status", 3, 1580, None, None, None, 1582, None),
    ]
    assert got.kinds() == {"torch_watchdog": 3, "torch_pg_status": 1, "network": 1}


DUMP = (
    "[PG ID 0 PG GUID 0(default_pg) Rank 0] Received a dump signal due to a collective timeout from  rank 1 and we"
    " will try our best to dump the debug info. Last enqueued NCCL work: 77, last completed NCCL work: 76.This is most"
)
FAILED = (
    "[PG 0 (default_pg) Rank 3] Timeout at NCCL work: 2070, last enqueued NCCL work: 2082,"
    " last completed NCCL work: 2069."
)


@pytest.mark.parametrize(
    ("line", "told"),
    [(DUMP, ("0", "default_pg", 0, None, 77, 76)), (FAILED, ("0", "default_pg", 3, 2070, 2082, 2069))],
    ids=["another rank's timeout, 2.5 on", "name behind the number, 2.4"],
)
def test_states_of_groups(tmp_path: Path, line: str, told: tuple[object, ...]) -> None:
    """The state that a rank tells because another timed out is read: it may have enqueued less. So is 2.4's name."""
    got = read_bytes(tmp_path, f"[rank0]:[E418 01:32:50.9 ProcessGroupNCCL.cpp:1890] {line}\n".encode())
    names = ("pg", "pg_name", "rank", "seq", "last_enqueued", "last_completed")
    assert columns(got.rows("torch_watchdog"), *names) == [told]
    assert got.kinds() == {"torch_pg_status": 1}


TIMEOUT = (
    "{0}[E0101 00:09:50.5 ProcessGroupNCCL.cpp:683] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL("
    "SeqNum=7, OpType=ALLREDUCE, NumelIn=8, NumelOut=8, Timeout(ms)=600000) ran for 600096 milliseconds before"
    " timing out.\n"
)
STATUS = (
    "{0}[E0101 00:09:50.5 ProcessGroupNCCL.cpp:1785] [PG ID 2 PG GUID {1} Rank 0] Exception (either an error or"
    " timeout) detected by watchdog at work: 7, last enqueued NCCL work: 8, last completed NCCL work: 6.\n"
)


@pytest.mark.parametrize(
    ("first", "second", "ranks"),
    [
        ("[rank0]: ", "[rank2]: ", [0, 2]),
        ("(Worker_DP0_TP0 pid=11) ", "(Worker_DP1_TP0 pid=22) ", [None, None]),
        ("(W pid=11, ip=10.0.0.1) ", "(W pid=11, ip=10.0.0.2) ", [None, None]),
        ("[rank0]: ", "[rank0]: ", [0]),
        ("[rank0]: ", "", [0]),
    ],
    ids=["torchrun", "vLLM", "Ray", "one process", "prefix lost"],
)
def test_watchdogs_of_two_groups(tmp_path: Path, first: str, second: str, ranks: list[int | None]) -> None:
    """Rank 0 of two process groups is two processes, as long as their launcher tells them apart."""
    log = "".join(line.format(who, 3) for line in (TIMEOUT, STATUS) for who in (first, second))
    got = read_bytes(tmp_path, log.encode())
    for kind in ("timeout", "status"):
        rows = [r for r in got.rows("torch_watchdog") if r["kind"] == kind]
        assert columns(rows, "rank", "prefix_rank") == [(0, rank) for rank in ranks]
    given = [0 if "rank0" in who else 2 if "rank2" in who else None for who in (first, second)]
    assert [r["prefix_rank"] for r in got.rows("nccl_records")] == given * 2


def test_status_of_two_groups_without_prefix(tmp_path: Path) -> None:
    """A group's id is its process's own; its unique name tells two groups apart."""
    got = read_bytes(tmp_path, (STATUS.format("", 3) + STATUS.format("", 5) + STATUS.format("", 3)).encode())
    assert columns(got.rows("torch_watchdog"), "line") == [(1,), (2,)]


@pytest.mark.parametrize(
    "before",
    ["[2025-12-31 23:49:50] n1:1:2 [0] x.cc:1 NCCL WARN late\n{0}", "2026-01-01T00:09:51Z stderr F {0}"],
    ids=["a year before", "the container's"],
)
def test_watchdog_in_a_new_year(tmp_path: Path, before: str) -> None:
    """PyTorch prints no year: it is the one nearest to the log's last time, 2026-01-01 00:09:50.5."""
    got = read_bytes(tmp_path, before.format(TIMEOUT.format("")).encode())
    assert columns(got.rows("torch_watchdog"), "t_ns") == [(1767226190_500000000,)]
