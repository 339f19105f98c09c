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
    assert len(BLOCKS) == PAGE.count("```sql") == PAGE.count("```csv") == 4


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
    longest = two.sql(
        "WITH calls AS (SELECT seq, rank, arrival_ns, lag(leave_ns) OVER (PARTITION BY rank ORDER BY seq) AS before_ns "
        "FROM collective_arrivals), attention AS (SELECT device_id AS rank, start_ns + origin_ns AS start_ns, "
        "end_ns - start_ns AS took_ns FROM nsys_gpu_work JOIN clocks USING (source_id) WHERE contains(name, 'flash')) "
        "SELECT seq % 2 AS odd, count(*) AS calls, median(took_ns) / 1e6 AS ms FROM calls JOIN attention USING (rank) "
        "WHERE start_ns >= before_ns AND start_ns < arrival_ns GROUP BY odd ORDER BY odd"
    )
    assert longest["calls"].to_list() == [32, 32]
    assert longest["ms"].to_list() == [pytest.approx(7.8, abs=0.1), pytest.approx(0.15, abs=0.01)]
    assert two.query("late_ranks").is_empty()
    assert two.query("transfer_lines").is_empty()
    assert two.query("collective_jitter")["algbw_gbps"].to_list() == [None]


def test_the_profiler_held_up_a_rank(two: Incident) -> None:
    """As rank 0's process flushed, its GPU ran dry; rank 1's longest wait came next."""
    flushes = two.sql(
        "SELECT min(start_ns) AS start_ns, max(end_ns) AS end_ns, sum(end_ns - start_ns) / 1e6 AS ms "
        "FROM profiler_overhead WHERE name = 'CUPTI Buffer flush' "
        "AND (global_tid >> 24) IN (SELECT global_pid >> 24 FROM kernels WHERE device_id = 0)"
    ).row(0, named=True)
    assert flushes["ms"] == pytest.approx(1.6, abs=0.05)
    work = two.sql("SELECT start_ns, end_ns FROM nsys_gpu_work WHERE device_id = 0 ORDER BY start_ns").rows()
    dry = max(end for start, end in work if start < flushes["start_ns"])
    again = min(start for start, _ in work if start > flushes["start_ns"])
    assert (again - dry) / 1e6 == pytest.approx(2.4, abs=0.05)
    waits = two.sql(
        "SELECT arrival_ns - origin_ns AS at_ns, wait_ns FROM collective_arrivals JOIN clocks USING (source_id) "
        "WHERE rank = 1 ORDER BY arrival_ns"
    )
    after = waits.filter(waits["at_ns"] > dry).row(0, named=True)
    assert after["wait_ns"] == waits["wait_ns"].max() == pytest.approx(1_570_000, abs=5_000)


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
    computed = incident.sql("FROM kernels SELECT sum(end_ns - start_ns) / 1e9 AS s GROUP BY device_id")
    assert [round(v, 2) for v in computed["s"]] == [0.02, 0.02]
