"""Truncated and bit-flipped exports: a reason, never a traceback, never a hang, and what is whole is kept."""

from __future__ import annotations

import random
import shutil

import pytest

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Batch, Head, Note, Reject, Source
from postmortem.ingest.readers.nsys_sqlite import READER

from .conftest import load
from .exports import ordinary

STEPS = 64
FLIPS = 800  # seeded; other readers take their share of the 2,000 mutations asked for


def outcome(path) -> tuple[str, int, set[str]]:
    """("refused" | "read", rows, note codes) of a damaged export; any other exception is the test's failure."""
    rows, codes = 0, set()
    try:
        for item in READER.read(Source(path.name, path)):
            if isinstance(item, Batch):
                rows += item.rows.num_rows
                item.rows.validate(full=True)
            elif isinstance(item, Note):
                codes.add(item.code)
            elif isinstance(item, Reject):
                assert item.reason
    except SourceUnreadable as e:
        refused = e
    else:
        return "read", rows, codes
    assert refused.reason
    assert "\n" not in str(refused)
    return "refused", 0, codes


def test_truncated_at_every_64th(tmp_path):
    """Each prefix is refused with a reason or read in part with the loss said; a longer one never gives less."""
    whole = ordinary(tmp_path / "whole.sqlite").read_bytes()
    best = 0
    for step in range(STEPS):
        path = tmp_path / f"{step}.sqlite"
        path.write_bytes(whole[: len(whole) * step // STEPS])
        assert READER.sniff(Head(path.name, path.read_bytes()[:65536], path)) in {0, 100}
        what, rows, codes = outcome(path)
        assert what == "refused" or "truncated" in codes
        assert rows >= best
        best = max(best, rows)
    assert best > 400  # of some 900: the tables before the cut


def test_what_is_whole_of_a_truncated_export_is_loaded(tmp_path):
    """A profiler killed while exporting leaves tables: they arrive, and the lost ones are named."""
    path = ordinary(tmp_path / "whole.sqlite")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    loaded = load(path, tmp_path / "store.duckdb")
    assert loaded.rows("SELECT count(*) FROM kernels")[0][0] == 200
    assert {i.code for i in loaded.items if isinstance(i, Note)} >= {"truncated", "damaged_table"}
    assert [i for i in loaded.items if isinstance(i, Reject)]


@pytest.mark.parametrize("part", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 3))])
def test_flipped_bits(tmp_path, part):
    """One to eight flipped bits anywhere: refused, or read with rejects or other values, never anything else."""
    whole = ordinary(tmp_path / "whole.sqlite").read_bytes()
    random_ = random.Random(f"flips {part}")
    path = tmp_path / "flipped.sqlite"
    for _ in range(FLIPS // 4):
        data = bytearray(whole)
        for _ in range(random_.choice((1, 1, 2, 8))):
            # half of the damage goes where it hurts: headers of file and pages, the schema
            at = random_.randrange(len(data)) if random_.random() < 0.5 else random_.randrange(4096)
            data[at] ^= 1 << random_.randrange(8)
        path.write_bytes(data)
        assert READER.sniff(Head(path.name, bytes(data[:65536]), path)) in {0, 100}
        outcome(path)


@pytest.mark.slow
def test_overwritten_pages(tmp_path):
    """Whole pages of zeroes, ones or another page's bytes: the rest of the file is still read or refused."""
    whole = ordinary(tmp_path / "whole.sqlite").read_bytes()
    pages = len(whole) // 4096
    path = tmp_path / "pages.sqlite"
    for page in range(pages):
        for filler in (b"\0" * 4096, b"\xff" * 4096, whole[4096 : 2 * 4096]):
            path.write_bytes(whole[: page * 4096] + filler + whole[(page + 1) * 4096 :])
            outcome(path)


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"\0" * 4080, b"\x00" * 100])
def test_stumps(tmp_path, data):
    """Files too short or too empty to be a database are refused in one line."""
    path = tmp_path / "stump.sqlite"
    path.write_bytes(data)
    assert outcome(path)[0] == "refused"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    """A file without the right to read it is refused with that reason."""
    path = ordinary(tmp_path / "rank0.sqlite")
    shutil.move(path, tmp_path / "gone.sqlite")
    with pytest.raises(SourceUnreadable, match="No such file"):
        list(READER.read(Source("rank0.sqlite", path)))
