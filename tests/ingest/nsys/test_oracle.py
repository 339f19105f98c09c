"""The queries against NVIDIA's own reports (nsys stats 2023.4) of the same real exports."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import mean, median, stdev

import pytest

from .conftest import REAL, real_files

REPORTS = {
    "cuda_gpu_kern_sum": "kernel_summary",
    "cuda_kern_exec_trace": "kernel_launches",
    "nvtx_sum": "nvtx_summary",
    "nvtx_gpu_proj_trace": "nvtx_gpu_projection",
}
EMPTY = "no data (empty)"
DROPPED = {("torch_V100_nvtx22k_kern1002__reexport2023.4.4", "nvtx_gpu_proj_trace")}  # held by its summary, below


def status() -> dict:
    path = REAL / "oracle" / "STATUS.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def cases() -> list:
    """(file, report, data rows or why there are none) of every real export and report."""
    said = status()
    return [
        pytest.param(stem, report, said[stem]["nsys2023.4"][report], id=f"{stem}-{report}")
        for stem in real_files()
        if stem in said
        for report in REPORTS
    ]


def report_rows(real: Path, stem: str, report: str) -> list[dict[str, str]]:
    folder = real / "oracle" / stem / "nsys2023.4"
    plain = folder / f"{report}.csv"
    packed = folder / f"{report}.csv.gz"
    text = plain.read_text() if plain.is_file() else gzip.decompress(packed.read_bytes()).decode()
    return list(csv.DictReader(text.strip().splitlines()))


def whole(text: str) -> int | None:
    return int(text) if text else None


def kern_sum(row: dict[str, str]) -> tuple:
    return (row["Name"], *summary(row))


def summary(row: dict[str, str]) -> tuple:
    printed = ("Avg (ns)", "Med (ns)", "StdDev (ns)", "Time (%)")
    exact = ("Instances", "Total Time (ns)", "Min (ns)", "Max (ns)")
    return (*(int(row[c]) for c in exact), *(row[c] for c in printed))


def ours_summary(row: dict) -> tuple:
    exact = ("instances", "total_ns", "min_ns", "max_ns")
    printed = ("avg_ns", "median_ns", "stddev_ns", "time_pct")
    return (*(row[c] for c in exact), *(digit(row[c]) for c in printed))


def digit(value: float) -> str:
    """One digit after the point, halves away from zero as SQLite's ROUND does in NVIDIA's reports."""
    return str(Decimal(repr(value)).quantize(Decimal("0.1"), ROUND_HALF_UP))


THEIRS = {
    "cuda_gpu_kern_sum": kern_sum,
    "cuda_kern_exec_trace": lambda r: (
        r["Kernel Name"],
        *(whole(r[c]) for c in ("API Start (ns)", "API Dur (ns)", "Queue Dur (ns)", "Kernel Start (ns)",
                                "Kernel Dur (ns)", "Total Dur (ns)", "PID", "TID", "DevId")),
    ),
    "nvtx_sum": lambda r: (r["Style"], r["Range"], *summary(r)),
    "nvtx_gpu_proj_trace": lambda r: (
        r["Name"], r["Style"],
        *(int(r[c]) for c in ("Orig Start (ns)", "Orig Duration (ns)", "Projected Start (ns)",
                              "Projected Duration (ns)", "NumGPUOps", "PID", "TID")),
    ),
}  # fmt: skip
OURS = {
    "cuda_gpu_kern_sum": lambda r: (r["kernel_name"], *ours_summary(r)),
    "cuda_kern_exec_trace": lambda r: tuple(r.values()),
    "nvtx_sum": lambda r: (r["style"], r["range_name"], *ours_summary(r)),
    "nvtx_gpu_proj_trace": lambda r: tuple(r.values()),
}


@pytest.mark.parametrize(("stem", "report", "expected"), cases())
def test_every_report_is_reproduced(real, loaded, stem, report, expected):
    """Names, counts, totals and extremes equal NVIDIA's; means, medians and deviations to the printed digit."""
    if (stem, report) in DROPPED:
        pytest.skip(f"NVIDIA's report was not kept: {expected}")
    ours = [OURS[report](r) for r in loaded(stem).catalogue.rows(REPORTS[report], source=f"{stem}.sqlite")]
    if expected == EMPTY:
        assert ours == []
        return
    theirs = [THEIRS[report](r) for r in report_rows(real, stem, report)]
    assert len(theirs) == expected
    assert Counter(ours) == Counter(theirs)


def test_every_file_without_a_report_says_why():
    """A file that NVIDIA's reports leave empty is named with its reason; only whole-schema dumps have none."""
    said = status()
    reasons = {EMPTY, "7002 lines, dropped: 18 MiB of repeated range stacks"}
    for stem, reports in said.items():
        for report in REPORTS:
            found = reports["nsys2023.4"][report]
            assert isinstance(found, int) or found in reasons, (stem, report, found)
    unreported = set(real_files()) - set(said)
    assert all(stem.startswith("schema_all_tables_lazyfalse") for stem in unreported), unreported


def test_the_projection_that_was_too_big_to_keep_agrees_with_its_summary(real, loaded):
    """1000 ranges nested 1000 deep: counts, totals, extremes and means of the projection equal NVIDIA's summary."""
    stem = "torch_V100_nvtx22k_kern1002__reexport2023.4.4"
    by_name: dict[str, list[dict]] = {}
    for row in loaded(stem).catalogue.rows("nvtx_gpu_projection"):
        by_name.setdefault(row["range_name"], []).append(row)
    theirs = report_rows(real, stem, "nvtx_gpu_proj_sum")
    assert {r["Range"] for r in theirs} == set(by_name)
    for row in theirs:
        ours = by_name[row["Range"]]
        spans = [r["projected_duration_ns"] for r in ours]
        assert sum(spans) == int(row["Total Proj Time (ns)"])
        assert sum(r["duration_ns"] for r in ours) == int(row["Total Range Time (ns)"])
        assert (len(ours), min(spans), max(spans)) == tuple(
            int(row[c]) for c in ("Range Instances", "Proj Min (ns)", "Proj Max (ns)")
        )
        assert sum(r["gpu_ops"] for r in ours) == int(row["Total GPU Ops"])
        assert digit(mean(spans)) == row["Proj Avg (ns)"]
        assert digit(median(spans)) == row["Proj Med (ns)"]
        assert digit(stdev(spans) if len(spans) > 1 else 0) == row["Proj StdDev (ns)"]
