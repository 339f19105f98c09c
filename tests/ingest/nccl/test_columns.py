"""Reading whole columns and reading line by line give the same."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from postmortem.ingest.readers.nccl_log import fast
from tests.ingest.nccl.collect import REAL, SAMPLES, Got, read_bytes

READING = sys.modules["postmortem.ingest.readers.nccl_log.read"]  # the package's ``read`` is the function
FILES = [*sorted(SAMPLES.glob("*.log")), *sorted(REAL.glob("*.log"))]


def line_by_line(data: bytes, first_line: int) -> fast.Stretch:
    """A stretch whose lines all go line by line."""
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return fast.Stretch(len(lines), fast.NO_CALLS, fast.NO_CHOICES, list(enumerate(lines, first_line)))


def both_ways(folder: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Got, Got]:
    """The same bytes read in columns and line by line, rows in the order of the file."""
    got = []
    for split in (fast.split, line_by_line):
        with monkeypatch.context() as patch:
            patch.setattr(fast, "split", split)
            one = read_bytes(folder, data)
        # A column left out is NULL.
        one.tables = {
            name: [{k: v for k, v in row.items() if v is not None} for row in one.rows(name)]
            for name in sorted(one.tables)
        }
        got.append(one)
    return got[0], got[1]


SLOW = "a100pcie-2gpu-coll-tuning-2.27.7.log"  # 3,143 lines in stretches of a few: twelve seconds
MARKED = [pytest.param(p, id=p.name, marks=pytest.mark.slow if p.name == SLOW else ()) for p in FILES]


@pytest.mark.parametrize("path", MARKED)
def test_same_rows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample and every real log gives the same rows, rejects and counts either way, also in small stretches."""
    columns, lines = both_ways(tmp_path, path.read_bytes(), monkeypatch)
    assert columns == lines
    monkeypatch.setattr(READING, "CHUNK", 700)  # a few lines a stretch: counters and choices cross its ends
    assert both_ways(tmp_path, path.read_bytes(), monkeypatch)[0].tables == lines.tables


def test_same_rows_of_damaged_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and choices with changed characters (2,000 seeded) are whole or torn alike either way."""
    dice = random.Random(7)
    seed = (SAMPLES / "address-used-again.log").read_bytes() + (
        SAMPLES / "tuning-symmetric-and-copy-engine.log"
    ).read_bytes()
    out = []
    for line in [line for line in seed.split(b"\n") if b"opCount" in line or b"Algo" in line] * 400:
        damaged = bytearray(line)
        # No upper-case hex digits: those count as a number in columns only.
        damaged[dice.randrange(len(damaged))] = dice.choice(b" :[]+-0x9gz_{}().\r")
        out.append(bytes(damaged))
    columns, lines = both_ways(tmp_path, b"\n".join(out[:2000]), monkeypatch)
    assert columns == lines
