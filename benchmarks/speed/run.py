"""Speed, as ratios within one run: ``python benchmarks/speed/run.py DIR [--rounds 5] [--only export chain]``.

DIR is what generate.py wrote. Each figure is a whole process, its user and system time from the operating system; the
ways are run in turn within a round, so that a busy machine slows all alike, and a ratio is the median of the rounds'
ratios. Results go to ``benchmarks/speed/results.md``; parts that are not run again keep theirs. pandas, orjson and
nsys-ai are measured where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"
SAMPLE = HERE.parents[1] / "sample_traces/incidents/straggler/bundle"
PACKAGES = ("duckdb", "polars", "pyarrow", "numpy", "pandas", "orjson", "nsys-ai")
SAMPLED_S = 0.05  # how often a process's memory is looked at
PYTHON = sys.executable

INGEST = """
import sys
from pathlib import Path
from postmortem.ingest.load import ingest
ingest(Path(sys.argv[1]), Path(sys.argv[2]))
"""
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
ONE_QUERY = """
import sys, duckdb
duckdb.connect(sys.argv[1], read_only=True).execute("FROM sources LIMIT 1").fetchall()
"""
ORJSON = """
import sys
from orjson import loads
with open(sys.argv[1], "rb") as f:
    for line in f:
        loads(line)
"""
READ_JSON = """
import sys, duckdb
duckdb.connect(sys.argv[2]).execute("CREATE TABLE s AS FROM read_json(?, format = 'newline_delimited')", [sys.argv[1]])
"""
COLUMNS = """
import sys
from pathlib import Path
from postmortem.ingest.reader import Source
from postmortem.ingest.readers.nccl_log import fast
from postmortem.ingest.readers.nccl_log.read import chunks
print(sum(len(fast.split(data, 1).calls) for data, _ in chunks(Source("nccl.log", Path(sys.argv[1]))) if data))
"""
READER = """
import sys
from pathlib import Path
from postmortem.ingest.reader import Batch, Source
from postmortem.ingest.readers.nccl_log import READER
items = READER.read(Source("nccl.log", Path(sys.argv[1])))
print(sum(i.rows.num_rows for i in items if isinstance(i, Batch) and i.table == "nccl_calls"))
"""
RECORDS = """
import sys
from pathlib import Path
from postmortem.ingest.reader import Batch, Facts, Source
from postmortem.ingest.readers.records import READER
items = list(READER.read(Source("s.jsonl", Path(sys.argv[1]))))
(facts,) = (i for i in items if isinstance(i, Facts))
print(sum(i.rows.num_rows for i in items if isinstance(i, Batch)), facts.parsed, facts.lines)
"""
PATTERN = (
    r"^([A-Za-z0-9_.-]+):(\d+):(\d+) \[(-?\d+)\] NCCL INFO (\w+): opCount ([0-9a-f]+) sendbuff (\S+) recvbuff (\S+)"
    r" count (\d+) datatype (\d+) op (\d+) root (-?\d+) comm (\S+) \[nranks=(\d+)\] stream (\S+)"
)
NAMES = (
    "host pid tid dev func op_count sendbuff recvbuff count datatype op root comm nranks stream".split()
)  # of the pattern's groups
REGEXP = f'''
import sys, duckdb
con = duckdb.connect()
con.execute(r"""
CREATE TABLE calls AS
SELECT g.host, g.pid::BIGINT AS pid, g.tid::BIGINT AS tid, g.dev::INTEGER AS dev, g.func,
       ('0x' || g.op_count)::UBIGINT AS op_count, g.count::UBIGINT AS n, g.datatype::INTEGER AS datatype,
       g.op::INTEGER AS op, g.root::INTEGER AS root, g.comm::UBIGINT AS comm, g.nranks::INTEGER AS nranks,
       g.stream::UBIGINT AS stream, g.sendbuff, g.recvbuff
FROM (SELECT regexp_extract(line, '{PATTERN}', {NAMES}) AS g
      FROM read_csv(?, columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '', header = false,
                    auto_detect = false, strict_mode = false, max_line_size = 1000000)
      WHERE contains(line, 'opCount'))
""", [sys.argv[1]])
print(con.execute("SELECT count(*) FROM calls").fetchone()[0])
'''
# A question to a store, its own seconds printed: what it takes to start is left out, the sizes differ.
ASKED = """
import sys, time
import polars
from postmortem.catalogue.catalogue import Catalogue
from postmortem.store.store import open_store
catalogue = Catalogue(open_store(sys.argv[1]))
wall, cpu = time.perf_counter(), time.process_time()
rows = catalogue.run(sys.argv[2])
print(time.perf_counter() - wall, time.process_time() - cpu, rows.height, sum(rows[sys.argv[3]].cast(int)))
"""
# The view behind rank_gpu_metrics worked out, which else is done once, when a bundle is read.
PLACED = """
import sys, time
import polars
from postmortem.catalogue.catalogue import Catalogue
from postmortem.catalogue.views import view
from postmortem.store.store import open_store, run
con = open_store(sys.argv[1])
Catalogue(con).sql("SELECT 1")  # all shared views are there, kept ones as tables
run(con, view("iteration_metrics").statement)
wall, cpu = time.perf_counter(), time.process_time()
rows = polars.DataFrame(con.sql("FROM iteration_metrics"))
print(time.perf_counter() - wall, time.process_time() - cpu, rows.height, sum(rows["samples"]))
"""
# The same rows as nvtx_gpu_projection as SQL is wont to give them: stacks flattened to segments, then an ASOF join.
ASOF = """
import sys, time
import duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
wall, cpu = time.perf_counter(), time.process_time()
rows = con.execute('''
WITH calls AS (
    SELECT a.global_tid, a.start_ns, a.end_ns, min(k.start_ns) AS first_ns, max(k.end_ns) AS last_ns, count(*) AS ops
    FROM cuda_api AS a
    JOIN kernels AS k ON k.correlation_id = a.correlation_id AND k.global_pid = a.global_tid - (a.global_tid & 16777215)
    GROUP BY ALL
), ranges AS (
    SELECT event_id, global_tid, domain_id, start_ns, end_ns FROM nvtx_events WHERE style <> 'Mark'
), events AS (
    SELECT *, start_ns AS ts, 1 AS step, -end_ns AS tie FROM ranges
    UNION ALL
    SELECT *, end_ns, -1, -start_ns FROM ranges
), deep AS (
    SELECT *, sum(step) OVER w AS depth
    FROM events
    WINDOW w AS (PARTITION BY global_tid, domain_id ORDER BY ts, step, tie ROWS UNBOUNDED PRECEDING)
), segments AS (
    SELECT global_tid, domain_id, ts, depth,
           last_value(CASE WHEN step = 1 AND depth = 1 THEN event_id END IGNORE NULLS) OVER w AS one,
           last_value(CASE WHEN step = 1 AND depth = 2 THEN event_id END IGNORE NULLS) OVER w AS two,
           last_value(CASE WHEN step = 1 AND depth = 3 THEN event_id END IGNORE NULLS) OVER w AS three,
           last_value(CASE WHEN step = 1 AND depth = 4 THEN event_id END IGNORE NULLS) OVER w AS four
    FROM deep
    WINDOW w AS (PARTITION BY global_tid, domain_id ORDER BY ts, step, tie ROWS UNBOUNDED PRECEDING)
    QUALIFY lead(ts) OVER (PARTITION BY global_tid, domain_id ORDER BY ts, step, tie) IS DISTINCT FROM ts
), held AS (
    SELECT c.*, unnest([one, two, three, four][:s.depth]) AS event_id
    FROM (SELECT * FROM calls CROSS JOIN (SELECT DISTINCT domain_id FROM ranges)) AS c
    ASOF JOIN segments AS s ON s.global_tid = c.global_tid AND s.domain_id = c.domain_id AND c.start_ns >= s.ts
    WHERE s.depth > 0
)
SELECT h.event_id, min(h.first_ns), max(h.last_ns), sum(h.ops)
FROM held AS h
JOIN ranges AS r ON r.event_id = h.event_id AND h.end_ns <= r.end_ns
GROUP BY h.event_id
''').fetchall()
print(time.perf_counter() - wall, time.process_time() - cpu, len(rows), sum(r[3] for r in rows))
"""


@dataclass(frozen=True)
class Way:
    """A process to be timed; ``before`` is done before each round, outside the clock."""

    words: tuple[str, ...]
    before: Callable[[], object] = lambda: None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """Seconds and peak MiB of a process, what it printed, and its anonymous memory at most (MiB)."""

    wall: float
    cpu: float
    peak: float
    anonymous: float
    said: str


@dataclass
class Part:
    """A part of the results: lines about it, a row a way, a row a goal."""

    title: str
    notes: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    goals: list[str] = field(default_factory=list)

    def goal(self, name: str, what: str, found: float | str, limit: str, reached: bool | None) -> None:
        said = "" if reached is None else "yes" if reached else "**no**"
        shown = found if isinstance(found, str) else f"{found:.2f}"
        self.goals.append(f"| {name} | {what} | {shown} | {limit} | {said} |")


@dataclass(frozen=True)
class Bench:
    """Where inputs lie, where may be written, how many rounds."""

    data: Path
    place: Path
    rounds: int

    def timed(self, way: Way) -> Taken:
        """One process that must end well. Python may keep what it compiled, as where a package is installed."""
        way.before()
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"PYTHONPYCACHEPREFIX": str(self.place / "compiled"), "HOME": str(self.place), **way.env}
        begun = time.perf_counter()
        with tempfile.TemporaryFile() as out:
            child = subprocess.Popen(way.words, stdout=out, stderr=subprocess.PIPE, env=env, cwd=self.place)
            seen = [0]
            watch = threading.Thread(target=_watch, args=(child.pid, seen), daemon=True)
            watch.start()
            assert child.stderr is not None
            told = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - begun
            child.returncode = os.waitstatus_to_exitcode(status)
            watch.join()
            if child.returncode != 0:
                raise SystemExit(f"{way.words} ended with {child.returncode}: {told.decode()[-2000:]}")
            out.seek(0)
            said = out.read(10_000).decode(errors="replace")
        return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, seen[0] / 1024, said)

    def race(self, part: Part, ways: dict[str, Way], rounds: int | None = None) -> dict[str, list[Taken]]:
        """All ways in turn, a round at a time, after one that is not counted; a row of the part each."""
        runs: dict[str, list[Taken]] = {name: [] for name in ways}
        for number in range((rounds or self.rounds) + 1):
            for name, way in ways.items():
                taken = self.timed(way)
                print(f"  {name}: {taken.wall:.2f} s, {taken.cpu:.2f} s CPU", file=sys.stderr)
                if number:
                    runs[name].append(taken)
        for name, taken in runs.items():
            wall, cpu = (statistics.median(getattr(t, k) for t in taken) for k in ("wall", "cpu"))
            peak, own = (max(getattr(t, k) for t in taken) for k in ("peak", "anonymous"))
            part.ways.append(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {own:.0f} |")
        return runs


def _watch(pid: int, seen: list[int]) -> None:
    """The most anonymous memory of a process, KiB, into ``seen``."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            found = re.search(r"^RssAnon:\s+(\d+)", status.read_text(), re.M)
        except OSError:
            return
        if found is None:  # it has ended
            return
        seen[0] = max(seen[0], int(found[1]))
        time.sleep(SAMPLED_S)


def ratio(over: list[Taken], under: list[Taken], of: str) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(over, under, strict=True))


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def bundle(bench: Bench, name: str, *files: Path) -> Path:
    """A folder with these files alone (links would not be read: hard ones are)."""
    folder = bench.place / name
    if not folder.exists():
        folder.mkdir()
        for file in files:
            target = folder / ("rank0.sqlite" if file.suffix == ".sqlite" else file.name)
            try:
                os.link(file, target)
            except OSError:  # another file system
                shutil.copy(file, target)
        (folder / "bundle.toml").write_text('[[source]]\npath = "rank0.sqlite"\nreplica = "a"\nrank = 0\n')
    return folder


def ingest_of(bench: Bench, folder: Path) -> tuple[Way, Path]:
    """Reading a folder into a new store, and the store's place."""
    store = bench.place / f"{folder.name}.duckdb"
    return Way((PYTHON, "-c", INGEST, str(folder), str(store)), before=lambda: store.unlink(missing_ok=True)), store


def accounted(store: Path) -> str:
    """Of every text source: lines = parsed + ignored + rejected, else the run ends."""
    import duckdb

    with duckdb.connect(str(store), read_only=True) as con:
        rows = con.execute(
            "SELECT path, lines, parsed, ignored, rejected FROM sources WHERE lines IS NOT NULL"
        ).fetchall()
    for path, lines, parsed, ignored, rejected in rows:
        if lines != parsed + ignored + rejected:
            raise SystemExit(f"{path}: {lines} lines, {parsed} + {ignored} + {rejected}")
    return "; ".join(f"{p}: {n:,} lines = {a:,} parsed + {b:,} ignored + {c:,} rejected" for p, n, a, b, c in rows)


def export(bench: Bench) -> Part:
    """G1, G2, G9: an export into the store."""
    part = Part("The whole export, and its kernels alone")
    whole, kernels, tenth = (bench.data / f"{n}.sqlite" for n in ("rank0", "kernels", "tenth"))
    ours, store = ingest_of(bench, bundle(bench, "whole", whole))
    alone, _ = ingest_of(bench, bundle(bench, "kernels", kernels))
    small, _ = ingest_of(bench, bundle(bench, "tenth", tenth))
    ways = {
        "SQLite looks at every value": Way((PYTHON, "-c", SCAN, str(whole))),
        "ours, whole export": ours,
        "ours, a tenth of it": small,
        "ours, kernels alone": alone,
    }
    if find_spec("pandas"):
        ways["pandas.read_sql, kernels alone"] = Way((PYTHON, "-c", PANDAS, str(kernels)))
    runs = bench.race(part, ways)
    speed = ratio(runs["SQLite looks at every value"], runs["ours, whole export"], "cpu")
    wall = ratio(runs["SQLite looks at every value"], runs["ours, whole export"], "wall")
    part.goal("G1", f"whole export into the store, speed over SQLite's own scan, CPU (wall {wall:.2f})", speed,
              ">= 0.35, then 0.6", speed >= 0.35)  # fmt: skip
    if find_spec("pandas"):
        found = ratio(runs["pandas.read_sql, kernels alone"], runs["ours, kernels alone"], "cpu")
        part.goal("G2", "kernels, all columns, into the store against pandas.read_sql into memory, CPU", found,
                  ">= 3, then 4", found >= 3)  # fmt: skip
    else:
        part.goal("G2", "kernels against pandas.read_sql", "not measured: pandas is not installed", ">= 3", None)
    most = [max(t.anonymous for t in runs[name]) for name in ("ours, whole export", "ours, a tenth of it")]
    part.goal("G2", f"anonymous memory, ten times the export ({most[1]:.0f} -> {most[0]:.0f} MiB)", most[0] / most[1],
              "flat", None)  # fmt: skip
    size = store.stat().st_size / whole.stat().st_size
    part.goal("G9", "store over SQLite bytes", size, "<= 0.35", size <= 0.35)
    part.notes.append(
        f"`rank0.sqlite`: {whole.stat().st_size >> 20} MiB, `kernels.sqlite`: {kernels.stat().st_size >> 20} MiB."
    )
    return part


def answer(bench: Bench) -> Part:
    """G3: from an export to the first answer, cold."""
    part = Part("A cold first answer")
    folder = bundle(bench, "tenth", bench.data / "tenth.sqlite")
    cache, other = bench.place / "cold", bench.place / "other"
    program = Path(PYTHON).with_name("nsys-ai")

    def fresh() -> None:
        shutil.rmtree(other, ignore_errors=True)
        other.mkdir()
        shutil.copy(bench.data / "tenth.sqlite", other)

    ways = {
        "postmortem query kernel_summary": Way(
            (PYTHON, "-m", "postmortem", "query", str(folder), "kernel_summary"),
            before=lambda: shutil.rmtree(cache, ignore_errors=True),
            env={"XDG_CACHE_HOME": str(cache)},
        )
    }
    if installed("nsys-ai") and program.is_file():
        ways["nsys-ai summary"] = Way((str(program), "summary", str(other / "tenth.sqlite")), before=fresh)
    runs = bench.race(part, ways)
    if len(ways) == 2:
        pair = runs["nsys-ai summary"], runs["postmortem query kernel_summary"]
        with closing(sqlite3.connect(bench.data / "tenth.sqlite")) as con:
            tables = [name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: int(con.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in tables}
        whole, theirs = sum(rows.values()), rows["CUPTI_ACTIVITY_KIND_KERNEL"]
        found, times = ratio(*pair, "cpu") * whole / theirs, ratio(*pair, "cpu")
        part.goal(
            "G3", "rows read a second until a cold answer, against nsys-ai, CPU", found, ">= 1.5, then 3", found >= 1.5
        )
        part.goal("G3", f"the same by time alone (wall {ratio(*pair, 'wall'):.2f})", times, "-", None)
        part.notes.append(
            f"We read all {whole:,} rows; nsys-ai by sqlite3 what this answer needs, {theirs:,} kernels. DuckDB's"
            " sqlite extension, with which it would read and cache all, is not here."
            " Its wall time holds a wait for a network."
        )
    else:
        part.goal("G3", "cold answer against nsys-ai's", "not measured: nsys-ai is not installed", ">= 1.5", None)
    return part


def nccl(bench: Bench) -> Part:
    """G4: a NCCL log."""
    part = Part("NCCL log")
    log = bench.data / "nccl.log"
    ours, store = ingest_of(bench, bundle(bench, "nccl", log))
    ways = {
        "DuckDB regexp_extract into a table": Way((PYTHON, "-c", REGEXP, str(log))),
        "our columns of calls": Way((PYTHON, "-c", COLUMNS, str(log))),
        "our whole reader": Way((PYTHON, "-c", READER, str(log))),
        "ours, into the store": ours,
    }
    runs = bench.race(part, ways)
    if len({taken[0].said.split()[-1] for name, taken in runs.items() if name != "ours, into the store"}) != 1:
        raise SystemExit("the peers disagree on the number of calls")
    peer = runs["DuckDB regexp_extract into a table"]
    found = [ratio(peer, runs[n], "cpu") for n in ("our columns of calls", "our whole reader", "ours, into the store")]
    part.goal("G4", "lines to typed columns of calls, as the peer does, CPU", found[0], ">= 2.5", found[0] >= 2.5)
    part.goal("G4", "the same with every other kind of line, communicators and the ledger, CPU", found[1], "-", None)
    part.goal("G4", "all that into the store, CPU", found[2], "-", None)
    part.notes.append(f"{log.stat().st_size >> 20} MiB. {accounted(store)}.")
    return part


def records(bench: Bench) -> Part:
    """G5: s records."""
    part = Part("s records")
    lines = bench.data / "s.jsonl"
    ours, store = ingest_of(bench, bundle(bench, "records", lines))
    table = bench.place / "read_json.duckdb"
    ways = {
        "ours, into Arrow tables": Way((PYTHON, "-c", RECORDS, str(lines))),
        "ours, into the sorted store": ours,
        "DuckDB read_json into a table": Way(
            (PYTHON, "-c", READ_JSON, str(lines), str(table)), before=lambda: table.unlink(missing_ok=True)
        ),
    }
    if find_spec("orjson"):
        ways["orjson.loads of every line"] = Way((PYTHON, "-c", ORJSON, str(lines)))
    runs = bench.race(part, ways)
    mine = runs["ours, into the sorted store"]
    if find_spec("orjson"):
        peer = runs["orjson.loads of every line"]
        for name, said in (
            ("ours, into Arrow tables", "Arrow tables"),
            ("ours, into the sorted store", "the sorted store"),
        ):
            found, cpu = (ratio(runs[name], peer, what) for what in ("wall", "cpu"))
            what = (
                f"checked records, each line accounted for, into {said}, against decoding alone, wall (CPU {cpu:.2f})"
            )
            part.goal("G5", what, found, "<= 1.8, then 1.4", found <= 1.8)
    else:
        part.goal("G5", "records against orjson", "not measured: orjson is not installed", "<= 1.8", None)
    found = ratio(mine, runs["DuckDB read_json into a table"], "cpu")
    part.goal("-", "the same against read_json, which checks and accounts for nothing, CPU", found, "-", None)
    part.notes.append(f"{lines.stat().st_size >> 20} MiB. {accounted(store)}.")
    return part


def _asked(bench: Bench, part: Part, ways: dict[str, Way]) -> tuple[dict[str, list[Taken]], dict[str, str]]:
    """Questions that print their own seconds: these, and what else they printed."""
    runs = bench.race(Part(""), ways)
    found: dict[str, list[Taken]] = {}
    rest = {}
    for name, taken in runs.items():
        for t in taken:
            wall, cpu, *others = t.said.split()[-4:]  # DuckDB may show progress before, where Python has no script
            found.setdefault(name, []).append(Taken(float(wall), float(cpu), t.peak, t.anonymous, ""))
            rest[name] = " ".join(others)
        wall, cpu = (statistics.median(getattr(t, k) for t in found[name]) for k in ("wall", "cpu"))
        part.ways.append(f"| {name} | {wall:.2f} | {cpu:.2f} | {max(t.peak for t in taken):.0f} | |")
    return found, rest


def _store_of(bench: Bench, name: str, file: Path) -> Path:
    folder = bundle(bench, name, file)
    store = bench.place / f"{name}.duckdb"
    if not store.exists():
        words = (PYTHON, "-m", "postmortem", "ingest", str(folder), "--store", str(store))
        bench.timed(Way(words, env={"XDG_CACHE_HOME": str(bench.place / "cache")}))
    return store


def projection(bench: Bench) -> Part:
    """G6: what each NVTX range launched."""
    part = Part("NVTX ranges onto the GPU")
    stores = {n: _store_of(bench, f"asked_{n}", bench.data / f"{n}.sqlite") for n in ("rank0", "tenth")}
    ask = (PYTHON, "-c", ASKED)
    ways = {
        "nvtx_gpu_projection": Way((*ask, str(stores["rank0"]), "nvtx_gpu_projection", "gpu_ops")),
        "nvtx_gpu_projection, a tenth": Way((*ask, str(stores["tenth"]), "nvtx_gpu_projection", "gpu_ops")),
        "flattened, then ASOF": Way((PYTHON, "-c", ASOF, str(stores["rank0"]))),
    }
    runs, rest = _asked(bench, part, ways)
    if rest["nvtx_gpu_projection"] != rest["flattened, then ASOF"]:
        raise SystemExit(f"the ways disagree: {rest}")
    found = ratio(runs["nvtx_gpu_projection"], runs["nvtx_gpu_projection, a tenth"], "wall")
    part.goal("G6", "ten times the kernels and ranges, wall", found, "<= 13", found <= 13)
    found = ratio(runs["flattened, then ASOF"], runs["nvtx_gpu_projection"], "wall")
    part.goal("G6", "against stacks flattened in SQL and an ASOF join, wall", found,
              ">= 3", found >= 3)  # fmt: skip
    part.notes.append(f"Both give {rest['nvtx_gpu_projection'].split()[0]} ranges and the same number of launches;"
                      " against brute force: tests/ingest/nsys/test_projection.py.")  # fmt: skip
    return part


def metrics(bench: Bench) -> Part:
    """G7: GPU metrics by iteration."""
    part = Part("20 GPU metrics against one")
    stores = {n: _store_of(bench, f"asked_{n}", bench.data / f"{n}.sqlite") for n in ("tenth", "one_metric")}
    exports = (("tenth", "20 metrics"), ("one_metric", "one"))
    ways = {
        f"rank_gpu_metrics, {said}": Way((PYTHON, "-c", ASKED, str(stores[n]), "rank_gpu_metrics", "samples"))
        for n, said in exports
    }
    ways |= {f"samples placed, {said}": Way((PYTHON, "-c", PLACED, str(stores[n]))) for n, said in exports}
    runs, rest = _asked(bench, part, ways)
    asked, placed = (
        {said: f"{what}, {said}" for _, said in exports} for what in ("rank_gpu_metrics", "samples placed")
    )
    if any(rest[asked[said]].split() != rest[placed[said]].split() for _, said in exports):
        raise SystemExit(f"the ways disagree: {rest}")
    found = ratio(runs[asked["20 metrics"]], runs[asked["one"]], "wall")
    part.goal(
        "G7", "20 metrics, 20 times the samples, joined to iterations against one, wall", found, "<= 1.5", found <= 1.5
    )
    found = ratio(runs[placed["20 metrics"]], runs[placed["one"]], "wall")
    part.goal("G7", "the placing of their samples alone, done once, when a bundle is read, wall", found, "-", None)
    part.notes.append(f"Samples placed: {', '.join(rest[asked[said]].split()[1] for _, said in exports)}.")
    return part


def chain(bench: Bench) -> Part:
    """G8: a chain on a warm store."""
    part = Part("A chain on a warm store")
    steps = bench.data / "steps"
    cache = {"XDG_CACHE_HOME": str(bench.place / "chains")}
    last = max(r for r in _requests(steps) if r.startswith("b-") and int(r[2:]) % 8 == 0)
    made = bench.timed(Way((PYTHON, "-m", "postmortem", "ingest", str(SAMPLE), "--json"), env=cache)).said
    bench.timed(Way((PYTHON, "-m", "postmortem", "ingest", str(steps), "--json"), env=cache))
    chained = (PYTHON, "-m", "postmortem", "chain", "--req")
    ways = {
        "import duckdb, connect, one query": Way((PYTHON, "-c", ONE_QUERY, json.loads(made)["store"])),
        "import duckdb, polars": Way((PYTHON, "-c", "import duckdb, polars")),
        "chain, shipped incident": Way((*chained, "b-107", str(SAMPLE)), env=cache),
        "chain, 1M decode steps": Way((*chained, last, str(steps)), env=cache),
    }
    runs = bench.race(part, ways, max(bench.rounds, 9))
    query, imports = runs["import duckdb, connect, one query"], runs["import duckdb, polars"]
    for name in ("chain, shipped incident", "chain, 1M decode steps"):
        for peer, said in ((query, "import duckdb, connect, one query"), (imports, "import duckdb, polars")):
            found = ratio(runs[name], peer, "wall")
            cpu = ratio(runs[name], peer, "cpu")
            part.goal("G8", f"{name} over {said}, wall (CPU {cpu:.2f})", found, "<= 3, then 1.5", found <= 3)
    return part


def _requests(steps: Path) -> list[str]:
    with (steps / "x.jsonl").open() as f:
        ids = [json.loads(line)["req_id"] for line in f]
    latest = max(int(i[2:]) for i in ids) // 32 * 32  # the last batch
    return [i for i in ids if int(i[2:]) >= latest]


def fanout(bench: Bench) -> Part:
    """G10: two ranks, a process each."""
    part = Part("Two ranks at once")
    tenth = bench.data / "tenth.sqlite"
    one, two = (bundle(bench, name, tenth) for name in ("rank_one", "rank_two"))
    each = [f'"{PYTHON}" -c "$1" {folder} {bench.place / folder.name}.duckdb' for folder in (one, two)]

    def clean() -> None:
        for folder in (one, two):
            (bench.place / f"{folder.name}.duckdb").unlink(missing_ok=True)

    ways = {
        "one after the other": Way(("sh", "-ec", " ; ".join(each), "sh", INGEST), before=clean),
        "at once": Way(("sh", "-ec", f"{each[0]} & p=$!; {each[1]}; wait $p", "sh", INGEST), before=clean),
    }
    runs = bench.race(part, ways)
    found = ratio(runs["one after the other"], runs["at once"], "wall")
    part.goal(
        "G10",
        f"two ranks one after the other over at once, wall, {os.cpu_count()} cores",
        found,
        ">= 1.3",
        found >= 1.3,
    )
    return part


PARTS: dict[str, Callable[[Bench], Part]] = {
    f.__name__: f for f in (export, answer, nccl, records, projection, metrics, chain, fanout)
}


def text_of(part: Part, rounds: int) -> str:
    """A part's own section, with when and on what it was measured."""
    versions = ", ".join(f"{p} {v}" for p in PACKAGES if (v := installed(p)))
    machine = f"{platform.machine()}, {os.cpu_count()} shared cores, Python {platform.python_version()}, {versions}"
    lines = [f"{time.strftime('%Y-%m-%d')}, {machine}; {rounds} rounds.", *part.notes, ""]
    lines += ["| process | wall s | CPU s | peak MiB | anonymous MiB |", "|---|---|---|---|---|", *part.ways, ""]
    lines += ["| goal | what | found | to reach | reached |", "|---|---|---|---|---|", *part.goals]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    told = parser.parse_args()
    kept = {}
    if RESULTS.exists():
        kept = dict(re.findall(r"^<!-- (\w+) -->\n## (.*?)(?=^<!-- |\Z)", RESULTS.read_text("utf-8"), re.M | re.S))
    with tempfile.TemporaryDirectory(dir=told.folder, prefix="run-") as place:
        for name in told.only:
            print(name, file=sys.stderr)
            part = PARTS[name](Bench(told.folder.resolve(), Path(place).resolve(), told.rounds))
            kept[name] = f"{part.title}\n\n{text_of(part, told.rounds)}\n\n"
            goals = [line for n in PARTS for line in re.findall(r"^\| (?:G\d+|-) .*$", kept.get(n, ""), re.M)]
            lines = ["# Speed: the last run", ""]
            lines += [
                "Ratios within one run (`run.py`); the machine is shared and noisy: trust ratios, not seconds.",
                "",
            ]
            lines += ["| goal | what | found | to reach | reached |", "|---|---|---|---|---|", *goals, ""]
            sections = "".join(f"<!-- {n} -->\n## {kept[n]}" for n in PARTS if n in kept)
            RESULTS.write_text("\n".join(lines) + "\n" + sections.rstrip() + "\n", "utf-8")
    print(RESULTS.read_text("utf-8"))


if __name__ == "__main__":
    main()
