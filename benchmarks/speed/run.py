"""Speed, as ratios within one run: ``python benchmarks/speed/run.py DIR [--rounds 5]`` on what generate.py wrote.

Each figure is a whole process, its user and system time from the operating system, the alternatives in turn, the
median of the rounds. Results go to ``benchmarks/speed/results.md`` with the machine and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"

# What SQLite itself needs to look at every value of every table: the limit that ingest is held against.
SCAN = """
import sqlite3, sys
con = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro&immutable=1", uri=True)
for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
    columns = [row[1] for row in con.execute(f"PRAGMA table_info({table})")]
    con.execute("SELECT " + ", ".join(f'max("{c}")' for c in columns) + f" FROM {table}").fetchall()
"""
PANDAS = """
import sqlite3, sys, pandas
con = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro&immutable=1", uri=True)
pandas.read_sql("SELECT * FROM CUPTI_ACTIVITY_KIND_KERNEL", con)
"""
OURS = """
import sys
from pathlib import Path
from postmortem.ingest.load import ingest
ingest(Path(sys.argv[1]), Path(sys.argv[2]))
"""
ONE_QUERY = """
import sys, duckdb
duckdb.connect(sys.argv[1], read_only=True).execute("FROM sources LIMIT 1").fetchall()
"""
IMPORTS = "import duckdb, polars"


def timed(*words: str) -> tuple[float, float, float]:
    """Wall and CPU seconds and peak MiB of a process that must end well."""
    begun = time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"{words[:3]} ended with {status}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median_of(rounds: list[tuple[float, float, float]], which: int) -> float:
    return statistics.median(r[which] for r in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    export = told.folder / "rank0.sqlite"
    out: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        only_export = Path(place) / "export"
        only_export.mkdir()
        shutil.copy(export, only_export)
        store = str(Path(place) / "store.duckdb")
        runs: dict[str, list[tuple[float, float, float]]] = {}
        python = sys.executable
        work = {
            "scan": (python, "-c", SCAN, str(export)),
            "ours": (python, "-c", OURS, str(only_export), store),
            "pandas": (python, "-c", PANDAS, str(export)),
        }
        for _ in range(told.rounds):
            for name, words in work.items():
                runs.setdefault(name, []).append(timed(*words))
        scan, ours, pandas = runs["scan"], runs["ours"], runs["pandas"]
        for name, found in runs.items():
            out.append(
                f"| {name} | {median_of(found, 0):.2f} | {median_of(found, 1):.2f} | {median_of(found, 2):.0f} |"
            )
        goals = [
            (
                "G1",
                "whole export into the store, as speed of a C scan of all columns",
                median_of(scan, 1) / median_of(ours, 1),
                ">= 0.35, then 0.6",
            ),
            ("G9", "store over SQLite bytes", Path(store).stat().st_size / export.stat().st_size, "<= 0.35"),
            (
                "-",
                "whole export into the store, against pandas reading its kernels alone (CPU)",
                median_of(pandas, 1) / median_of(ours, 1),
                "-",
            ),
        ]
        small: dict[str, list[tuple[float, float, float]]] = {}
        sample = HERE.parents[1] / "sample_traces/incidents/straggler/bundle"
        chain = (python, "-m", "postmortem", "chain", "--req", "b-107", str(sample))
        warm = json.loads(
            subprocess.run(
                [python, "-m", "postmortem", "ingest", str(sample), "--json"], capture_output=True, check=True
            ).stdout
        )["store"]
        for _ in range(max(told.rounds, 5)):
            small.setdefault("query", []).append(timed(python, "-c", ONE_QUERY, warm))
            small.setdefault("imports", []).append(timed(python, "-c", IMPORTS))
            small.setdefault("chain", []).append(timed(*chain))
        goals += [
            (
                "G8",
                "chain on a warm store of the shipped incident over import duckdb, connect, one query",
                median_of(small["chain"], 0) / median_of(small["query"], 0),
                "<= 3",
            ),
            (
                "-",
                "the same over import duckdb and polars",
                median_of(small["chain"], 0) / median_of(small["imports"], 0),
                "<= 3",
            ),
        ]
    versions = ", ".join(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow", "numpy"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    size = f"`rank0.sqlite`: {export.stat().st_size >> 20} MiB"
    text = ["# Speed: the last run", "", f"{time.strftime('%Y-%m-%d')}, {machine}."]
    text += [f"{size}; {told.rounds} rounds, medians of whole processes. Shared cores: trust ratios.", ""]
    text += ["| process | wall s | CPU s | peak MiB |", "|---|---|---|---|", *out, ""]
    text += ["| goal | what | ratio | to reach |", "|---|---|---|---|"]
    text += [*(f"| {g} | {what} | {ratio:.2f} | {limit} |" for g, what, ratio, limit in goals), ""]
    (HERE / "results.md").write_text("\n".join(text), "utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
