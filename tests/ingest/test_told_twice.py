"""Records that tell of one request, or of one engine, more than once: told apart, taken together, or said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from postmortem.ingest.load import ingest
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
