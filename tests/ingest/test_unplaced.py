"""A rank's own trace whose rank or replica nothing tells: said once a source, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from postmortem.ingest.load import ingest
from tests.ingest.nsys.exports import build, global_id, kernel, nvtx
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


def said(bundle: Path, tmp_path: Path, code: str = "unplaced") -> list[tuple[Any, ...]]:
    """(file, severity, message) of the notes on sources that nothing places, or of another code."""
    store = tmp_path / "store.duckdb"
    ingest(bundle, store)
    sql = (
        f"FROM notes JOIN sources USING (source_id) SELECT path, severity, message WHERE code = '{code}' ORDER BY path"
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


NCCL, GEMM, OTHER = 2, 1, global_id(11, 11)
DEVICES = [kernel(10, 20, NCCL), kernel(10, 20, NCCL, deviceId=1)]
PROCESSES = [kernel(10, 20), kernel(10, 20, globalPid=global_id(11))]
LAPS = [nvtx(0, 50, "iteration n=0", domainId=1), nvtx(0, 50, "iteration n=0", domainId=1, globalTid=OTHER)]
DOMAINS = [nvtx(0, None, "postmortem", 75, domainId=1, globalTid=t) for t in (global_id(10, 10), OTHER)]


@pytest.mark.parametrize(
    ("kernels", "ranges", "ranks"),
    [
        (DEVICES, [], 2),
        ([kernel(10, 20, NCCL), kernel(10, 20, NCCL, globalPid=global_id(11))], [], 2),
        (PROCESSES, LAPS, 2),
        (PROCESSES, LAPS[:1], None),
        ([kernel(10, 20, NCCL), *PROCESSES], LAPS[:1], None),
        ([kernel(10, 20), kernel(10, 20, deviceId=1)], LAPS[:1], None),
    ],
    ids=["devices", "processes", "iterations", "helper", "helper of a rank", "split over devices"],
)
def test_a_file_of_several_ranks_is_no_ranks(
    tmp_path: Path, kernels: list[dict[str, Any]], ranges: list[dict[str, Any]], ranks: int | None
) -> None:
    """Its name tells no rank where NCCL ran on several devices, or several processes have iterations and GPU work."""
    bundle = tmp_path / "in"
    bundle.mkdir()
    names = [{"id": GEMM, "value": "gemm"}, {"id": NCCL, "value": "ncclDevKernel_AllReduce(x)"}]
    build(
        bundle / "rank5.sqlite", StringIds=names, TARGET_INFO_SESSION_START_TIME=SESSION,
        META_DATA_CAPTURE=[{"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "SLURM_PROCID=5"}],
        CUPTI_ACTIVITY_KIND_KERNEL=kernels, NVTX_EVENTS=DOMAINS + ranges,
    )  # fmt: skip
    records(bundle / "s.jsonl", "a")
    told = said(bundle, tmp_path, "ranks_together")
    assert rows(tmp_path / "store.duckdb", "SELECT rank FROM sources WHERE kind = 'nsys_sqlite'") == [
        (None if ranks else 5,)
    ]
    message = (
        "holds the work of 2 ranks: its collectives are told apart, its iterations are no rank's; "
        "one export a rank tells both"
    )
    assert told == ([] if ranks is None else [("rank5.sqlite", "notice", message)])
    assert said(bundle, tmp_path) == []


def test_a_rank_given_to_several_is_said(tmp_path: Path) -> None:
    """What bundle.toml says holds, and the audit says what it was said of."""
    bundle = tmp_path / "in"
    bundle.mkdir()
    build(
        bundle / "node.sqlite", StringIds=[{"id": NCCL, "value": "ncclDevKernel_AllReduce(x)"}],
        TARGET_INFO_SESSION_START_TIME=SESSION, CUPTI_ACTIVITY_KIND_KERNEL=DEVICES,
    )  # fmt: skip
    (bundle / "bundle.toml").write_text('[[source]]\npath = "node.sqlite"\nrank = 3\nreplica = "a"\n')
    [(_, _, message)] = said(bundle, tmp_path, "ranks_together")
    assert "its iterations are all rank 3's, says bundle.toml" in message
