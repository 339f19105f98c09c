"""No command touches the evidence: a read-only folder, no network, every file hashed before and after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import postmortem.cli.commands as package
from postmortem.base.rooms import rooms
from postmortem.cli.command import Command

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_traces" / "incidents" / "straggler" / "bundle"
#: The words after each command's name; BUNDLE and OUT are filled in.
WORDS = {
    "audit": ["BUNDLE", "--json"],
    "chain": ["--req", "b-107", "BUNDLE", "--json"],
    "ingest": ["BUNDLE", "--json"],
    "notebook": ["BUNDLE", "--no-launch"],
    "query": ["BUNDLE", "flips", "--format", "json"],
    "report": ["BUNDLE", "-o", "OUT/report.html", "--req", "b-107"],
    "scan": ["BUNDLE", "--json"],
}
# Whoever opens a socket in the program below falls: where the kernel lends no network of its own.
GUARD = """
import socket
def cut(*_, **__):
    raise OSError("the network is cut for this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = cut
"""


def state(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file and folder: hash, mode, time of change."""
    return {
        str(p.relative_to(folder)): (
            hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "",
            p.stat().st_mode,
            p.stat().st_mtime_ns,
        )
        for p in sorted([folder, *folder.rglob("*")])
    }


def cut_off() -> list[str]:
    """The words that run a program without any network: an empty network namespace, where one can be had."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    words = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--net", "--map-root-user"]
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else []


def test_every_command_is_tried() -> None:
    """A command that is added is added here."""
    assert set(rooms(package, "COMMAND", Command)) == set(WORDS)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a recorded bundle that nobody may write into."""
    folder = tmp_path_factory.mktemp("evidence") / "straggler"
    shutil.copytree(SAMPLE, folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


FIRST = ("chain",)  # the others with the slow tests


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=() if c in FIRST else pytest.mark.slow) for c in sorted(WORDS)]
)
def test_nothing_is_touched(bundle: Path, command: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It answers, without network, and leaves every file, folder, mode and time as it was."""
    out = tmp_path_factory.mktemp("out")
    (out / "sitecustomize.py").write_text(GUARD)
    before = state(bundle)
    words = [word.replace("BUNDLE", str(bundle)).replace("OUT", str(out)) for word in WORDS[command]]
    done = subprocess.run(
        [*cut_off(), sys.executable, "-m", "postmortem", command, *words],
        cwd=out, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": f"{out}:{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert state(bundle) == before


def test_the_network_is_cut(tmp_path: Path) -> None:
    """The guard works: a program that asks for an address gets none."""
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    asks = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"
    done = subprocess.run(
        [*cut_off(), sys.executable, "-c", asks],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "OSError" in done.stderr


@pytest.mark.slow
def test_unreadable_by_permission() -> None:
    """A file that may not be read has its own reason, and the others are read all the same.

    Root reads whatever it likes: where the tests run as root, the program gives its rights away first,
    once it has loaded what it needs (which may lie where nobody else can reach it).
    """
    if os.geteuid() == 0 and not all(p.stat().st_mode & 0o1 for p in (ROOT, *ROOT.parents)):
        pytest.skip(f"root runs the tests, and nobody else may enter {ROOT}")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the fixtures' own folders are closed to other users
    sample = SAMPLE.parents[1]
    try:
        bundle, cache = folder / "bundle", folder / "cache"
        shutil.copytree(sample / "memory_evaporation" / "bundle", bundle)
        (bundle / "a" / "x.jsonl.gz").chmod(0)
        cache.mkdir()
        for path in (folder, bundle, bundle / "a", bundle / "b"):
            path.chmod(0o755)
        cache.chmod(0o777)
        program = (
            "import os, sys\n"
            "from postmortem.cli.main import main\n"
            "if os.geteuid() == 0:\n"
            f"    main(['ingest', {str(sample / 'request_drift' / 'bundle')!r}, '--store', {str(folder / 'warm')!r}])\n"
            "    os.setgid(65534), os.setuid(65534)\n"
            f"os.environ['XDG_CACHE_HOME'] = {str(cache)!r}\n"
            f"sys.exit(main(['ingest', {str(bundle)!r}, '--json']))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "other")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        told = json.loads(done.stdout[done.stdout.rindex('{\n "schema"') :])
        reasons = {s["path"]: s["error"] for s in told["sources"] if s["kind"] == "unreadable"}
        assert reasons == {"a/x.jsonl.gz": "Permission denied"}
        assert sum(s["kind"] == "records" for s in told["sources"]) == 7
    finally:
        shutil.rmtree(folder)
