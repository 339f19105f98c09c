"""Records that tell of one request, or of one engine, more than once: told apart, taken together, or said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from postmortem.ingest.load import ingest
from postmortem.store import store as stores
from tests.ingest.nsys.exports import build, call, kernel, nvtx, ordinary
from tests.ingest.stores import rows


def test_one_id_on_two_replicas(tmp_path: Path) -> None:
    """A mirrored request is two; one that moved to another replica stays one; a gateway's x record is each one's."""
    (tmp_path / "bundle").mkdir()
    lines = [
        {"record": "x", "req_id": "both", "raw_prompt_sha256": "aa"},
        {"record": "x", "req_id": "own", "replica": "a"},
        {"record": "x", "req_id": "own", "replica": "b"},
        *({"record": "s", "req_id": r, "replica": p, "step": n, "token_id": ord(p) if r == "own" else n}
          for r, p, n in [("both", "a", 0), ("both", "a", 1), ("both", "b", 0), ("both", "b", 1), ("own", "a", 3),
                          ("own", "b", 3), ("moved", "a", 0), ("moved", "b", 1)]),
    ]  # fmt: skip
    (tmp_path / "bundle" / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    assert rows(store, "FROM x_records SELECT req_id, replica, raw_prompt_sha256 ORDER BY ALL") == [
        ("a/both", "a", "aa"), ("a/own", "a", None), ("b/both", "b", "aa"), ("b/own", "b", None),
    ]  # fmt: skip
    assert rows(store, "FROM s_records SELECT req_id, replica, step ORDER BY ALL") == [
        ("a/both", "a", 0), ("a/both", "a", 1), ("a/own", "a", 3), ("b/both", "b", 0),
        ("b/both", "b", 1), ("b/own", "b", 3),
        ("moved", "a", 0), ("moved", "b", 1),
    ]  # fmt: skip
    assert rows(store, "FROM notes SELECT code, message") == [
        ("same-request-id", "2 request ids were served by several replicas: told apart as replica/id, as in a/both")
    ]
    assert rows(store, "FROM sources SELECT lines, parsed, ignored, rejected") == [(11, 11, 0, 0)]


def test_a_request_has_one_x_record(tmp_path: Path) -> None:
    """Handed over, its first token told twice, and a gateway's record: each field of the first that has it."""
    (tmp_path / "bundle").mkdir()
    lines = [
        {"record": "x", "req_id": "q", "admitted_ns": 5, "raw_prompt_sha256": "aa", "tenant": "t"},
        {"record": "x", "req_id": "q", "replica": "b", "admitted_ns": 20, "effective_tokens": 7},
        {"record": "x", "req_id": "q", "replica": "a", "admitted_ns": 10, "effective_text_sha256": "bb"},
        {"record": "s", "req_id": "q", "replica": "a", "step": 0, "token_id": 3},
        {"record": "s", "req_id": "q", "replica": "b", "step": 0, "token_id": 3},
        {"record": "s", "req_id": "q", "replica": "b", "step": 1, "token_id": 4},
    ]
    (tmp_path / "bundle" / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    fields = "req_id, replica, admitted_ns, raw_prompt_sha256, effective_text_sha256, effective_tokens, tenant"
    assert rows(store, f"FROM x_records SELECT {fields}, line") == [("q", "a", 10, "aa", "bb", 7, "t", 3)]
    assert rows(store, "FROM ignored SELECT why, lines") == [
        ("x record of a request that another one tells of: what it adds is kept", 2)
    ]
    assert rows(store, "FROM sources SELECT lines, parsed, ignored, rejected, rows") == [(6, 4, 2, 0, 4)]


@pytest.mark.parametrize("requests", [True, False])
def test_an_engine_that_began_again(tmp_path: Path, requests: bool) -> None:
    """Its second life counts from 0 again, an hour later: said, for the records name no life."""
    hour = 3_600_000_000_000

    def requests_of(life: int, n: int) -> list[dict[str, Any]]:
        return [{}, {"req_id": f"r{life}", "step": n}] if requests else [{}]

    (tmp_path / "bundle").mkdir()
    lines = [
        {"record": "s", "replica": "a", "rank": 0, "iteration": n, "ts_ns": life * hour + n} | request
        for life in (0, 1) for n in range(5) for request in requests_of(life, n)
    ]  # fmt: skip
    (tmp_path / "bundle" / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    ((severity, code, message),) = rows(store, "FROM notes SELECT severity, code, message")
    assert (severity, code) == ("data_loss", "iterations-begun-again")
    assert message.startswith(
        "replica a: iteration 0 was recorded after iteration 2 had begun: its counter began again"
    )


@pytest.mark.parametrize(("offset_ns", "said"), [(0, True), (-3_600_000_000_000, False)])
def test_an_engine_that_began_again_in_another_file(tmp_path: Path, offset_ns: int, said: bool) -> None:
    """A container that was started anew records into a new file; a clock that was an hour off is no second life."""
    (tmp_path / "bundle").mkdir()
    for life in (0, 1):
        lines = [
            {"record": "s", "replica": "a", "rank": 0, "iteration": n, "ts_ns": life * 3_600_000_000_000 + n}
            for n in range(5)
        ]
        (tmp_path / "bundle" / f"life{life}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "bundle" / "bundle.toml").write_text(
        f'[[source]]\npath = "life1.jsonl"\nclock_offset_ns = {offset_ns}\n'
    )
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    begun = "replica a: iteration 0 was recorded after iteration 4 had begun: its counter began again"
    messages = [m for (m,) in rows(store, "FROM notes SELECT message WHERE code = 'iterations-begun-again'")]
    assert [m.startswith(begun) for m in messages] == [True] * said


def test_an_engine_whose_log_is_rotated(tmp_path: Path) -> None:
    """The next file goes on where the last one ended, with iterations that both tell of: no second life."""
    (tmp_path / "bundle").mkdir()
    for part in range(3):
        lines = [
            {
                "record": "s",
                "replica": "a",
                "iteration": n,
                "req_id": f"r{part}",
                "step": n,
                "ts_ns": 10 * n + 20 * part,
            }
            for n in range(4 * part - (part > 0), 4 * part + 5)
        ]
        (tmp_path / "bundle" / f"s.{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    assert rows(store, "FROM notes SELECT code") == []


@pytest.mark.parametrize("late_ns", [0, 30_000_000])
def test_an_engine_that_runs_on(tmp_path: Path, late_ns: int) -> None:
    """Coarse times, and first tokens that are stamped late, are no second life."""
    (tmp_path / "bundle").mkdir()
    second = 1_000_000_000
    lines = [
        {"record": "s", "replica": "a", "iteration": n, "req_id": f"r{k}", "step": n,
         "ts_ns": n * 10_000_000 // second * second + (late_ns if k else 0)}
        for n in range(400) for k in range(2)
    ]  # fmt: skip
    (tmp_path / "bundle" / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    assert rows(store, "FROM notes SELECT code") == []


def test_a_capture_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    """A copy in another folder and a packed one: said of each, and none of their events is told again."""
    bundle = tmp_path / "bundle"
    (bundle / "backup").mkdir(parents=True)
    one = ordinary(bundle / "rank3.sqlite").read_bytes()
    (bundle / "backup" / "rank3.sqlite").write_bytes(one)
    (bundle / "rank3.sqlite.gz").write_bytes(gzip.compress(one))
    ingest(bundle, store := tmp_path / "store.duckdb")
    for table, count in (("kernels", 200), ("cuda_api", 200), ("nvtx_events", 200), ("gpu_metrics", 300)):
        assert rows(store, f"FROM {table} SELECT count(*)") == [(count,)]
    said = "FROM notes JOIN sources USING (source_id) SELECT path, message WHERE code = 'same-capture' ORDER BY path"
    message = "the same capture as backup/rank3.sqlite: its events count once"
    assert rows(store, said) == [("rank3.sqlite", message), ("rank3.sqlite.gz", message)]
    assert rows(store, "FROM notes SELECT * WHERE code = 'iterations-begun-again'") == []


BEGUN_AGAIN = "its counter began again, or two engines bear its name; they are told as one: give each its own"
PARTS = "parts of one capture, and what is in both counts twice: leave one out"


@pytest.mark.parametrize(
    ("start", "first", "said"),
    [
        (3_600_000_000_000, 0, f"iterations 0 to 3 are in rank0_1.sqlite and in rank0_2.sqlite: {BEGUN_AGAIN}"),
        (0, 3, f"iterations 3 to 3 are in rank0_1.sqlite and in rank0_2.sqlite: {PARTS}"),
        (0, 4, None),
    ],
    ids=["another session", "overlapping parts", "another part"],
)
def test_two_exports_of_a_rank_stay_two(tmp_path: Path, start: int, first: int, said: str | None) -> None:
    """Of another session, whose iterations begin again, or other parts of one session: what both tell is said."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    domain = nvtx(0, None, "postmortem", 75, domainId=1)
    for name, begins, lap in (("rank0_1", 0, 0), ("rank0_2", start, first)):
        at = 1000 * lap
        build(
            bundle / f"{name}.sqlite", StringIds=[{"id": 1, "value": "gemm"}, {"id": 2, "value": "cudaLaunchKernel"}],
            TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": 1_800_000_000_000_000_000 + begins}],
            CUPTI_ACTIVITY_KIND_KERNEL=[kernel(at + 1000 * i, at + 1000 * i + 500) for i in range(4)],
            CUPTI_ACTIVITY_KIND_RUNTIME=[call(at, at + 9, 1)],
            NVTX_EVENTS=[domain, *(nvtx(at + 1000 * i, at + 1000 * i + 900, f"iteration n={lap + i}", domainId=1)
                                   for i in range(4))],
        )  # fmt: skip
    ingest(bundle, store := tmp_path / "store.duckdb")
    assert rows(store, "FROM kernels SELECT count(*)") == [(8,)]
    assert rows(store, "FROM notes SELECT * WHERE code = 'same-capture'") == []
    again = rows(store, "FROM notes SELECT severity, message WHERE code = 'iterations-begun-again'")
    assert again == ([("data_loss", f"rank 0: {said}")] if said else [])


def test_a_large_table_without_kinds_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of which none tells anything: the table lacks the columns that would hold it."""
    monkeypatch.setattr(stores, "LARGE_ROWS", 3)
    (tmp_path / "bundle").mkdir()
    build(tmp_path / "bundle" / "rank0.sqlite", NVTX_EVENTS=[nvtx(i, i + 1, "layer") for i in range(9)])
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    assert rows(store, "FROM nvtx_events SELECT count(*), count(kind)") == [(9, 0)]


@pytest.mark.parametrize(
    ("gateway", "engine", "apart"),
    [("cmpl-7", "cmpl-7-0", True), ("chatcmpl-a-b", "0_chatcmpl-a-b", True), ("a-b", "chatcmpl-a-b", True),
     ("7", "cmpl-7-0", True), ("7", "8", False), ("7", "7", False)],
)  # fmt: skip
def test_an_id_that_the_engine_lengthened(tmp_path: Path, gateway: str, engine: str, apart: bool) -> None:
    """Nothing joins the two: said, since the x record seems missing where it stands."""
    (tmp_path / "bundle").mkdir()
    text = {"record": "x", "req_id": gateway, "effective_text_sha256": "01"}
    step = {"record": "s", "req_id": engine, "step": 0, "replica": "a"}
    (tmp_path / "bundle" / "records.jsonl").write_text(f"{json.dumps(text)}\n{json.dumps(step)}\n")
    ingest(tmp_path / "bundle", store := tmp_path / "store.duckdb")
    told = rows(store, "FROM notes SELECT code, message")
    assert [code for code, _ in told] == ["ids-apart"] * apart
    assert all(f"as {engine} and {gateway}:" in message for _, message in told)
