"""A whole, very small recording: what a rank serves is what its records, and the replay, say."""

import gzip
import json

import pytest

from sample_traces.lab.config import Fault, Model, Run
from sample_traces.lab.launch import gather, record
from tests.lab import pinned

SMALL = Model(layers=1, hidden=128, heads=4, inner=256, vocab=256)

REPLAY = """
import json, sys
from pathlib import Path
from sample_traces.lab.config import Run
from sample_traces.lab.launch import Recording
from sample_traces.lab.plans import courses
from sample_traces.lab.replay import Job, Replayer
from sample_traces.lab.truth import requests_of
directory = Path(sys.argv[1])
run = Run.read(directory / "run.json")
recording = Recording(run, directory, json.loads((directory / "raw.json").read_text()))
requests = requests_of(run)
found = courses(recording, {i: len(r.tokens) for i, r in requests.items()})
some = sorted(found)[:40]
answers = Replayer(run.model, run.tp).run([Job(tuple(requests[i].tokens), tuple(found[i].algos)) for i in some])
print(json.dumps([i for i, a in zip(some, answers) if list(a.tokens) != found[i].tokens]))
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A second of serving with a stall on rank 1 in its middle, and its part of a bundle."""
    where = tmp_path_factory.mktemp("lab")
    run = Run("b", seconds=1.0, users=20, model=SMALL, warmup=8, fault=Fault("quant_stall", 1, 0.4, 0.7, 0.9))
    recording = record(run, where / "run", profile=False)
    gather(recording, where / "bundle", profile=False)
    return recording, where / "bundle" / "b"


def read(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.slow
def test_records_are_complete(recorded):
    """Every token that was served has its s record, every request its x record, every rank its iterations."""
    recording, home = recorded
    s = [r for r in read(home / "s.jsonl.gz") if r["record"] == "s"]
    x = [r for r in read(home / "x.jsonl.gz") if r["record"] == "x"]
    served = {(m, p) for i in recording.iterations for m, p in zip(i["members"], i["positions"], strict=True)}
    prompts = {r["req_id"]: r["effective_tokens"] for r in x}
    assert {r["req_id"] for r in x} == {f"b-{m:03d}" for m, _ in served}
    wanted = {(f"b-{m:03d}", p - prompts[f"b-{m:03d}"] + 1) for m, p in served}
    assert sorted((r["req_id"], r["step"]) for r in s) == sorted(w for w in wanted if w[1] >= 0)
    assert all("rank" not in r for r in s)
    for rank in range(2):
        mine = [r for r in read(home / f"s_rank{rank}.jsonl.gz") if r["record"] == "s"]
        assert [r["iteration"] for r in mine] == list(range(len(recording.iterations)))
        assert {r["rank"] for r in mine} == {rank}


def test_times_add_up(recorded):
    """Waiting is part of the collectives' time and that of the step's; the engine's times are the ranks' mean."""
    _, home = recorded
    ranks = [{r["iteration"]: r for r in read(home / f"s_rank{n}.jsonl.gz") if r["record"] == "s"} for n in range(2)]
    for row in read(home / "s.jsonl.gz")[:500]:
        if row["record"] != "s":
            continue
        assert 0 <= row["sync_ms"] <= row["comm_ms"] <= row["gpu_ms"]
        mean = sum(rank[row["iteration"]]["gpu_ms"] for rank in ranks) / 2
        assert row["gpu_ms"] == pytest.approx(mean, abs=1e-3)


def test_the_fault_is_where_it_says(recorded):
    """Dequantisation ran on rank 1 alone, and only between switching on and off."""
    recording, home = recorded
    start, fault = recording.raw["start_ns"], recording.run.fault
    zero, one = ([r for r in read(home / f"s_rank{n}.jsonl.gz") if r["record"] == "s"] for n in range(2))
    busy = [r for r in one if r["dequant_cycles"]]
    assert busy
    assert not any(r["dequant_cycles"] for r in zero)
    assert min(r["ts_ns"] for r in busy) >= start + fault.on_s * 1e9
    assert max(r["ts_ns"] for r in busy) <= start + fault.off_s * 1e9 + 0.2e9  # one iteration's grace


def test_no_record_was_lost(recorded):
    """The recorders' own accounts say that nothing was dropped and nothing failed."""
    _, home = recorded
    accounts = [r for path in home.glob("*.gz") for r in read(path) if r["record"] == "recorder"]
    assert len(accounts) == 4
    assert all(a["dropped"] == 0 and a["errors"] == 0 for a in accounts)


def test_recording_replays_exactly(recorded):
    """The answers that two processes gave over shared memory come out of one process's replay, to the token."""
    recording, _ = recorded
    assert pinned.run(REPLAY, recording.directory) == []
