"""Every reader over every sample: recognised by content, balanced, and never undone by damage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.bundle import head_of
from postmortem.ingest.files import BundleFile
from postmortem.ingest.reader import Batch, Facts, Ignored, Note, Reject, Source
from postmortem.ingest.recognise import readers, recognise
from postmortem.store.schema import tables
from tests.ingest.nsys.exports import ordinary

FORMATS = Path(__file__).parents[2] / "sample_traces" / "formats"
SAMPLES = sorted(p for p in FORMATS.glob("*/**/*") if p.is_file() and p.name != "README.md")
QUICK_CUTS, SLOW_CUTS = 16, 64  # of each sample
QUICK_FLIPS, SLOW_FLIPS = 300, 2_400  # over all samples; tests of the nsys reader flip 800 more


def outcome(path: Path, name: str | None = None) -> dict[str, Any]:
    """What the reader that knows a file makes of it; any exception but SourceUnreadable is a failure."""
    got: dict[str, Any] = {"reader": None, "rows": {}, "rejects": [], "ignored": {}, "notes": [], "facts": {}}
    try:
        head = head_of(BundleFile(name or path.name, path))
    except ValueError as e:  # a packed file that gives nothing
        return {**got, "unreadable": str(e)}
    reader = recognise(head)
    if reader is None:
        return got
    got["reader"] = reader.name
    try:
        for item in reader.read(Source(name or path.name, path, head.packed)):
            if isinstance(item, Batch):
                item.rows.validate(full=True)
                assert set(item.rows.column_names) <= set(tables()[item.table].column_names)
                got["rows"].setdefault(item.table, []).extend(item.rows.to_pylist())
            elif isinstance(item, Reject):
                assert item.reason
                got["rejects"].append(item)
            elif isinstance(item, Ignored):
                got["ignored"][item.why] = got["ignored"].get(item.why, 0) + item.lines
            elif isinstance(item, Note):
                got["notes"].append(item)
            else:
                assert isinstance(item, Facts)
                got["facts"] |= {k: v for k, v in vars(item).items() if v is not None}
    except SourceUnreadable as e:
        got["unreadable"] = e.reason
        one_line = bool(e.reason) and "\n" not in str(e)
    else:
        one_line = True
    assert one_line, got
    return got


def count(got: dict[str, Any]) -> int:
    """Rows of all tables."""
    return sum(len(rows) for rows in got["rows"].values())


def balances(got: dict[str, Any]) -> bool:
    """Whether lines = parsed + ignored + rejected, where the source is a text."""
    facts = got["facts"]
    if "lines" not in facts or "unreadable" in got:
        return True
    return facts["lines"] == facts["parsed"] + sum(got["ignored"].values()) + len(got["rejects"])


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Nsight Systems export: the one format whose sample is built, not committed."""
    return ordinary(tmp_path_factory.mktemp("nsys") / "ordinary.sqlite")


@pytest.fixture(params=[*SAMPLES, None], ids=[*(p.relative_to(FORMATS).as_posix() for p in SAMPLES), "nsys_sqlite"])
def sample(request: pytest.FixtureRequest, export: Path) -> tuple[str, Path]:
    """A sample, and the name of its reader."""
    if request.param is None:
        return "nsys_sqlite", export
    return request.param.relative_to(FORMATS).parts[0], request.param


def test_every_reader_has_samples() -> None:
    """Every reader has a folder of samples named after it (exports are built), and every folder a reader."""
    folders = {p.name for p in FORMATS.iterdir() if p.is_dir()}
    assert set(readers()) - folders <= {"nsys_sqlite"}
    assert folders <= set(readers())


def test_recognised_by_content(sample: tuple[str, Path], tmp_path: Path) -> None:
    """A sample is read under its name and as unknown.bin with the same result, and its ledger balances."""
    name, path = sample
    got = outcome(path)
    assert got["reader"] == name
    assert balances(got), got
    copy = tmp_path / "unknown.bin"
    copy.write_bytes(path.read_bytes())
    other = outcome(copy)
    if "unreadable" not in got:  # such a reason may name the file
        assert other == got
    assert other["reader"] == name


def test_no_other_reader_claims_it(sample: tuple[str, Path]) -> None:
    """No other reader is as sure of a sample as its own."""
    name, path = sample
    head = head_of(BundleFile(path.name, path))
    votes = {n: r.sniff(head) for n, r in readers().items()}
    assert votes.pop(name) > max(votes.values())


def hold_against_cuts(sample: tuple[str, Path], tmp_path: Path, cuts: int) -> None:
    """A prefix of a sample is refused, or gives no more rows than the whole; its ledger balances."""
    name, path = sample
    data = path.read_bytes()
    whole = count(outcome(path))
    for step in range(cuts):
        cut = tmp_path / f"{step}"
        cut.write_bytes(data[: len(data) * step // cuts])
        got = outcome(cut)
        assert got["reader"] in {None, name}
        assert balances(got), (step, got)
        assert "unreadable" in got or got["rejects"] or count(got) <= whole


def test_truncated_at_every_16th(sample: tuple[str, Path], tmp_path: Path) -> None:
    """A sample cut at any of 16 places does no harm."""
    hold_against_cuts(sample, tmp_path, QUICK_CUTS)


@pytest.mark.slow
def test_truncated_at_every_64th(sample: tuple[str, Path], tmp_path: Path) -> None:
    """A sample cut at any of 64 places does no harm."""
    hold_against_cuts(sample, tmp_path, SLOW_CUTS)


def flipped(data: bytes, seed: str, times: int) -> Iterator[bytes]:
    """Copies of the data, each with one to eight bits flipped."""
    chance = random.Random(seed)
    for _ in range(times):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        yield bytes(changed)


def hold_against_flips(export: Path, tmp_path: Path, times: int) -> None:
    """Over all samples: no exception but a refusal, and a ledger that balances."""
    paths = [*SAMPLES, export]
    for path in paths:
        data = path.read_bytes()
        for changed in flipped(data, path.name, -(-times // len(paths))):
            place = tmp_path / "flipped"
            place.write_bytes(changed)
            got = outcome(place)
            assert balances(got), (path, got)


def test_flipped_bits(export: Path, tmp_path: Path) -> None:
    """Some 300 seeded damages over all samples: refused, or rejects, or other values; nothing else."""
    hold_against_flips(export, tmp_path, QUICK_FLIPS)


@pytest.mark.slow
def test_many_flipped_bits(export: Path, tmp_path: Path) -> None:
    """Some 2,400 seeded damages over all samples: refused, or rejects, or other values; nothing else."""
    hold_against_flips(export, tmp_path, SLOW_FLIPS)
