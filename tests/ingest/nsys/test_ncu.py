"""Nsight Compute CSV and the closed .nsys-rep."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Batch, Facts, Head, Ignored, Reject, Source
from postmortem.ingest.readers import ncu, nsys_rep

SAMPLES = Path(__file__).parents[3] / "sample_traces" / "formats"
NCU = sorted((SAMPLES / "ncu").glob("*.csv"))


def read(path: Path):
    """(launches, metrics, rejects, ignored, facts) of a file; lines = parsed + ignored + rejected always."""
    tables: dict[str, list[dict]] = {"ncu_kernels": [], "ncu_metrics": []}
    rejects, ignored, facts = [], {}, None
    for item in ncu.READER.read(Source(path.name, path)):
        if isinstance(item, Batch):
            tables[item.table] += item.rows.to_pylist()
        elif isinstance(item, Reject):
            rejects.append(item)
        elif isinstance(item, Ignored):
            ignored[item.why] = item.lines
        elif isinstance(item, Facts):
            facts = item
    data = path.read_bytes()
    assert facts.lines == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    assert facts.lines == facts.parsed + sum(ignored.values()) + len(rejects)
    return tables["ncu_kernels"], tables["ncu_metrics"], rejects, ignored, facts


@pytest.mark.parametrize("path", NCU, ids=lambda p: p.stem)
def test_recognised_by_content(path):
    """Each sample is known under any name."""
    assert ncu.READER.sniff(Head("unknown.bin", path.read_bytes(), path)) == 90


@pytest.mark.parametrize("path", NCU, ids=lambda p: p.stem)
def test_a_byte_order_mark_hides_no_header(path, tmp_path):
    """As a spreadsheet saves it, with a BOM before the header: recognised, and read the same."""
    lines = path.read_bytes().splitlines(keepends=True)
    table = b"".join(lines[next(i for i, line in enumerate(lines) if b"Kernel Name" in line) :])
    plain, marked = tmp_path / "plain.csv", tmp_path / "marked.csv"
    plain.write_bytes(table)
    marked.write_bytes(b"\xef\xbb\xbf" + table)
    assert ncu.READER.sniff(Head(marked.name, marked.read_bytes(), marked)) == 90
    assert read(marked) == read(plain)


def test_other_csv_is_not_claimed(tmp_path):
    """A table with a column Kernel Name but no metric, as nsys prints, is left to others."""
    path = tmp_path / "kern.csv"
    theirs = "Time (%),Total Time (ns),Kernel Name\n1,2,gemm\n"
    for text in (theirs, "ID,Kernel Name\n1,gemm\n", "hello Kernel Name\n", ""):
        path.write_text(text)
        assert ncu.READER.sniff(Head(path.name, path.read_bytes(), path)) == 0


def test_the_wide_form():
    """A launch a row, units from the second line, thousands separators taken out, other lines counted."""
    launches, metrics, rejects, ignored, _ = read(SAMPLES / "ncu" / "raw_wide.csv")
    assert [(k["kernel_id"], k["kernel_name"], k["grid_size"], k["compute_capability"]) for k in launches] == [
        (0, "void gemm_bf16<128, 64>(const float *, float *)", "(1,024, 1, 1)", "9.0"),
        (1, "dequant_rows", "(64, 1, 1)", "9.0"),
    ]
    assert [(m["metric"], m["unit"], m["value"], m["kind"]) for m in metrics if m["kernel_id"] == 1][:3] == [
        ("dram__bytes.sum", "Mbyte", 2_000_000.0, None),
        ("gpu__time_duration.sum", "usecond", 3.1, None),
        ("lts__t_sector_hit_rate.pct", "%", 42.0, "l2_hit_rate"),
    ]
    assert {(m["reason"], m["kind"]) for m in metrics if m["reason"]} == {
        ("barrier", "stall"), ("long_scoreboard", "stall"), ("selected", "not_stalled"),
    }  # fmt: skip
    assert not rejects
    assert ignored == {"other programs' lines": 1, "the profiler's own lines": 3}


@pytest.mark.parametrize("thousands", [".", "\u202f"], ids=["de", "fr"])
def test_numbers_with_a_decimal_comma(tmp_path, thousands):
    """A locale with a decimal comma: what can be read in both ways is read as the others; there is one number each."""
    text = (SAMPLES / "ncu" / "raw_wide.csv").read_text("utf-8")
    values = {"1,234.50": "1.234,50", "81.25": "81,25", "12.35": "12,350", "2,000,000.00": "2.000.000,00"}
    for point, comma in values.items():
        assert f'"{point}"' in text
        text = text.replace(f'"{point}"', f'"{comma}"'.replace(".", thousands))
    for plain in ("3.10", "42.00", "1.00", "3.00", "0.50", "0.25"):
        text = text.replace(f'"{plain}"', f'"{plain}"'.replace(".", ","))
    path = tmp_path / "comma.csv"
    path.write_text(text, "utf-8")
    _, metrics, rejects, _, _ = read(path)
    _, want, _, _, _ = read(SAMPLES / "ncu" / "raw_wide.csv")
    assert [m["value"] for m in metrics] == [m["value"] for m in want]
    assert not rejects


def test_the_long_form():
    """A metric a row; rules are counted aside; a value that is no number is kept as text."""
    launches, metrics, rejects, ignored, _ = read(SAMPLES / "ncu" / "long.csv")
    assert [k["kernel_id"] for k in launches] == [0, 1]
    assert [(m["kernel_id"], m["reason"], m["value"]) for m in metrics] == [
        (0, "long_scoreboard", 6.0), (0, "barrier", 2.0), (1, None, None),
    ]  # fmt: skip
    assert metrics[2]["text"] == "n/a"
    assert not rejects
    assert ignored == {"rules, which hold no metric": 1, "the profiler's own lines": 2}


def test_a_torn_row_is_a_reject():
    """A row cut short is a reject with its line, and the rows before it stand."""
    _, metrics, rejects, _, _ = read(SAMPLES / "ncu" / "torn_row.csv")
    assert [m["value"] for m in metrics] == [98304.0]
    assert [(r.place, r.reason) for r in rejects] == [(3, "has 0 fields where its header has 5")]


def test_two_runs_in_one_file(tmp_path):
    """A second header starts a second run, whose launch 0 is another launch."""
    path = tmp_path / "runs.csv"
    text = (SAMPLES / "ncu" / "long.csv").read_text()
    path.write_text(text + text)
    launches, metrics, _, _, _ = read(path)
    assert len(launches) == 4
    assert len({m["kernel_id"] for m in metrics}) == 4


def test_an_overlong_line_is_one_reject(tmp_path, monkeypatch):
    """A line beyond the limit is one reject, and the next line is read."""
    monkeypatch.setattr(ncu, "LINE_BYTES", 64)
    path = tmp_path / "long.csv"
    header = '"ID","Kernel Name","Metric Name","Metric Value"\n'
    path.write_text(f'{header}"0","k","m__a","{"9" * 300}"\n"0","k","m__b","5"\n')
    _, metrics, rejects, _, facts = read(path)
    assert [m["metric"] for m in metrics] == ["m__b"]
    assert [r.place for r in rejects] == [2]
    assert facts.lines == 3


@pytest.mark.parametrize("path", NCU, ids=lambda p: p.stem)
def test_truncated_anywhere_and_flipped(path, tmp_path):
    """Cut at every byte, or with flipped bits: the lines still add up, and nothing raises."""
    whole = path.read_bytes()
    random_ = random.Random(path.stem)
    copy = tmp_path / "damaged.csv"
    for cut in range(len(whole)):
        copy.write_bytes(whole[:cut])
        read(copy)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(random_.choice((1, 2, 8))):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        copy.write_bytes(data)
        read(copy)


def test_a_report_is_answered_with_the_export_command():
    """A .nsys-rep is known by its first bytes under any name, and refused with the command that helps."""
    path = SAMPLES / "nsys_rep" / "header_only.nsys-rep"
    assert nsys_rep.READER.sniff(Head("unknown.bin", path.read_bytes(), path)) == 100
    with pytest.raises(SourceUnreadable, match=r"nsys export --type sqlite --output rank0\.sqlite rank0\.nsys-rep"):
        list(nsys_rep.READER.read(Source("nsys/rank0.nsys-rep", path)))
