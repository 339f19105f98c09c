"""Take out of an Nsight Systems export what belongs to the machine, not to the incident.

An export holds the environment and arguments of every process of the machine,
host and user names, paths, the program's own output. The events stay as they are.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

MARK = "<redacted>"
PAGE = 512  # bytes; some fifty tables of a few rows each would otherwise fill 4096 apiece
ENVIRONMENT = ("DeviceEnvironment", "Hostname", "UserName", "SoftwareReleaseVersion")  # names of TARGET_INFO_SYSTEM_ENV
CONFIGURATION = "GpuMetricsConfig"  # 110 kB of the profiler's own, the same in every export
POINTERS = {"textId", "jsonTextId", "nameId", "shortName", "demangledName", "mangledName"}  # columns into StringIds
PROFILERS_OWN = re.compile(
    r"(QnxKernelTrace|GpuMetrics|SocMetrics|mm_|task_submit|class_id|syncpt_id|syncpt_thresh|pid|tid|FTrace|ETW)$"
    r"|NVTX |Profiling has |Process was launched by the profiler|Common injection library |Number of NVTX events "
)
_PATH = re.compile(r"(?<![\w<>.])(?:/[\w.@+~-]+)+/(?=[\w.@+~*-])")
TELLING = 12  # characters; shorter values of environment variables ("1", "C.UTF-8") are found everywhere


def clean(value: str) -> str:
    """A string without blocks of arguments or variables, and without folders."""
    if "\0" in value:
        first = value.split("\0", 1)[0]  # a variable, or the program of an argument block
        return f"{MARK if '=' in first else first.rsplit('/', 1)[-1]}\0{MARK}"
    return _PATH.sub("", value)


def redact(path: Path) -> None:
    """In place; the file is rewritten, so that nothing stays in free pages."""
    with sqlite3.connect(path) as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        _processes(db, tables)
        strings = db.execute("SELECT id, value FROM StringIds").fetchall() if "StringIds" in tables else []
        for key, value in strings:
            if value != clean(value):
                db.execute("UPDATE StringIds SET value = ? WHERE id = ?", (clean(value), key))
        if "TARGET_INFO_SYSTEM_ENV" in tables:
            for rowid, name, value in db.execute("SELECT rowid, name, value FROM TARGET_INFO_SYSTEM_ENV").fetchall():
                shown = MARK if name in ENVIRONMENT else clean(str(value))
                if name == CONFIGURATION:
                    shown = f"<left out: {len(shown)} characters of the profiler's own configuration>"
                db.execute("UPDATE TARGET_INFO_SYSTEM_ENV SET value = ? WHERE rowid = ?", (shown, rowid))
        for table in sorted(tables & {"META_DATA_CAPTURE", "META_DATA_EXPORT", "EXPORT_META_DATA"}):
            for rowid, name, value in db.execute(f"SELECT rowid, name, value FROM {table}").fetchall():
                secret = "ENVIRONMENT" in name or "ARG" in name or "HOST" in name or "USER" in name
                shown = MARK if secret else clean(str(value))
                db.execute(f"UPDATE {table} SET value = ? WHERE rowid = ?", (shown, rowid))
    db.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size = {PAGE}")
    db.execute("VACUUM")
    db.close()


def _processes(db: sqlite3.Connection, tables: set[str]) -> None:
    """Hide the names of processes and threads that recorded nothing here, and what programs printed.

    Strings that no event points to are hidden unless they are known as the profiler's own.
    """
    if not {"NVTX_EVENTS", "StringIds"} <= tables:
        return
    ours = {pid for (pid,) in db.execute("SELECT DISTINCT globalTid & ~0xFFFFFF FROM NVTX_EVENTS")}
    if "PROCESSES" in tables:
        for rowid, pid, name in db.execute("SELECT rowid, globalPid, name FROM PROCESSES").fetchall():
            shown = name.rsplit("/", 1)[-1] if pid in ours else MARK
            db.execute("UPDATE PROCESSES SET name = ? WHERE rowid = ?", (shown, rowid))
    shown_ids: set[int] = set()
    if "ThreadNames" in tables:
        rows = db.execute("SELECT nameId, globalTid FROM ThreadNames")
        shown_ids |= {name_id for name_id, thread in rows if thread & ~0xFFFFFF in ours}
    for table in tables - {"ThreadNames", "ProcessStreams", "StringIds"}:
        columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for column in columns & POINTERS:
            shown_ids |= {key for (key,) in db.execute(f"SELECT DISTINCT {column} FROM {table}")}
    for key, value in db.execute("SELECT id, value FROM StringIds").fetchall():
        if key not in shown_ids and "\0" not in value and value and not PROFILERS_OWN.match(value):
            db.execute("UPDATE StringIds SET value = ? WHERE id = ?", (MARK, key))


def leaks(path: Path) -> list[str]:
    """Names of this process's environment variables whose values the file still holds."""
    data = path.read_bytes()
    return sorted(name for name, value in os.environ.items() if len(value) >= TELLING and value.encode() in data)
