"""The store: whole or not at all, fresh or read again, and nothing but an answer to questions."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from builders import straggler, write_bundle

from postmortem.api import Incident, open_bundle
from postmortem.base.cache_folder import cache_folder
from postmortem.base.errors import QueryError, StoreError
from postmortem.ingest import cache, load
from postmortem.ingest.files import walk
from postmortem.ingest.load import ingest
from postmortem.store.store import STALE_S, create, open_store, sweep
from tests.ingest.nsys.exports import ordinary
from tests.ingest.stores import contents, rows

INGEST = """
import sys
from pathlib import Path
from postmortem.ingest.load import ingest
ingest(Path(sys.argv[1]), Path(sys.argv[2]))
"""
ROWS = 6 + 120 * (2 + 6)  # of each replica: x records, then a record a rank and request in each iteration


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two replicas' records and an export."""
    place = write_bundle(tmp_path_factory.mktemp("bundle") / "b", *straggler())
    ordinary(place / "rank0.sqlite")
    return place


def changed(bundle: Path, place: Path) -> Path:
    """A copy of the bundle with one record more."""
    shutil.copytree(bundle, place)
    with (place / "a.jsonl").open("a") as f:
        f.write('{"record":"s","req_id":"one-more","step":0,"replica":"a"}\n')
    return place


def hold_against_kills(bundle: Path, tmp_path: Path, kills: int) -> None:
    """Kill an ingest at random moments: the store is the old one or the new one, every time."""
    other = changed(bundle, tmp_path / "other")
    store = tmp_path / "s.duckdb"
    ingest(bundle, store)
    ingest(other, tmp_path / "new.duckdb")
    old, new = contents(store), contents(tmp_path / "new.duckdb")
    assert old != new
    words = [sys.executable, "-c", INGEST, str(other), str(store)]
    start = time.perf_counter()
    subprocess.run([*words[:-1], str(tmp_path / "timed.duckdb")], check=True)
    whole = time.perf_counter() - start
    chance = random.Random(kills)
    killed = 0
    while killed < kills:
        start = time.perf_counter()
        process = subprocess.Popen(words, stderr=subprocess.PIPE)
        try:
            process.wait(chance.uniform(0.1, 1.05) * whole)
            whole = time.perf_counter() - start  # it was done before: this time the machine is less busy
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() == -9
        process.communicate()
        assert contents(store) in (old, new)
    for left in tmp_path.glob(".*"):
        assert left.name.startswith(".s.duckdb.")
    subprocess.run(words, check=True)
    assert contents(store) == new


@pytest.mark.slow
def test_killed_at_any_moment(bundle: Path, tmp_path: Path) -> None:
    """An ingest killed at any of 5 moments leaves the old store or the new one."""
    hold_against_kills(bundle, tmp_path, 5)


@pytest.mark.slow
def test_killed_at_many_moments(bundle: Path, tmp_path: Path) -> None:
    """An ingest killed at any of 60 moments leaves the old store or the new one."""
    hold_against_kills(bundle, tmp_path, 60)


def test_disk_full(bundle: Path, tmp_path: Path) -> None:
    """Where the store cannot be written there is one clear line, no half store, and the old one stays."""
    limits = (1 << 10, 1 << 15, 1 << 18, 1 << 20)
    store = tmp_path / "s.duckdb"
    ingest(bundle, store)
    before = store.read_bytes()
    assert len(before) > max(limits)
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from postmortem.base.errors import StoreError\n"
        "from postmortem.ingest.load import ingest\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"  # the write then fails as on a full disk
        "store = Path(sys.argv[2])\n"
        "before = store.read_bytes()\n"
        f"for limit in {limits}:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try: ingest(Path(sys.argv[1]), store)\n"
        "    except StoreError as e: print(e)\n"
        "    else: print('written')\n"
        "    assert store.read_bytes() == before\n"
        "    assert list(store.parent.iterdir()) == [store]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle), str(store)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(limits)
    for line in lines:
        assert line.startswith(str(store))
        assert "look for space there, or choose a place with --store FILE" in line


def test_folder_that_cannot_be_made(bundle: Path, tmp_path: Path) -> None:
    """A store below a file, or in place of a folder, is refused in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose a place with --store"):
        ingest(bundle, tmp_path / "file" / "s.duckdb")
    with pytest.raises(StoreError, match="choose a place with --store"):
        ingest(bundle, tmp_path)


def test_what_is_no_store_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    """--store on a file that is no store, or in the bundle, is refused and nothing is touched."""
    note = tmp_path / "notes.txt"
    note.write_text("precious")
    with pytest.raises(StoreError, match="exists and is not a store"):
        ingest(bundle, note)
    assert note.read_text() == "precious"
    before = sorted(p.name for p in bundle.iterdir())
    for inside in (bundle / "s.duckdb", bundle / "deep" / "s.duckdb"):
        with pytest.raises(StoreError, match="lies in the bundle"):
            open_bundle(bundle, store=inside)
    assert sorted(p.name for p in bundle.iterdir()) == before


def test_a_database_of_somebody_elses_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    """A DuckDB file may be anybody's: refused at rest, open in this process, and open in another; nothing is lost."""
    database = tmp_path / "own.duckdb"
    with duckdb.connect(str(database)) as con:
        con.execute("CREATE TABLE bundle AS SELECT 'precious' AS key")
        con.execute("CHECKPOINT")
        with pytest.raises(StoreError, match="exists and is not a store"):
            ingest(bundle, database)
    held = database.read_bytes()
    with pytest.raises(StoreError, match="exists and is not a store"):
        ingest(bundle, database)
    code = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(StoreError, match="exists and is not a store"):
            ingest(bundle, database)
        other.communicate()
    assert database.read_bytes() == held


def test_leftovers_are_swept(bundle: Path, tmp_path: Path) -> None:
    """What a killed ingest left goes at the next one once nobody wrote to it for a day; other files stay."""
    store = tmp_path / "s.duckdb"
    old, young, foreign = (tmp_path / n for n in (".s.duckdb.aaaa.part", ".s.duckdb.bbbb.part", ".t.duckdb.cccc.part"))
    past = time.time() - STALE_S - 60
    for left in (old, young, foreign):
        left.touch()
        wal = left.with_name(left.name + ".wal")
        wal.touch()
        if left is not young:
            os.utime(left, (past, past))
    ingest(bundle, store)
    assert not old.exists()
    assert not old.with_name(old.name + ".wal").exists()
    assert young.exists()
    assert foreign.exists()


def test_inputs_are_not_touched(bundle: Path, tmp_path: Path) -> None:
    """In a read-only folder no input changes, not even its times, and no file appears beside one."""
    place = tmp_path / "b"
    shutil.copytree(bundle, place)
    for p in (*place.iterdir(), place):
        p.chmod(0o500 if p.is_dir() else 0o400)
    stats = {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in (*place.rglob("*"), place)}
    hashes = {p: load.sha256_of(p) for p in place.iterdir()}
    here = Path.cwd()
    os.chdir(place)  # nothing may be spilled into the folder that the command runs in
    try:
        with open_bundle(place) as incident:
            incident.query("sources")
    finally:
        os.chdir(here)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in (*place.rglob("*"), place)} == stats
    assert {p: load.sha256_of(p) for p in place.iterdir()} == hashes
    place.chmod(0o700)


@pytest.fixture
def ingests(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The bundles that are really read, as they are."""
    seen: list[Path] = []

    def counting(path: Path, *words: Any, **more: Any) -> None:
        seen.append(path)
        ingest(path, *words, **more)

    monkeypatch.setattr(load, "ingest", counting)
    return seen


@pytest.mark.slow
def test_store_is_used_again(
    bundle: Path, tmp_path: Path, ingests: list[Path], opened: Callable[..., Incident]
) -> None:
    """A second open reads nothing; a copy elsewhere finds the same store; a changed file is read again."""
    place = tmp_path / "b"
    shutil.copytree(bundle, place)
    (place / "own.txt").write_text("this bundle's own")
    first = opened(place)
    assert opened(place).store == first.store
    assert ingests == [place]
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    assert opened(copy).store == first.store
    assert ingests == [place]
    stamp = (place / "a.jsonl").stat()
    text = (place / "a.jsonl").read_bytes()
    (place / "a.jsonl").write_bytes(text.replace(b'"step": 0', b'"step": 1', 1))
    os.utime(place / "a.jsonl", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time: still seen
    again = opened(place)
    assert again.store != first.store
    assert ingests == [place, place]
    (place / "a.jsonl").write_bytes(text)
    assert opened(place).store == first.store
    assert len(ingests) == 2


@pytest.mark.slow
def test_a_new_file_and_another_option_are_read(bundle: Path, tmp_path: Path, ingests: list[Path]) -> None:
    """A file that is new, renamed or gone makes a store stale, and so does keep_environment."""
    place = tmp_path / "b"
    shutil.copytree(bundle, place)
    stores = [cache.store_of(place, None, False, None)]
    (place / "more.txt").write_text("more of it")
    stores.append(cache.store_of(place, None, False, None))
    (place / "more.txt").rename(place / "less.txt")
    stores.append(cache.store_of(place, None, False, None))
    stores.append(cache.store_of(place, None, True, None))
    assert len(set(stores)) == 4
    own = tmp_path / "own.duckdb"
    for _ in range(2):
        assert cache.store_of(place, own, True, None) == own
    own.unlink()
    assert cache.store_of(place, own, True, None).is_file()
    assert ingests.count(place) >= 5


def test_damaged_store(bundle: Path, tmp_path: Path) -> None:
    """A store that is damaged, of another version or no store at all is refused with the remedy."""
    store = tmp_path / "s.duckdb"
    ingest(bundle, store)
    with create(tmp_path / "other.duckdb") as writer:
        writer.con.execute("UPDATE bundle SET value = '0' WHERE key = 'store.schema'")
    with pytest.raises(StoreError, match="written by another version; delete it"):
        open_store(tmp_path / "other.duckdb")
    for data in (b"", b"text", store.read_bytes()[:5000]):
        (tmp_path / "bad.duckdb").write_bytes(data)
        with pytest.raises(StoreError, match="delete it and run again"):
            open_store(tmp_path / "bad.duckdb")


FORBIDDEN = [
    "DROP TABLE s_records", "DELETE FROM s_records", "INSERT INTO notes VALUES (0, 'a', 'b', 'c')",
    "UPDATE s_records SET step = 0", "CREATE TABLE t (a INT)", "SELECT 1; DROP TABLE s_records",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')", "SELECT * FROM read_blob('/etc/hostname')", "SELECT * FROM read_parquet('x.parquet')",
    "SELECT * FROM read_json('https://example.org/x.json')", "COPY (SELECT 1) TO 'PLACE/out.csv'",
    "COPY notes FROM '/etc/passwd'", "EXPORT DATABASE 'PLACE/out'", "IMPORT DATABASE 'PLACE/out'",
    "ATTACH 'PLACE/out.duckdb' AS other", "ATTACH ':memory:' AS other (TYPE sqlite)",
    "INSTALL httpfs", "LOAD httpfs", "LOAD sqlite",
    "SET enable_external_access = true", "SET lock_configuration = false", "SET autoinstall_known_extensions = true",
    "RESET enable_external_access", "PRAGMA enable_profiling", "SET temp_directory = 'PLACE'", "SET GLOBAL threads = 1",
    "CREATE TEMP TABLE s_records AS SELECT 1 AS replica", "CREATE TEMP VIEW s_records AS SELECT 1 AS replica",
    "SELECT 1; SELECT 2", "BEGIN", "EXPLAIN ANALYZE CREATE TEMP TABLE s_records AS SELECT 1 AS replica",
    "SELECT * FROM incident", "SELECT * FROM secret_frame", "CREATE SECRET s (TYPE s3)",
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(bundle: Path) -> Iterator[Incident]:
    """The bundle, opened once: one's own SQL may use all shared views, and to make them takes longer than to ask."""
    with open_bundle(bundle) as incident:
        yield incident


@pytest.mark.parametrize("text", FORBIDDEN)
def test_sql_only_asks(asked: Incident, tmp_path: Path, text: str) -> None:
    """One's own SQL writes nothing, reads no file and no variable, loads nothing, and loosens nothing."""
    import polars as pl

    secret_frame = pl.DataFrame({"secret": [1]})
    before = asked.store.read_bytes()
    with pytest.raises(QueryError):
        asked.sql(text.replace("PLACE", str(tmp_path)))
    assert secret_frame.height == 1
    assert list(tmp_path.iterdir()) == []
    assert asked.store.read_bytes() == before
    assert asked.sql("SELECT count(*) AS n FROM s_records WHERE replica = 'a'")["n"][0] == ROWS - 6


def test_no_secret_of_an_export(tmp_path: Path) -> None:
    """No value of an environment variable and no argument of an export is in the store, unless asked for."""
    from tests.ingest.nsys.exports import STRINGS, build

    place = tmp_path / "b"
    place.mkdir()
    capture = [
        {"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "API_TOKEN=hunter2-env"},
        {"name": "PROCESS_0:ARGUMENT_1", "value": "--password=hunter2-arg"},
    ]
    env = [
        {"globalVid": 0, "devStateName": "d", "name": "DeviceEnvironment", "nameEnum": 1, "value": "KEY=hunter2-dev"}
    ]
    build(place / "r.sqlite", StringIds=STRINGS, META_DATA_CAPTURE=capture, TARGET_INFO_SYSTEM_ENV=env)
    for keep in (False, True):
        store = tmp_path / f"{keep}.duckdb"
        ingest(place, store, keep_environment=keep)
        said = repr(contents(store))
        found = [word for word in ("hunter2-env", "hunter2-arg", "hunter2-dev") if word in said]
        assert found == (["hunter2-env", "hunter2-arg", "hunter2-dev"] if keep else [])
        if not keep:
            assert b"hunter2" not in store.read_bytes()


@pytest.mark.slow
def test_no_secret_of_a_real_export(real: Path, tmp_path: Path) -> None:
    """The same for real exports: no environment value of eight characters or more is anywhere in the store's texts."""
    import sqlite3

    tried = 0
    for export in sorted((real / "nsys").glob("*.sqlite")):
        if export.stat().st_size > 20 << 20:  # the small ones tell enough
            continue
        con = sqlite3.connect(f"file:{export}?mode=ro&immutable=1", uri=True)
        try:
            texts = [
                v for (v,) in con.execute("SELECT value FROM META_DATA_CAPTURE WHERE name LIKE '%ENVIRONMENT_VARIABLE'")
            ]
        except sqlite3.OperationalError:  # an export without that table
            texts = []
        con.close()
        values = {t.partition("=")[2] for t in texts if t}
        # Values that an export shows elsewhere as well (paths, names of programs) are no secret of the environment.
        secrets = {v for v in values if len(v) >= 8 and not v.startswith("/") and v.isascii()}
        if not secrets:
            continue
        tried += 1
        place = tmp_path / export.stem
        place.mkdir()
        shutil.copy(export, place)
        ingest(place, tmp_path / f"{export.stem}.duckdb")
        said = repr(rows(tmp_path / f"{export.stem}.duckdb", "FROM nsys_environment"))
        assert not [v for v in secrets if v in said]
    if not tried:
        pytest.skip("no real export here has captured an environment")


def test_a_store_that_another_bundle_took(bundle: Path, tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """One --store for two bundles holds the last one's: the first is read again, never answered from the other's."""
    other = changed(bundle, tmp_path / "other")
    store = tmp_path / "s.duckdb"
    counted = []
    for place in (bundle, other, bundle):
        with open_bundle(place, store=store) as incident:
            counted.append(incident.sql("SELECT count(*) AS n FROM s_records WHERE replica = 'a'")["n"][0])
    assert counted == [ROWS - 6, ROWS - 5, ROWS - 6]
    store.write_bytes(store.read_bytes()[:5000])  # what a full disk or a torn copy leaves
    assert opened(bundle, store=store).query("sources").height == 3


def test_a_relative_store(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A --store is told from the folder that one stands in, and is not the cache's own for being named None."""
    other = changed(bundle, tmp_path / "other")
    stores = []
    for folder, place in (("one", bundle), ("two", other), ("two", bundle), ("two", bundle)):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        stores.append(cache.store_of(place, Path("None"), False, None))
    assert stores == [tmp_path / folder / "None" for folder in ("one", "two", "two", "two")]
    assert rows(stores[1], "FROM s_records SELECT count(*) WHERE replica = 'a'") == [(ROWS - 6,)]


@pytest.mark.parametrize("store", [None, "s.duckdb"])
def test_a_cache_in_the_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str | None
) -> None:
    """Whoever takes his home folder for the bundle gets no cache file among the evidence."""
    place = tmp_path / "b"
    shutil.copytree(bundle, place)
    before = sorted(place.rglob("*"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / ".cache"))
    if store is None:
        with pytest.raises(StoreError, match="lies in the bundle"):
            open_bundle(place)
    else:
        open_bundle(place, store=tmp_path / store).close()
    assert sorted(place.rglob("*")) == before


def test_a_cache_that_cannot_be_written(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cache --store answers all the same; without it the error names the way."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="choose a place with --store"):
        open_bundle(bundle)
    for _ in range(2):
        with open_bundle(bundle, store=tmp_path / "s.duckdb") as incident:
            assert incident.query("sources").height == 3


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_CACHE_HOME is ignored, as its standard has it; a user without a home is told what to set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == tmp_path / ".cache" / "postmortem"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # a container's user whom no list names
    with pytest.raises(StoreError, match="no home folder is known; set XDG_CACHE_HOME"):
        cache_folder()


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_read(bundle: Path, tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """What was read then is not kept as what the bundle held before."""
    place, before = tmp_path / "b", tmp_path / "before"
    for folder in (place, before):
        shutil.copytree(bundle, folder)
        (folder / "own.txt").write_text("this test's own")

    def grow(*_: object) -> None:
        with (place / "b.jsonl").open("a") as f:
            f.write('{"record":"s","req_id":"one-more","step":0,"replica":"b"}\n')

    opened(place, progress=grow)
    count = "SELECT count(*) AS n FROM s_records WHERE replica = 'b'"
    assert opened(before).sql(count)["n"][0] == ROWS - 6
    assert opened(place).sql(count)["n"][0] == ROWS - 5


@pytest.mark.parametrize("what", ["of another user", "in a closed folder"])
def test_what_cannot_be_swept(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Leftovers that are not ours to remove, or not even to list, hinder nobody."""
    left = tmp_path / ".s.duckdb.aaaa.part"
    left.touch()
    past = time.time() - STALE_S - 60
    os.utime(left, (past, past))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat" if what == "of another user" else "glob", refused)
        sweep(tmp_path, ".s.duckdb.*.part")
    assert left.exists()


def test_a_file_that_vanishes(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is rotated away between the listing and the reading stops no other file."""
    place = tmp_path / "b"
    shutil.copytree(bundle, place)
    listed = walk(place)
    (place / "a.jsonl").unlink()
    monkeypatch.setattr(cache, "walk", lambda _: listed)
    with open_bundle(place, store=tmp_path / "s.duckdb") as incident:
        assert incident.query("sources")["path"].to_list() == ["b.jsonl", "rank0.sqlite"]
