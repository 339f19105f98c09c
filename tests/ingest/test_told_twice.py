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
