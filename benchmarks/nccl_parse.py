"""NCCL log parsing against DuckDB's regexp_extract, CPU seconds, in turn, on one generated log (goal G4).

``python benchmarks/nccl_parse.py [LINES] [ROUNDS]``. Two figures of ours are printed: *columns* does what
the peer does (lines to typed columns of calls); *reader* is the whole reader: also one row a record,
communicators, call numbers, choices, the ledger. Neither writes a store; the peer fills a table in memory.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from postmortem.ingest.reader import Batch, Source
from postmortem.ingest.readers.nccl_log import READER, fast
from postmortem.ingest.readers.nccl_log.read import chunks

GOAL = 2.5  # times less CPU than the peer
PATTERN = (
    r"^([A-Za-z0-9_.-]+):(\d+):(\d+) \[(-?\d+)\] NCCL INFO (\w+): opCount ([0-9a-f]+) sendbuff (\S+) recvbuff (\S+)"
    r" count (\d+) datatype (\d+) op (\d+) root (-?\d+) comm (\S+) \[nranks=(\d+)\] stream (\S+)"
)
NAMES = [
    "host", "pid", "tid", "dev", "func", "op_count", "sendbuff", "recvbuff", "count", "datatype", "op", "root",
    "comm", "nranks", "stream",
]  # fmt: skip
PEER = f"""
CREATE OR REPLACE TABLE calls AS
SELECT g.host, g.pid::BIGINT AS pid, g.tid::BIGINT AS tid, g.dev::INTEGER AS dev, g.func,
       ('0x' || g.op_count)::UBIGINT AS op_count, g.count::UBIGINT AS n, g.datatype::INTEGER AS datatype,
       g.op::INTEGER AS op, g.root::INTEGER AS root, g.comm::UBIGINT AS comm, g.nranks::INTEGER AS nranks,
       g.stream::UBIGINT AS stream, g.sendbuff, g.recvbuff
FROM (SELECT regexp_extract(line, '{PATTERN}', {NAMES}) AS g
      FROM read_csv(?, columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '', header = false,
                    auto_detect = false, strict_mode = false, max_line_size = 1000000)
      WHERE contains(line, 'opCount'))
"""


def generate(path: Path, lines: int) -> None:
    """A log of eight ranks in one stream: nine calls in ten lines, choices, other programs' lines (seeded)."""
    dice = random.Random(1)
    head = "node1:{0}:{1} [{2}] NCCL INFO "
    with path.open("w") as file:
        for k in range(8):
            file.write(
                head.format(1000 + k, 1000 + k, k)
                + f"ncclCommInitRank comm 0x55aa{k:04x} rank {k} nranks 8 cudaDev {k}"
                f" nvmlDev {k} busId {k + 1}000 commId 0xabcdef - Init COMPLETE\n"
            )
        done = 0
        while done < lines:
            count, func = 64 << dice.randrange(12), dice.choice(("AllReduce", "AllGather", "ReduceScatter"))
            for k in range(8):
                file.write(
                    head.format(1000 + k, 1100 + k, k) + f"{func}: opCount {done >> 3:x} sendbuff"
                    f" 0x7f{dice.randrange(1 << 36):010x} recvbuff 0x7f{dice.randrange(1 << 36):010x} count {count}"
                    f" datatype 9 op 0 root 0 comm 0x55aa{k:04x} [nranks=8] stream 0x5500{k:04x}\n"
                )
            done += 8
            if dice.random() < 0.5:
                size = count * 2 * (1 if func == "AllReduce" else 8)
                file.write(
                    head.format(1000, 1100, 0)
                    + f"{func}: {size} Bytes -> Algo RING proto LL channel{{Lo..Hi}}={{0..3}}\n"
                )
                done += 1
            if dice.random() < 0.3:
                file.write("INFO 11-02 10:00:00 engine.py:1] running 12 requests, waiting 3\n")
                done += 1


def peer(path: Path) -> int:
    """DuckDB's regexp_extract with names into 15 typed columns; how many calls."""
    con = duckdb.connect()
    con.execute(PEER, [str(path)])
    row = con.execute("SELECT count(*) FROM calls").fetchone()
    return int(row[0]) if row else 0


def columns(path: Path) -> int:
    """Our lines to typed columns of calls; how many."""
    return sum(len(fast.split(data, 1).calls) for data in chunks(Source(path.name, path)) if data)


def reader(path: Path) -> int:
    """Our whole reader; how many calls."""
    items = READER.read(Source(path.name, path))
    return sum(i.rows.num_rows for i in items if isinstance(i, Batch) and i.table == "nccl_calls")


def cpu(work: Callable[[Path], int], path: Path) -> tuple[float, int]:
    """CPU seconds of this process, all threads, and the work's answer."""
    start = time.process_time()
    answer = work(path)
    return time.process_time() - start, answer


def main() -> None:
    """Rounds in turn, medians, the goal beside."""
    lines, rounds = [int(a) for a in [*sys.argv[1:3], *("1000000", "3")[len(sys.argv[1:3]) :]]]
    works = {"peer": peer, "columns": columns, "reader": reader}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nccl.log"
        generate(path, lines)
        with path.open("rb") as file:
            total = sum(1 for _ in file)
        for work in works.values():  # imports and page cache
            work(path)
        seconds: dict[str, list[float]] = {name: [] for name in works}
        answers = set()
        for _ in range(rounds):
            for name, work in works.items():
                took, answer = cpu(work, path)
                seconds[name].append(took)
                answers.add(answer)
    if len(answers) != 1:
        raise SystemExit(f"the peers disagree on the number of calls: {sorted(answers)}")
    for name, took in seconds.items():
        ratio = statistics.median(p / t for p, t in zip(seconds["peer"], took, strict=True))
        print(f"{name:8s} {total / statistics.median(took) / 1e6:5.2f} Mlines/s of CPU  {ratio:5.2f}x  (goal {GOAL}x)")


if __name__ == "__main__":
    main()
