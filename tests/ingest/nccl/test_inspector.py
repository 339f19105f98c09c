"""Dumps of NCCL Inspector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postmortem.ingest.reader import Head
from postmortem.ingest.readers import nccl_inspector, nccl_log
from tests.ingest.nccl.collect import INSPECTOR_SAMPLES, collect, read_bytes

DUMPS = sorted(INSPECTOR_SAMPLES.glob("*.jsonl"))


@pytest.mark.parametrize("path", DUMPS, ids=lambda p: p.stem)
def test_dump_is_claimed_by_content(path: Path) -> None:
    """A dump of NCCL Inspector is recognised under any name, and the log's reader leaves it."""
    head = Head("unknown.bin", path.read_bytes(), path)
    assert nccl_inspector.READER.sniff(head) > 0
    assert nccl_log.READER.sniff(head) == 0


def test_dump_whose_first_line_is_torn(tmp_path: Path) -> None:
    """A dump that begins in the middle of a record is one, and its first line a reject."""
    data = b'_time_us":12}}\n' + (INSPECTOR_SAMPLES / "plain-v4.0.jsonl").read_bytes()
    assert nccl_inspector.READER.sniff(Head("d", data, Path("d"))) == 85
    assert [r.place for r in read_bytes(tmp_path, data, nccl_inspector.READER).rejects] == [1]
    log = b"n1:1:1 [0] NCCL INFO Using network IB\n" * 20
    assert nccl_inspector.READER.sniff(Head("d", log + data, Path("d"))) == 0


def test_inspector_records() -> None:
    """Plain, verbose, point-to-point and forks' records give rows; unknown fields are kept."""
    rows = [r for p in DUMPS for r in collect(p, nccl_inspector.READER).rows("nccl_inspector")]
    told = {(r["coll"], r["sn"], r["comm_id"], r["start_ns"], r["stop_ns"]) for r in rows}
    assert told == {
        ("AllReduce", 1407, "0x7f8c496ae9f661", None, None),
        ("ReduceScatter", 1231, "0xe62dedaa97644a", 1752867229235181000, 1752867229275811000),
        ("Send", 3, "0x7f8c496ae9f661", None, None),
        ("AllReduce", 4, "0xe62dedaa97644a", None, None),
        ("AllReduce", 1, "0x1", None, None),
    }
    fork = next(r for r in rows if r["sn"] == 4)
    assert fork["extra"] == '{"coll_perf":{"coll_algo":"RING","graphCaptured":true},"site":"x"}'


@pytest.mark.parametrize("lacks", ["header", "metadata"])
def test_inspector_record_of_one_part(tmp_path: Path, lacks: str) -> None:
    """A fork's record that lacks one of its two parts has that part's fields at the top; nothing else is unknown."""
    record = json.loads((INSPECTOR_SAMPLES / "plain-v4.0.jsonl").read_text())
    (whole,) = read_bytes(tmp_path, json.dumps(record).encode(), nccl_inspector.READER).rows("nccl_inspector")
    moved = record | record.pop(lacks)
    (row,) = read_bytes(tmp_path, json.dumps(moved).encode(), nccl_inspector.READER).rows("nccl_inspector")
    assert (row["rank"], row["pid"]) == (whole["rank"], whole["pid"]) != (None, None)
    assert {k: v for k, v in row.items() if k != "extra"} == {k: v for k, v in whole.items() if k != "extra"}
    # Fields that no column has are told where they stood.
    assert (json.loads(row["extra"]) == json.loads(whole["extra"])) == (lacks == "header")


def test_inspector_call_without_kernels(tmp_path: Path) -> None:
    """The call's end is the end of its enqueueing, 5 µs after its start, of a collective that took 41 ms: no end."""
    record = json.loads((INSPECTOR_SAMPLES / "verbose-with-kernel-events-v4.0.jsonl").read_text())
    for events in ([], [{"channel_id": 0, "kernel_start_ts": 0, "kernel_stop_ts": 0}]):
        record["coll_perf"]["event_trace_ts"]["kernel_events"] = events
        (row,) = read_bytes(tmp_path, json.dumps(record).encode(), nccl_inspector.READER).rows("nccl_inspector")
        assert (row["start_ns"], row["stop_ns"]) == (1752867229235059000, None)


def test_inspector_rejects() -> None:
    """A text where a number belongs, NaN, a header alone and a cut line are rejects with their lines."""
    got = collect(INSPECTOR_SAMPLES / "bad-records.jsonl", nccl_inspector.READER)
    assert [r.place for r in got.rejects] == [2, 3, 5, 6]
    assert got.balances()


HALF = '"\\ud800"'  # the first half of a character of two


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("61974", "9" * 400, "coll_exec_time_us is beyond a double"),
        ("1748030377748202", "4611686018427388", "dump_timestamp_us is no whole number of its size"),
        (
            '"coll_sn"',
            '"event_trace_ts":{"coll_start_ts":-9000000000000000},"coll_sn"',
            "coll_start_ts is no whole number of its size",
        ),
        ('"example-hostname"', HALF, "holds half a character"),
        ('"coll_sn"', f'"more":{HALF},"coll_sn"', "holds half a character"),
        ('"coll_sn"', f'{HALF}:1,"coll_sn"', "holds half a character"),
    ],
    ids=[
        "400 digits",
        "year 2116",
        "year 1684",
        "half a character",
        "the same in an unknown field",
        "the same in a key",
    ],
)
def test_inspector_record_that_no_column_holds(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """A value that no column can hold is a reject of its record; those around it are read."""
    good = (INSPECTOR_SAMPLES / "plain-v4.0.jsonl").read_text().strip()
    assert old in good
    got = read_bytes(tmp_path, "\n".join([good, good.replace(old, new), good]).encode(), nccl_inspector.READER)
    assert [r["line"] for r in got.rows("nccl_inspector")] == [1, 3]
    assert [(r.place, r.reason) for r in got.rejects] == [(2, reason)]
