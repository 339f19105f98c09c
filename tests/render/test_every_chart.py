"""Every chart: builds from anything, keeps to the theme, says its units."""

from __future__ import annotations

import json
import re
from typing import Any

import altair as alt
import polars as pl
import pytest

from postmortem.findings import describe
from postmortem.render.chart import SUBJECTS
from postmortem.render.charts import charts
from postmortem.render.frames import MADE_HERE
from postmortem.render.theme import COLOURS
from tests.render.samples import HOSTILE, MS, START, chart_frames

CHARTS = charts()
UNITS = re.compile(
    r"\((ms|logits|%|KiB|MiB|µs)|ms |logits|sequences|iteration|rank|step|tactic|seconds|tokens|requests"
)


def _walk(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [pair for k, v in node.items() if k not in ("datasets", "values") for pair in [(k, v), *_walk(v)]]
    if isinstance(node, list):
        return [pair for v in node for pair in _walk(v)]
    return []


def _one_row(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: frame.head(1) for name, frame in frames.items()}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("size", ["none", "empty", "one row", "full"])
def test_builds(name: str, size: str) -> None:
    """A chart builds, as valid Vega-Lite, from absent, empty, one-row and full frames."""
    full = chart_frames()
    frames = {
        "none": {},
        "empty": {k: f.clear() for k, f in full.items()},
        "one row": _one_row(full),
        "full": full,
    }[size]
    spec = CHARTS[name].spec(frames)
    assert json.loads(json.dumps(spec)) == spec
    alt.Chart.from_dict(spec)


@pytest.mark.parametrize("name", CHARTS)
def test_builds_from_nulls(name: str) -> None:
    """A chart builds where every figure that may be missing is."""
    full = chart_frames(iterations=20)
    nulls = {
        k: f.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in f.schema.items() if t.is_float() or c == "rank")
        for k, f in full.items()
    }
    CHARTS[name].spec(nulls)
    everything = {
        k: f.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in f.schema.items()) for k, f in full.items()
    }
    CHARTS[name].spec(everything)


@pytest.mark.parametrize("name", CHARTS)
def test_the_same_twice(name: str) -> None:
    """The same frames give the same JSON, whatever order their rows come in."""
    frames = chart_frames(iterations=120)
    shuffled = {k: f if k == "links" else f.sample(fraction=1, shuffle=True, seed=3) for k, f in frames.items()}
    once = json.dumps(CHARTS[name].spec(frames))
    assert once == json.dumps(CHARTS[name].spec(frames))
    assert once == json.dumps(CHARTS[name].spec(shuffled))


@pytest.mark.parametrize("name", CHARTS)
def test_only_the_themes_colours(name: str) -> None:
    """No colour is drawn that the theme does not name."""
    for _, value in _walk(CHARTS[name].spec(chart_frames())):
        if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{3,8}", value):
            assert value in COLOURS
        if isinstance(value, dict) and "range" in value and isinstance(value["range"], list):
            named = [v for v in value["range"] if isinstance(v, str) and v.startswith("#")]
            assert set(named) <= COLOURS


@pytest.mark.parametrize("name", CHARTS)
def test_axis_titles_have_units(name: str) -> None:
    """Every axis that has a title says the unit, or what is counted."""
    for key, value in _walk(CHARTS[name].spec(chart_frames())):
        if key in ("x", "y") and isinstance(value, dict):
            title = value.get("title") or (value.get("axis") or {}).get("title")
            if title:
                text = " ".join(title) if isinstance(title, list) else title
                assert UNITS.search(text), text


@pytest.mark.parametrize("name", CHARTS)
def test_hostile_texts_are_written_out(name: str) -> None:
    """Characters that reorder or control never reach a chart's data."""
    frames = {
        k: f.with_columns(pl.lit(HOSTILE).alias(c) for c, t in f.schema.items() if t == pl.String and c != "role")
        for k, f in chart_frames(iterations=30).items()
    }
    text = json.dumps(CHARTS[name].spec(frames), ensure_ascii=False)
    assert "\u202e" not in text
    assert "\\u0000" not in text


def test_a_chart_says_what_it_asks() -> None:
    """Every chart has a question, and its docstring names the columns that it wants."""
    for chart in CHARTS.values():
        assert chart.question.endswith("?")
        doc = __import__(f"postmortem.render.charts.{chart.name}", fromlist=["CHART"]).__doc__ or ""
        assert all(name in doc for name in chart.wants if name not in ("links", "baseline")), chart.name


def test_every_frame_is_a_question_or_made_of_one() -> None:
    """What a chart wants is asked for by its own name, with columns that the question has."""
    for chart in CHARTS.values():
        assert chart.subject in SUBJECTS
        for name, columns in chart.wants.items():
            if name in MADE_HERE:
                continue
            assert set(columns) <= {column.name for column in describe(name).columns}, (chart.name, name)


@pytest.mark.parametrize("name", CHARTS)
def test_says_what_is_to_be_seen(name: str) -> None:
    """A chart has its figures as text, in a sentence that is also its description; none where nothing is drawn."""
    text = CHARTS[name].says(chart_frames())
    assert text.endswith(".")
    assert re.search(r"\d", text)
    assert text in CHARTS[name].spec(chart_frames())["description"]
    assert CHARTS[name].says({}) == ""


@pytest.fixture(scope="module")
def many() -> dict[str, pl.DataFrame]:
    return chart_frames(iterations=800, ranks=64)


@pytest.mark.parametrize("name", CHARTS)
def test_many_ranks_stay_small(name: str, many: dict[str, pl.DataFrame]) -> None:
    """Of 64 ranks' 51 200 iterations a chart keeps few enough rows: a fifth of a page of 5 MB, and no more marks
    than altair draws elsewhere without asking (5000 a layer)."""
    spec = CHARTS[name].spec(many)
    assert len(json.dumps(spec, separators=(",", ":"))) < 1_000_000
    assert max((len(rows) for rows in spec["datasets"].values()), default=0) <= 5_000


def _collectives(count: int, late: int) -> pl.DataFrame:
    return pl.DataFrame({"seq": pl.arange(0, count, eager=True)}).with_columns(
        comm=pl.lit("0x1"),
        op=pl.lit("AllReduce"),
        first_arrival_ns=START + pl.col("seq") * 10_000,
        wait_ns=pl.when(pl.col("seq") == late).then(25 * MS).otherwise(2_000),
        transfer_ns=pl.lit(5_000),
        straggler_rank=pl.when(pl.col("seq") == late).then(3).otherwise(0),
        source=pl.lit("kernels"),
    )


@pytest.mark.parametrize("late", [0, 654_321, 999_999])
def test_one_late_collective_in_a_million_stays_visible(late: int) -> None:
    """A single late collective among a million is drawn, with its own ids, and the cap is said."""
    spec = CHARTS["incident_timeline"].spec({"collectives": _collectives(1_000_000, late)})
    rows = [row for data in spec["datasets"].values() for row in data if row.get("seq") == late]
    assert [row["wait"] for row in rows] == [25.0]
    assert rows[0]["straggler_rank"] == 3
    assert max(len(data) for data in spec["datasets"].values()) <= 1_000
    assert "of 1000000 drawn" in json.dumps(spec["title"])


def test_a_lone_giant_keeps_its_own_figure() -> None:
    """A wait far above the others is drawn at the top of the axis, and its figure is kept."""
    spec = CHARTS["incident_timeline"].spec({"collectives": _collectives(500, 77)})
    rows = [row for data in spec["datasets"].values() for row in data if row.get("seq") == 77]
    assert rows[0]["wait"] == 25.0
    assert 0 < rows[0]["shown"] < 25.0


def test_many_ranks_are_capped_and_the_blamed_one_is_drawn() -> None:
    """With many ranks a few are drawn, the blamed one among them, and the chart says so."""
    spec = CHARTS["incident_timeline"].spec(chart_frames(iterations=400, ranks=20))
    assert "8 of 20 ranks" in json.dumps(spec["title"])
    titles = [str(v.get("title")) for k, v in _walk(spec) if k == "axis" and isinstance(v, dict)]
    assert any("rank 1, blamed" in title for title in titles)


def test_the_links_stand_from_cause_to_effect() -> None:
    """The timeline has the links as numbered marks in the chain's order, and arrows between them."""
    spec = CHARTS["incident_timeline"].spec(chart_frames())
    marks = [data for data in spec["datasets"].values() if data and "mark" in data[0]]
    assert [row["mark"] for row in marks[0]] == ["1", "2", "3", "4", "5", "6"]
    arrows = [data for data in spec["datasets"].values() if data and "from" in data[0]]
    assert len(arrows[0]) == 5
