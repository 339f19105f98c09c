"""s records into the store, against decoding their JSON alone (goal G5: at most 1.8 times, wall).

Everything is made here from a seed, in a temporary folder; the ways are run in turn within each
round, each in a process of its own, so that a busy machine slows all alike. Run it as

    python benchmarks/ingest_records.py [--records 700000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL = 1.8  # wall, from the file to the sorted table without doubles, against decoding alone
START_NS = 1_790_000_000_000_000_000

CLOCKED = """
import json, sys, time
from pathlib import Path
source, store = Path(sys.argv[1]), Path(sys.argv[2])
PREPARE
wall, cpu = time.perf_counter(), time.process_time()
WORK
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""

DECODE = """
with source.open("rb") as f:
    for line in f:
        decode(line)
"""

OURS = """
import polars
from postmortem.ingest.load import ingest
from postmortem.ingest.reader import Source
from postmortem.ingest.readers.records import READER
from postmortem.ingest.recognise import readers
readers()
"""

WAYS = {
    "decode (msgspec)": ("import msgspec; decode = msgspec.json.Decoder().decode", DECODE),
    "decode (orjson)": ("from orjson import loads as decode", DECODE),
    "reader alone": (OURS, "for _ in READER.read(Source(source.name, source)): pass"),
    "whole ingest": (OURS, "ingest(source.parent, store)"),
}


def generate(path: Path, records: int, seed: int) -> None:
    """Records of 25 fields, as a recorder writes them: 20 requests an iteration, 40 steps each."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as f:
        for n in range(records):
            iteration, request = divmod(n, 20)
            row = {
                "record": "s", "replica": "a", "iteration": iteration, "ts_ns": START_NS + iteration * 9_000_000,
                "batch_fp": f"{iteration // 40:012x}", "batch_size": 20, "gpu_ms": round(chance.gauss(9, 0.3), 4),
                "comm_ms": round(chance.gauss(0.3, 0.03), 4), "sync_ms": round(abs(chance.gauss(0.1, 0.03)), 4),
                "vram_free_mb": 4096.5, "workspace_free_mb": 64.0, "kv_pool_total_mb": 16384.0, "kv_regime": "normal",
                "kv_evicted_blocks": 0, "recompute_tokens": 0, "paging_on": False, "precision_path": "bf16",
                "dequant_cycles": 0, "algo_id": 43, "isolation_mode": "shared",
                "req_id": f"a-{iteration // 40 * 20 + request:07d}", "step": iteration % 40,
                "token_id": chance.randrange(128_000), "top2_token_id": chance.randrange(128_000),
                "margin": round(chance.random() * 4, 5),
            }  # fmt: skip
            f.write(json.dumps(row, separators=(",", ":")) + "\n")


def run(way: str, source: Path, store: Path) -> tuple[float, float] | None:
    """Wall and CPU seconds of one way in a fresh process, imports left out; None where its library is absent."""
    prepare, work = WAYS[way]
    code = CLOCKED.replace("PREPARE", prepare).replace("WORK", work)
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(store)], capture_output=True, text=True, check=False
    )
    store.unlink(missing_ok=True)
    if "No module named 'orjson'" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(done.stderr)
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def main() -> None:
    """Generate, measure in rounds, print each way beside decoding alone."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--records", type=int, default=700_000)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seed", type=int, default=5)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="postmortem-bench-") as folder:
        source = Path(folder) / "bundle" / "s.jsonl"
        source.parent.mkdir()
        generate(source, given.records, given.seed)
        size = source.stat().st_size
        print(
            f"{given.records} records, {size / 1e6:.0f} MB; Python {platform.python_version()}, {os.cpu_count()} cores"
        )
        source.read_bytes()  # into the page cache
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                if (seconds := run(way, source, Path(folder) / "s.duckdb")) is not None:
                    taken[way].append(seconds)
    for base in ("decode (msgspec)", "decode (orjson)"):
        if not taken[base]:
            print(f"\n{base}: not installed")
            continue
        print(f"\nagainst {base}; medians of {given.rounds} paired rounds")
        print(f"{'':20}{'wall s':>8}{'CPU s':>8}{'krec/s':>8}{'wall x':>8}{'CPU x':>8}")
        for way, rounds in taken.items():
            if rounds:
                wall, cpu = (statistics.median(r[i] for r in rounds) for i in (0, 1))
                against = [
                    statistics.median(r[i] / b[i] for r, b in zip(rounds, taken[base], strict=True)) for i in (0, 1)
                ]
                goal = f"  goal {GOAL}" if way == "whole ingest" else ""
                krec = given.records / wall / 1000
                print(f"{way:20}{wall:8.2f}{cpu:8.2f}{krec:8.0f}{against[0]:8.2f}{against[1]:8.2f}{goal}")


if __name__ == "__main__":
    main()
