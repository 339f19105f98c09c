"""The recorder's fields against the reader's: what is written is read, what would be refused is counted."""

from __future__ import annotations

import enum
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.ingest.reader import Facts, Reject, Source
from postmortem.ingest.readers.records.blocks import MAX_LINE
from postmortem.ingest.readers.records.model import SRecord, XRecord
from postmortem.ingest.readers.records.read import read
from postmortem.record import Recorder
from postmortem.record.fields import FITS, LONGEST_LINE

STRUCTS = {"x": XRecord, "s": SRecord}


class Mode(enum.Enum):
    """As an engine may have it; no text."""

    STRICT = "strict"


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-5, 5), st.floats(), st.floats(-5, 5).map(round).map(float),
    st.text(), st.sampled_from(["", "5", "sha256:ab", "00ff", "\ud800", "a\x00\n\u2028", Mode.STRICT, b"\x01", {"a"}]),
    st.sampled_from([2**62 - 1, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 1e9, 1e9 + 1, 10**400, 1.79e18]),
    st.sampled_from([2**40, 2**40 + 1, 2.0**129, 1e39, -1e308, -(2**61), -(2**61) - 1]),
    st.sampled_from([np.int64(3), np.float32("nan"), np.float64(2.0), np.bool_(True), np.str_("t"), np.arange(3)]),
    st.lists(st.one_of(st.text(), st.none(), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.one_of(st.floats(), st.integers(), st.text()), max_size=3),
)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A kind and fields of it, mostly placed, some of them odd."""
    kind = draw(st.sampled_from("xs"))
    placed: dict[str, Any] = {"req_id": "r", "step": 1} if draw(st.booleans()) else {"iteration": 1}
    names = draw(st.lists(st.sampled_from([*FITS[kind], "unknown"]), max_size=4, unique=True))
    return kind, placed | {name: draw(ODD) for name in names}


def told(folder: Path) -> tuple[int, list[str]]:
    """How many lines of a folder's files are read, and why the others are not."""
    lines, rejects = 0, []
    for path in sorted(folder.iterdir()):
        for item in read(Source(path.name, path)):
            if isinstance(item, Facts):
                lines += item.parsed or 0
            elif isinstance(item, Reject):
                rejects.append(item.reason)
    return lines, rejects


@settings(max_examples=150)
@given(st.lists(records(), min_size=1, max_size=8), st.sampled_from([None, 3]), st.sampled_from([None, "b"]))
def test_what_is_written_is_read(some: list[tuple[str, dict[str, Any]]], rank: int | None, replica: str | None) -> None:
    """Whatever an engine hands over, the reader rejects no line, and what is not written is counted."""
    with TemporaryDirectory() as folder:
        with Recorder(folder, rank=rank, replica=replica, background=False, ranges=False) as rec:
            for kind, fields in some:
                getattr(rec, kind)(**fields)
        assert rec.written + rec.errors == len(some)
        assert told(Path(folder)) == (rec.written + 1, [])  # one line is the account


@pytest.mark.parametrize("kind", STRUCTS)
def test_every_field_is_known(kind: str) -> None:
    """The recorder knows the reader's fields and no others, and the longest line."""
    assert set(FITS[kind]) == {field.name for field in msgspec.structs.fields(STRUCTS[kind])} - {"record"}
    assert LONGEST_LINE == MAX_LINE


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("req_id", 17, "17"), ("replica", 0, "0"), ("batch_size", 5.0, 5), ("batch_size", math.nan, None),
        ("ts_ns", np.int64(7), 7), ("paging_on", 1, True), ("algo_id", 2**64 - 1, str(2**64 - 1)), ("algo_id", 5, 5),
        ("token_id", 2**63 - 1, 2**63 - 1), ("gpu_ms", 3, 3), ("margin", np.array([0.5]), 0.5),
    ],
)  # fmt: skip
def test_an_engines_own_types(tmp_path: Path, field: str, value: object, wanted: object) -> None:
    """What says the same in another type is written as readers take it."""
    with Recorder(tmp_path, background=False, ranges=False) as rec:
        rec.s(**{"req_id": "r", "step": 0, field: value})
    assert json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0])[field] == wanted


def test_rank_of_an_environment(tmp_path: Path) -> None:
    """A rank may be a text, as os.environ has it; one that is no rank is said when the recorder is made."""
    with Recorder(tmp_path, replica="b", rank="5", background=False, ranges=False) as rec:
        rec.s(iteration=1, gpu_ms=1.0)
    assert [json.loads(line)["rank"] for line in (tmp_path / "s_rank5.jsonl").read_text().splitlines()] == [5, 5]
    with pytest.raises(ValueError, match="five"):
        Recorder(tmp_path, rank="five", background=False)
