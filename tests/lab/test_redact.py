"""Redaction of Nsight Systems exports."""

import sqlite3

import pytest

from sample_traces.lab.redact import MARK, clean, leaks, redact

OURS, OTHERS = 5 << 24, 9 << 24
SECRET = "hunter2-of-the-test"


def export(path):
    """A small export with a secret in every place where real ones had some."""
    db = sqlite3.connect(path)
    db.executescript("""
        CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT);
        CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, textId INTEGER, globalTid INTEGER);
        CREATE TABLE PROCESSES (globalPid INTEGER, pid INTEGER, name TEXT);
        CREATE TABLE ThreadNames (nameId INTEGER, priority INTEGER, globalTid INTEGER);
        CREATE TABLE ProcessStreams (globalPid INTEGER, filenameId INTEGER, contentId INTEGER);
        CREATE TABLE TARGET_INFO_SYSTEM_ENV (globalVid INTEGER, devStateName TEXT, name TEXT, value TEXT);
        CREATE TABLE META_DATA_CAPTURE (name TEXT, value TEXT);
    """)
    strings = {
        1: "iteration n=1 batch=2",
        2: f"TOKEN={SECRET}\0HOME=/home/{SECRET}",
        3: f"/usr/bin/curl\0--user\0{SECRET}",
        4: f"worker of {SECRET}",
        5: f"printed {SECRET}",
        6: f"/tmp/{SECRET}/streams/out.log",
        7: f"see /tmp/{SECRET}/pid_1_stdout.log for output",
        8: "python",
        9: f"former name of {SECRET}",
    }
    db.executemany("INSERT INTO StringIds VALUES (?, ?)", strings.items())
    db.execute("INSERT INTO NVTX_EVENTS VALUES (10, 20, 1, ?)", (OURS + 5,))
    db.executemany(
        "INSERT INTO PROCESSES VALUES (?, ?, ?)", [(OURS, 5, f"/home/{SECRET}/bin/python"), (OTHERS, 9, SECRET)]
    )
    db.executemany("INSERT INTO ThreadNames VALUES (?, 1, ?)", [(8, OURS + 5), (4, OTHERS + 9)])
    db.execute("INSERT INTO ProcessStreams VALUES (?, 6, 5)", (OURS,))
    db.executemany(
        "INSERT INTO TARGET_INFO_SYSTEM_ENV VALUES (1, 'Local', ?, ?)",
        [("DeviceEnvironment", f"A={SECRET}"), ("Hostname", SECRET), ("CpuCores", "2"), ("Dir", f"/opt/{SECRET}/x")],
    )
    db.executemany(
        "INSERT INTO META_DATA_CAPTURE VALUES (?, ?)",
        [("PROCESS_0:ENVIRONMENT_VARIABLE", f"B={SECRET}"), ("PROCESS_0:ARGUMENTS", SECRET), ("OTHER", "kept")],
    )
    db.commit()
    db.close()


def test_nothing_secret_is_left(tmp_path, monkeypatch):
    """No byte of the file tells the environment, arguments, names, paths or output; the events are untouched."""
    path = tmp_path / "rank0.sqlite"
    export(path)
    monkeypatch.setenv("LAB_TEST_SECRET", SECRET)
    assert "LAB_TEST_SECRET" in leaks(path)
    redact(path)
    assert "LAB_TEST_SECRET" not in leaks(path)
    assert SECRET.encode() not in path.read_bytes()
    db = sqlite3.connect(path)
    assert db.execute("SELECT * FROM NVTX_EVENTS").fetchall() == [(10, 20, 1, OURS + 5)]
    assert db.execute("SELECT value FROM StringIds WHERE id IN (1, 8)").fetchall() == [
        ("iteration n=1 batch=2",),
        ("python",),
    ]
    assert db.execute("SELECT value FROM TARGET_INFO_SYSTEM_ENV WHERE name = 'CpuCores'").fetchone() == ("2",)
    assert db.execute("SELECT name FROM PROCESSES ORDER BY pid").fetchall() == [("python",), (MARK,)]
    db.close()


def test_twice_is_once(tmp_path):
    """Redacting again changes nothing."""
    path = tmp_path / "rank0.sqlite"
    export(path)
    redact(path)
    before = path.read_bytes()
    redact(path)
    db, was = sqlite3.connect(path), tmp_path / "before.sqlite"
    was.write_bytes(before)
    old = sqlite3.connect(was)
    assert list(db.iterdump()) == list(old.iterdump())
    db.close()
    old.close()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("kworker/0:1-events", "kworker/0:1-events"),
        ("/usr/bin/python\0-c\0x", f"python\0{MARK}"),
        ("KEY=value\0B=c", f"{MARK}\0{MARK}"),
        ("see /tmp/a/b.log.", "see b.log."),
        ("collective op=AllReduce seq=8 bytes=65536", "collective op=AllReduce seq=8 bytes=65536"),
    ],
)
def test_clean(value, wanted):
    """Blocks are cut to their program, paths to their file, all else stays."""
    assert clean(value) == wanted
