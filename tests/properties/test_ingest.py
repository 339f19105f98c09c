"""What holds for any records: order leaves no trace, nothing is lost, the fast way is the careful way."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postmortem.ingest.load import ingest
from postmortem.ingest.readers.records.bulk import bulk
from tests.ingest.stores import contents, rows
from tests.ingest.test_records import SAMPLES, Got

# Small values, so that keys collide: doubles, several views of one step, records without replica.
S_RECORDS = st.fixed_dictionaries(
    {"record": st.just("s"), "req_id": st.sampled_from("pq"), "step": st.integers(0, 2)},
    optional={
        "rank": st.integers(0, 1),
        "replica": st.sampled_from("ab"),
        "ts_ns": st.integers(0, 3),
        "iteration": st.integers(0, 3),
        "token_id": st.integers(0, 2),
        "odd": st.integers(0, 1),
    },
)
STATES = st.fixed_dictionaries(
    {
        "record": st.just("s"), "replica": st.sampled_from("ab"), "rank": st.integers(0, 1),
        "iteration": st.integers(0, 2),
    },
    optional={"ts_ns": st.integers(0, 3), "gpu_ms": st.floats(0, 10)},
)  # fmt: skip
X_RECORDS = st.fixed_dictionaries(
    {"record": st.just("x"), "req_id": st.sampled_from("pq")},
    optional={
        "replica": st.sampled_from("ab"),
        "admitted_ns": st.integers(0, 2),
        "decode_cfg_applied": st.fixed_dictionaries({"temperature": st.integers(0, 1)}),
    },
)
RECORDS = st.lists(st.one_of(S_RECORDS, STATES, X_RECORDS), min_size=1, max_size=25)
TABLES = {"x_records", "s_records", "recorder_losses", "ignored", "rejects"}


def store_of(folder: Path, files: dict[str, list[str]]) -> Path:
    """The store of a bundle of such lines."""
    bundle = folder / "b"
    bundle.mkdir()
    for name, lines in files.items():
        (bundle / name).write_text("\n".join(lines))
    ingest(bundle, folder / "s.duckdb")
    return folder / "s.duckdb"


@settings(max_examples=8)
@given(RECORDS, st.integers(0, 2**32))
def test_order_of_lines_leaves_no_trace(records: list[dict[str, Any]], seed: int) -> None:
    """The same lines in any order give the same store, doubles that contradict each other with them."""
    lines = [json.dumps(r) for r in records]
    shuffled = random.Random(seed).sample(lines, len(lines))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first = contents(store_of(Path(one), {"r.jsonl": lines}), only=TABLES)
        assert first == contents(store_of(Path(other), {"r.jsonl": shuffled}), only=TABLES)


@pytest.mark.slow
@settings(max_examples=8)
@given(RECORDS, st.integers(0, 2**32))
def test_files_leave_no_trace(records: list[dict[str, Any]], seed: int) -> None:
    """The same lines in one file or spread over three give the same records."""
    lines = [json.dumps(r) for r in records]
    chance = random.Random(seed)
    spread: dict[str, list[str]] = {"k.jsonl": [], "l.jsonl": [], "m.jsonl": []}
    for line in lines:
        spread[chance.choice(list(spread))].append(line)
    leave, only = {"line", "source_id"}, {"x_records", "s_records"}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first = contents(store_of(Path(one), {"r.jsonl": lines}), leave, only)
        assert first == contents(store_of(Path(other), spread), leave, only)


LINES = st.lists(
    st.one_of(
        st.one_of(S_RECORDS, STATES, X_RECORDS).map(lambda r: json.dumps(r).encode()),
        st.binary(max_size=40).filter(lambda b: b"\n" not in b),
        st.sampled_from([b"", b"  ", b"{}", b'{"record":"s"}', b"null", b'{"record":"s","req_id":"p","step":"1"}']),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=12)
@given(LINES)
def test_the_ledger_balances(lines: list[bytes]) -> None:
    """Lines = parsed + ignored + rejected, after doubles were taken out as well, and each part is in its table."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "b"
        bundle.mkdir()
        text = b'{"record":"s","req_id":"first","step":0}\n' + b"\n".join(lines)
        (bundle / "r.jsonl").write_bytes(text)
        store = Path(folder) / "s.duckdb"
        ingest(bundle, store)
        found, parsed, ignored, rejected, kept = rows(
            store, "FROM sources SELECT lines, parsed, ignored, rejected, rows"
        )[0]
        assert found == text.count(b"\n") + (not text.endswith(b"\n"))
        assert found == parsed + ignored + rejected
        assert parsed == kept
        # an x record without a replica has a row for each replica that served its id
        count = "SELECT count(DISTINCT (source_id, line))"
        assert kept == sum(rows(store, f"FROM {t} {count}")[0][0] for t in ("x_records", "s_records"))
        assert ignored == rows(store, "FROM ignored SELECT coalesce(sum(lines), 0)")[0][0]
        assert rejected == rows(store, "FROM rejects SELECT count(*)")[0][0]


NAMES = st.text(max_size=6)
PLAIN = st.fixed_dictionaries(
    {"record": st.just("s"), "req_id": NAMES, "step": st.integers(-1, 2**63)},
    optional={
        "ts_ns": st.integers(-(2**64), 2**64),
        "rank": st.one_of(st.integers(0, 2**32), st.booleans()),
        "replica": st.one_of(NAMES, st.integers(), st.none(), st.lists(NAMES, max_size=2)),
        "gpu_ms": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), NAMES),
        "margin": st.floats(allow_nan=False, allow_infinity=False),
        "algo_id": st.one_of(NAMES, st.integers(-(2**63), 2**63 - 1)),
        "paging_on": st.one_of(st.booleans(), st.integers(0, 1)),
        "odd": NAMES,
        "Step": st.integers(),
    },
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PLAIN, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_the_fast_way_is_the_careful_way(records: list[dict[str, Any]], compact: bool, ascii_only: bool) -> None:
    """A block that the fast way takes has the rows of the careful way, and no reject."""
    separators = (",", ":") if compact else (", ", ": ")
    lines = [json.dumps(r, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "replace") for r in records]
    block = b"\n".join(lines) + b"\n"
    frame = bulk(block)
    if frame is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        path.write_bytes(block)
        careful = Got(path, fast=False)
    assert careful.rejects == []
    given_rows = [{k: v for k, v in r.items() if v is not None} for r in frame.to_dicts()]
    assert given_rows == [{k: v for k, v in r.items() if k != "line"} for r in careful.s]


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(st.floats(min_value=-(2.0**129), max_value=2.0**129), min_size=1, max_size=50))
def test_floats_are_exact(values: list[float]) -> None:
    """The fast way reads every float that a margin may be to the last bit."""
    lines = [f'{{"record":"s","req_id":"q","step":{i},"margin":{v!r}}}\n' for i, v in enumerate(values)]
    frame = bulk("".join(lines).encode())
    assert frame is not None
    assert frame["margin"].to_list() == values


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda p: p.name)
def test_samples_are_the_same_both_ways(path: Path) -> None:
    """Every sample gives the same rows, rejects and sums with and without the fast way."""
    fast, careful = Got(path), Got(path, fast=False)
    for got in (fast, careful):
        got.rows = {table: sorted(found, key=lambda r: r["line"]) for table, found in got.rows.items()}
    assert vars(fast) == vars(careful)
