"""Every output format: the same cells, nothing rounded."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import polars as pl
import pytest

from postmortem.base.errors import UsageError
from postmortem.cli.commands.query import FORMATS
from postmortem.render.format import Look, rows, text
from postmortem.render.formats import format_named, format_names
from tests.render.samples import HOSTILE


def test_the_command_offers_every_format() -> None:
    """The command lists its formats without loading them; none is missing."""
    assert sorted(FORMATS) == format_names()


HARD = pl.DataFrame(
    {
        "big": [2**63 - 1, -(2**63), None],
        "figure": [0.1, float("nan"), float("inf")],
        "word": ['a,"b"\nc', "", None],
        "hostile": [HOSTILE, " padded ", "ü→"],
        "flag": [True, False, None],
        "list": [[1, 2], [], None],
        "pair": [{"k": 1, "v": "x"}, {"k": None, "v": "y"}, {"k": 2, "v": None}],
        "time": [datetime(2026, 11, 2, tzinfo=UTC), None, None],
        "exact": [Decimal("1.10"), Decimal(2), None],
        "raw": [b"\x00\xff", b"", None],
    },
    schema_overrides={"exact": pl.Decimal(10, 2)},
)


def _cells() -> list[list[str]]:
    return [[text(v) for v in row.values()] for row in rows(HARD)]


def test_names() -> None:
    """The formats that the commands promise are there."""
    assert format_names() == ["csv", "json", "jsonl", "parquet", "table"]
    with pytest.raises(UsageError, match="try one of: csv"):
        format_named("xlsx")


def test_json_and_jsonl_hold_the_cells() -> None:
    """JSON and JSON Lines hold the same objects, int64 exact, NaN as null."""
    whole = json.loads(format_named("json").write(HARD))
    lines = [json.loads(line) for line in format_named("jsonl").write(HARD).splitlines()]
    assert whole == lines == list(rows(HARD))
    assert whole[0]["big"] == 2**63 - 1
    assert whole[1]["figure"] is None
    assert whole[2]["figure"] == "inf"
    assert whole[0]["pair"] == {"k": 1, "v": "x"}


def test_times_of_nanoseconds_are_whole() -> None:
    """A time keeps its nanoseconds, also within lists and structs: Python's own times end at microseconds."""
    ns = pl.Datetime("ns")
    frame = pl.DataFrame(
        {"t": [1_790_000_000_000_000_789], "l": [[789, None]], "s": [{"n": 1, "t": 1_000_000_001}], "none": [None]},
        schema={"t": ns, "l": pl.List(ns), "s": pl.Struct({"n": pl.Int64, "t": ns}), "none": ns},
    )
    assert json.loads(format_named("json").write(frame)) == [
        {
            "t": "2026-09-21T14:13:20.000000789",  # date -u -d @1790000000
            "l": ["1970-01-01T00:00:00.000000789", None],
            "s": {"n": 1, "t": "1970-01-01T00:00:01.000000001"},
            "none": None,
        }
    ]


def test_decimals_are_figures() -> None:
    """DuckDB's 1.5 is a decimal: a number in JSON, as its 2.0 is; a text only where no float holds its digits."""
    figures = ["1.50", "2.00", "123456789012345678.25"]
    frame = pl.DataFrame({"d": [Decimal(figure) for figure in figures]}, schema={"d": pl.Decimal(20, 2)})
    assert format_named("jsonl").write(frame) == b'{"d":1.5}\n{"d":2}\n{"d":"123456789012345678.25"}\n'


def test_csv_holds_the_cells() -> None:
    """A CSV reader gets back the same cells, and an empty string is told from null."""
    written = format_named("csv").write(HARD).decode()
    got = list(csv.reader(StringIO(written, newline="")))
    assert got[0] == HARD.columns
    assert got[1:] == _cells()
    assert ',"",' in written


def test_parquet_holds_the_frame() -> None:
    """Parquet gives back the very frame, types and NaN kept."""
    back = pl.read_parquet(BytesIO(format_named("parquet").write(HARD)))
    assert back.equals(HARD)
    assert back.schema == HARD.schema


def test_table_holds_the_cells() -> None:
    """The table shows every cell, control characters written out, whatever the width."""
    for width in (40, 80, 400):
        got = format_named("table").write(HARD, Look(width)).decode()
        assert "\x1b" not in got
        assert "\u202e" not in got
        for value in ("9223372036854775807", "-9223372036854775808", "2026-11-02T00:00:00+00:00"):
            assert value in got.replace("\n", "") or width == 40


def test_table_aligns_figures() -> None:
    """Figures stand right-aligned under their names, text left-aligned."""
    frame = pl.DataFrame({"name": ["a", "bbb"], "n": [5, 12345]})
    assert format_named("table").write(frame).decode() == ("name      n\n───────────\na         5\nbbb   12345\n")


@pytest.mark.parametrize("name", format_names())
def test_no_rows(name: str) -> None:
    """No rows give an answer all the same."""
    got = format_named(name).write(HARD.clear())
    if name == "json":
        assert json.loads(got) == []
    assert bool(got) == (name != "jsonl")


def test_table_in_colour_only_when_asked() -> None:
    """Colour codes come only where the look asks for them."""
    frame = pl.DataFrame({"n": [1]})
    assert b"\x1b[" not in format_named("table").write(frame)
    assert b"\x1b[" in format_named("table").write(frame, Look(80, colour=True))
