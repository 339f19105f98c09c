"""Start the ranks of one run, wait for them, and gather what they left."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_traces.lab import nsys
from sample_traces.lab.allreduce import Group
from sample_traces.lab.config import Run
from sample_traces.lab.numerics import PLANNED
from sample_traces.lab.rank import LEEWAY_S
from sample_traces.lab.redact import redact

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path("/dev/shm")  # memory, not disk, where there is such a folder


class RankFailed(RuntimeError):
    """A rank, or the profiler around it, failed or hung."""


@dataclass
class Recording:
    """What a run left: ``raw`` as rank 0 saw it, and its files."""

    run: Run
    directory: Path
    raw: dict[str, Any]

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """One entry an iteration."""
        table: list[dict[str, Any]] = self.raw["iterations"]
        return table

    @property
    def cuts(self) -> int:
        """How often the scheduler lowered its limit."""
        limits = [i["limit"] for i in self.iterations]
        return sum(b < a for a, b in itertools.pairwise(limits))


def record(run: Run, directory: Path, *, profile: bool) -> Recording:
    """Run all ranks to the end; raises RankFailed where one of them failed."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    run.write(directory / "run.json")
    with tempfile.NamedTemporaryFile(dir=SHARED if SHARED.is_dir() else None, prefix="lab-") as shared:
        Group.create(Path(shared.name), run.tp, max(PLANNED), max(run.model.hidden, run.model.vocab))
        (directory / "shared").symlink_to(shared.name)
        _run_ranks(run, directory, profile=profile)
    (directory / "shared").unlink()
    raw = json.loads((directory / "raw.json").read_text(encoding="utf-8"))
    return Recording(run, directory, raw)


def _run_ranks(run: Run, directory: Path, *, profile: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = []
    logs = []
    try:
        for rank in range(run.tp):
            command = [sys.executable, "-m", "sample_traces.lab.rank", str(directory), str(rank)]
            if profile:
                command = nsys.profiled(command, directory / f"rank{rank}")
            log = (directory / f"rank{rank}.log").open("w", encoding="utf-8")
            logs.append(log)
            processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
        if run.fault.kind == "slow_rank" and run.fault.rank is not None:
            processes.append(_hog(run, directory))
        _wait(processes, run.seconds + LEEWAY_S, directory)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for log in logs:
            log.close()


def _hog(run: Run, directory: Path) -> subprocess.Popen[bytes]:
    fault = run.fault
    assert fault.rank is not None
    cores = sorted(os.sched_getaffinity(0))
    duty = min(1.0, fault.intensity + 0.1)  # of equal priority it gets half of what it asks for, in slices
    return subprocess.Popen(
        [
            sys.executable, str(Path(__file__).with_name("hog.py")), str(directory / "start"),
            str(cores[fault.rank % len(cores)]), str(fault.on_s), str(fault.off_s), str(duty),
        ]
    )  # fmt: skip


def _wait(processes: list[subprocess.Popen[bytes]], patience_s: float, directory: Path) -> None:
    deadline = time.monotonic() + patience_s
    while any(process.poll() is None for process in processes):
        if any(process.poll() not in (None, 0) for process in processes) or time.monotonic() > deadline:
            break
        time.sleep(0.1)  # seconds; seldom, since the cores belong to the ranks
    if any(process.poll() != 0 for process in processes):
        told = "\n".join(log.read_text(encoding="utf-8")[-2000:] for log in sorted(directory.glob("rank*.log")))
        raise RankFailed(f"a rank failed or hung:\n{told}")


def gather(recording: Recording, bundle: Path, *, profile: bool) -> None:
    """A replica's part of the bundle: its records, and its exports where they were taken."""
    run = recording.run
    home = bundle / run.replica
    home.mkdir(parents=True)
    source = recording.directory
    for kind in ("x", "s"):
        parts = [source / f"engine{rank}" / f"{kind}.jsonl" for rank in range(run.tp)]
        _pack([path for path in parts if path.exists()], home / f"{kind}.jsonl.gz")
    for rank in range(run.tp):
        _pack([source / f"s_rank{rank}.jsonl"], home / f"s_rank{rank}.jsonl.gz")
    if profile:
        (home / "nsys").mkdir()
        for rank in range(run.tp):
            sqlite = home / "nsys" / f"rank{rank}.sqlite"
            nsys.export(source / f"rank{rank}", sqlite)
            redact(sqlite)


def _pack(parts: list[Path], target: Path) -> None:
    lines = [line for path in parts for line in path.read_text(encoding="utf-8").splitlines()]
    keyed = [(json.loads(line), line) for line in lines]
    keyed.sort(key=lambda pair: _when(pair[0]))  # stable: parts of one instant stay in their order
    text = "".join(line + "\n" for _, line in keyed)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _when(fields: dict[str, Any]) -> int:
    return int(fields.get("ts_ns") or fields.get("admitted_ns") or fields.get("ended_ns") or 0)
