"""A rank's own trace whose rank or replica nothing tells: said once a source, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from postmortem.ingest.load import ingest
from tests.ingest.nsys.exports import build, kernel, nvtx
from tests.ingest.stores import rows

START = 1_800_000_000_000_000_000
SESSION = [{"utcEpochNs": START}]


def export(path: Path) -> None:
    """A kernel and an iteration."""
    path.parent.mkdir(exist_ok=True)
    build(
        path, StringIds=[{"id": 1, "value": "gemm"}], TARGET_INFO_SESSION_START_TIME=SESSION,
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(10, 20)], NVTX_EVENTS=[nvtx(0, 50, "iteration n=0")],
    )  # fmt: skip


def records(path: Path, *replicas: str) -> None:
    """An s record of each replica, at the same time."""
    told = [{"record": "s", "replica": r, "rank": 0, "iteration": 0, "ts_ns": START + 15} for r in replicas]
    path.write_text("\n".join(map(json.dumps, told)) + "\n")


def said(bundle: Path, tmp_path: Path) -> list[tuple[Any, ...]]:
    """(file, severity, message) of the notes on sources that nothing places."""
    store = tmp_path / "store.duckdb"
    ingest(bundle, store)
    sql = (
        "FROM notes JOIN sources USING (source_id) SELECT path, severity, message WHERE code = 'unplaced' ORDER BY path"
    )
    return rows(store, sql)


def test_neither_known(tmp_path: Path) -> None:
    """Nothing tells: one notice a file, naming both and the remedy."""
    bundle = tmp_path / "in"
    for name in ("one.sqlite", "other.sqlite"):
        export(bundle / name)
    message = (
        "nothing tells whose it is: neither its rank nor its replica is known; "
        "write them into bundle.toml under [[source]]"
    )
    assert said(bundle, tmp_path) == [(name, "notice", message) for name in ("one.sqlite", "other.sqlite")]


@pytest.mark.parametrize(
    ("replicas", "name"), [(("a", "b"), "rank0.sqlite"), ((), "rank0.sqlite"), (("a",), "x.sqlite")]
)
def test_one_known(tmp_path: Path, replicas: tuple[str, ...], name: str) -> None:
    """A file name tells the rank; of two replicas neither is the only one, of none none is; one alone is taken."""
    bundle = tmp_path / "in"
    export(bundle / name)
    if replicas:
        records(bundle / "s.jsonl", *replicas)
    what = "rank" if name == "x.sqlite" else "replica"
    message = f"nothing tells whose it is: no {what} is known; write it into bundle.toml under [[source]]"
    assert said(bundle, tmp_path) == [(name, "notice", message)]


def test_one_replica_needs_no_word(tmp_path: Path) -> None:
    """Ranks by their names, the only replica by its records; records and other files are no rank's own trace."""
    bundle = tmp_path / "in"
    for rank in range(3):
        export(bundle / f"rank{rank}.sqlite")
    records(bundle / "s.jsonl", "a")
    (bundle / "README").write_text("what happened\n")
    assert said(bundle, tmp_path) == []
