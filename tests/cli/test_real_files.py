"""Real exports and logs through the command line: all read, none touched, no traceback."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.test_commands import postmortem


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "kind", "unread"), [("nsys", "nsys_sqlite", set()), ("nccl", "nccl_log", set())])
def test_real_folder(real: Path, folder: str, kind: str, unread: set[str], tmp_path: Path) -> None:
    """Every real file of a folder is recognised and read; the folder is byte for byte as it was."""
    before = hashes(real / folder)
    done = postmortem("ingest", str(real / folder), "--json", "--store", str(tmp_path / "store.duckdb"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    sources = json.loads(done.stdout)["sources"]
    traces = [s for s in sources if s["path"].endswith((".sqlite", ".log")) and "/" not in s["path"]]
    assert len(traces) >= 17
    for source in traces:
        assert source["kind"] == kind, source
        assert source["error"] is None, source
    assert {s["path"] for s in traces if s["rows"] == 0} == unread
    assert hashes(real / folder) == before
