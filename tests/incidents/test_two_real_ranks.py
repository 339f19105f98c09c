"""docs/two-real-ranks.md against the file that it tells of: its queries give its tables and its figures."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from postmortem.api import Incident
from postmortem.render.formats.csv import FORMAT

PAGE = (Path(__file__).parents[2] / "docs" / "two-real-ranks.md").read_text("utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```\n\n```csv\n(.*?)```", PAGE, re.S)


@pytest.fixture
def two(real: Path, tmp_path: Path, opened: Callable[..., Incident]) -> Incident:
    """The file of two ranks, alone in a bundle."""
    (export,) = (real / "nsys").glob("torch_2xH100_nccl_sendrecv_before*.sqlite")
    shutil.copy(export, tmp_path)
    return opened(tmp_path)


def test_the_page_has_its_tables() -> None:
    """Every query of the page is followed by its answer."""
    assert len(BLOCKS) == PAGE.count("```sql") == PAGE.count("```csv") == 3


def test_its_queries_give_its_tables(two: Incident) -> None:
    """Cell by cell."""
    for sql, told in BLOCKS:
        assert FORMAT.write(two.sql(sql)).decode() == told


def test_its_sentences(two: Incident) -> None:
    """How many swaps, whose, and how far apart ranks leave."""
    named = two.query("collectives")["straggler_rank"].to_list()
    assert (named.count(1), named.count(0), named.count(None)) == (20, 11, 2)
    assert "rank 1 for 20 swaps, rank 0 for 11, and nobody for 2" in PAGE
    apart = two.sql("FROM collective_arrivals SELECT max(leave_ns) - min(leave_ns) AS ns GROUP BY seq")
    assert round(apart["ns"].max() / 1e3) == 27
    assert two.query("late_ranks").is_empty()
    assert two.query("transfer_lines").is_empty()
    assert two.query("collective_jitter")["algbw_gbps"].to_list() == [None]


def test_the_file_without_collectives(real: Path, tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """The other file of two ranks: no NCCL kernel, 25 GB copied from the host to each GPU in 0.92 s."""
    (export,) = (real / "nsys").glob("torch_2xH100_fastvideo*.sqlite")
    shutil.copy(export, tmp_path)
    incident = opened(tmp_path)
    assert incident.query("collectives").is_empty()
    copied = incident.sql(
        "FROM memcpys SELECT sum(bytes) / 1e9 AS gb, sum(end_ns - start_ns) / 1e9 AS s "
        "WHERE direction = 'HtoD' GROUP BY device_id"
    )
    assert [round(v) for v in copied["gb"]] == [25, 25]
    assert [round(v, 2) for v in copied["s"]] == [0.92, 0.92]
