"""Every chart: builds from anything, keeps to the theme, says its units."""

from __future__ import annotations

import json
import re
from functools import cache
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


@cache
def _full(name: str) -> dict[str, Any]:
    return CHARTS[name].spec(chart_frames())


def _valid(spec: dict[str, Any]) -> None:
    """It is Vega-Lite, whose schema has one thing to say of all rows: each is an object."""
    assert all(isinstance(row, dict) for rows in spec["datasets"].values() for row in rows)
    alt.Chart.from_dict({**spec, "datasets": {name: rows[:2] for name, rows in spec["datasets"].items()}})


def _one_row(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: frame.head(1) for name, frame in frames.items()}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("size", ["none", "empty", "one row", "full"])
def test_builds(name: str, size: str) -> None:
    """A chart builds, as valid Vega-Lite, from absent, empty, one-row and full frames."""
    full = chart_frames()
    frames = {"none": {}, "empty": {k: f.clear() for k, f in full.items()}, "one row": _one_row(full)}
    spec = _full(name) if size == "full" else CHARTS[name].spec(frames[size])
    assert json.loads(json.dumps(spec)) == spec
    _valid(spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHARTS)
def test_builds_from_nulls(name: str) -> None:
    """A chart builds where every figure that may be missing is."""
    full = chart_frames(iterations=20)
    nulls = {
        k: f.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in f.schema.items() if t.is_float() or c == "rank")
        for k, f in full.items()
    }
    _valid(CHARTS[name].spec(nulls))
    everything = {
        k: f.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in f.schema.items()) for k, f in full.items()
    }
    _valid(CHARTS[name].spec(everything))


@pytest.mark.slow
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
    for _, value in _walk(_full(name)):
        if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{3,8}", value):
            assert value in COLOURS
        if isinstance(value, dict) and "range" in value and isinstance(value["range"], list):
            named = [v for v in value["range"] if isinstance(v, str) and v.startswith("#")]
            assert set(named) <= COLOURS


@pytest.mark.parametrize("name", CHARTS)
def test_axis_titles_have_units(name: str) -> None:
    """Every axis that has a title says the unit, or what is counted."""
    for key, value in _walk(_full(name)):
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
    assert text in _full(name)["description"]
    assert CHARTS[name].says({}) == ""


@pytest.fixture(scope="module")
def many() -> dict[str, pl.DataFrame]:
    return chart_frames(iterations=800, ranks=64)


@pytest.mark.slow
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
    assert rows[0]["last"] == "3"
    assert max(len(data) for data in spec["datasets"].values()) <= 1_000
    assert "of 1000000 drawn" in json.dumps(spec["title"])


def test_a_lone_giant_keeps_its_own_figure() -> None:
    """A wait far above the others is drawn at the top of the axis, and its figure is kept."""
    spec = CHARTS["incident_timeline"].spec({"collectives": _collectives(500, 77)})
    rows = [row for data in spec["datasets"].values() for row in data if row.get("seq") == 77]
    assert rows[0]["wait"] == 25.0
    assert 0 < rows[0]["shown"] < 25.0


@pytest.mark.slow
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


def _drawn(spec: dict[str, Any], *columns: str) -> list[dict[str, Any]]:
    return [row for data in spec["datasets"].values() for row in data if all(c in row for c in columns)]


def test_arrows_lead_from_the_causes_bar_to_where_the_effect_begins() -> None:
    """A cause that ended 5 s before its effect is joined to it along its row, one that lasts till then by its bar."""
    links = pl.DataFrame(
        {
            "n": [1, 2, 3], "kind": ["load_surge", "batch_change", "token_flip"], "grade": "proven", "rank": None,
            "start_ns": [START, START + 6_000 * MS, START + 8_000 * MS],
            "end_ns": [START + 1_000 * MS, START + 9_000 * MS, None],
        }
    )  # fmt: skip
    spec = CHARTS["incident_timeline"].spec({"links": links})
    arrows = {(row["from"], row["to"]): (row["left"], row["t"]) for row in _drawn(spec, "from", "to")}
    assert arrows == {("1 load surge", "2 batch change"): (1.0, 6.0), ("2 batch change", "3 token flip"): (8.0, 8.0)}


@pytest.mark.slow
def test_the_requests_own_path_is_lit() -> None:
    """Collectives within the request's life are drawn full, the others dimmed; without a request none is."""
    frames = chart_frames()
    own = frames["request_steps"].filter(pl.col("role") == "request")["ts_ns"]
    spec = CHARTS["incident_timeline"].spec(frames)
    rows = _drawn(spec, "seq", "seen")
    at = {(row["seq"]): row["seen"] for row in rows}
    for seq, ns in frames["collectives"].select("seq", "first_arrival_ns").rows():
        if seq in at:
            assert at[seq] == (1.0 if own.min() <= ns <= own.max() else 0.4)
    assert {1.0, 0.4} == set(at.values())
    areas = [v["opacity"] for k, v in _walk(spec) if k == "mark" and isinstance(v, dict) and v["type"] == "area"]
    assert areas.count(0.4) == areas.count(1.0) == 2
    assert "other iterations are dimmed" in json.dumps(spec["title"])
    alone = CHARTS["incident_timeline"].spec({k: f for k, f in frames.items() if k != "request_steps"})
    assert {row["seen"] for row in _drawn(alone, "seq", "seen")} == {1.0}
    assert "dimmed" not in json.dumps(alone["title"])


def test_links_within_one_iteration_are_drawn_among_others() -> None:
    """Of 1000 iterations of 30 ms the hundred around a lone flip are drawn; no note speaks of what is not."""
    its = pl.DataFrame({"start_ns": [START + n * 30 * MS for n in range(1000)], "iteration": range(1000)})
    its = its.with_columns(end_ns=pl.col("start_ns") + 30 * MS)
    flip = pl.DataFrame({"n": [1], "kind": "token_flip", "grade": "proven", "start_ns": [START + 15_000 * MS]})
    calm = pl.DataFrame({"start_ns": [START], "end_ns": [START + 3_000 * MS]})
    spec = CHARTS["incident_timeline"].spec({"iterations": its, "links": flip, "baseline": calm})
    assert spec["usermeta"]["whole"] == [0.0, 3.0]
    shown = [row["t"] for row in _drawn(spec, "t", "ms")]
    assert (len(shown), shown[0], shown[-2:]) == (102, 0.0, [3.0, 3.03])  # the last one's end, too
    assert "Dashed line: the flip." in json.dumps(spec["title"])
    assert "Shaded" not in json.dumps(spec["title"])


def _regimes(rows: list[tuple[int | None, int, int, str]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows, schema={"rank": pl.Int64, "a": pl.Int64, "b": pl.Int64, "regime": pl.String}, orient="row"
    )
    return frame.select("rank", "regime", start_ns=START + pl.col("a") * MS, end_ns=START + pl.col("b") * MS)


def test_ranks_in_other_regimes_have_their_own_strips() -> None:
    """Where one rank pages and the other does not, each has a strip; where they are alike the worst one's is all."""
    worst = [(None, 0, 500, "normal"), (None, 500, 900, "paging")]
    paged = [(1, 0, 500, "normal"), (1, 500, 900, "paging")]
    calm = frames = {"iterations": chart_frames()["iterations"]}
    frames = calm | {"regimes": _regimes([*worst, (0, 0, 900, "normal"), *paged])}
    rows = _drawn(CHARTS["incident_timeline"].spec(frames), "whose", "regime")
    strips = {(row["whose"], row["regime"], row["t"], row["t2"]) for row in rows}
    assert strips == {
        ("regime, worst rank", "normal", 0.0, 0.5), ("regime, worst rank", "paging", 0.5, 0.9),
        ("regime, rank 0", "normal", 0.0, 0.9),
        ("regime, rank 1", "normal", 0.0, 0.5), ("regime, rank 1", "paging", 0.5, 0.9),
    }  # fmt: skip
    alike = calm | {"regimes": _regimes([*worst, *paged, *((0, *row[1:]) for row in paged)])}
    rows = _drawn(CHARTS["incident_timeline"].spec(alike), "whose", "regime")
    assert {row["whose"] for row in rows} == {"regime, worst rank"}


def test_the_worst_regime_of_a_column_is_drawn() -> None:
    """Among 4000 changes of regime the one millisecond of evaporation stays, and the cap is said."""
    names = ["normal", "queue_degraded"] * 2000
    names[1777] = "memory_evaporation"
    regimes = _regimes([(None, n, n + 1, name) for n, name in enumerate(names)])
    spec = CHARTS["incident_timeline"].spec({"iterations": chart_frames()["iterations"], "regimes": regimes})
    rows = _drawn(spec, "whose", "regime")
    assert [row["t"] for row in rows if row["regime"] == "memory evaporation"] == [1.777]
    assert len(rows) <= 700
    assert "regimes: the worst of each of 700 columns" in json.dumps(spec["title"])


@pytest.mark.slow
def test_marks_of_no_margin_are_seen_whole() -> None:
    """The lane of margins reaches a little below zero, its labels do not."""
    y = next(
        v for k, v in _walk(CHARTS["incident_timeline"].spec(chart_frames())) if k == "y" and v.get("field") == "margin"
    )
    assert y["scale"]["domain"][0] < 0
    assert min(y["axis"]["values"]) == 0
    assert max(y["axis"]["values"]) < y["scale"]["domain"][1]


def test_a_request_of_ten_thousand_steps_is_drawn_with_its_thinnest_margin() -> None:
    """Of more steps than pixels each column's thinnest margin is drawn, every tactic's dots reach as far, and it says
    so."""
    n, thin = 10_000, 6_543
    steps = pl.DataFrame({"step": pl.arange(0, n, eager=True)}).with_columns(
        req_id=pl.lit("r-17"), iteration="step", ts_ns=START + pl.col("step") * MS,
        batch_size=pl.when(pl.col("step") < 4_000).then(24).otherwise(12),
        algo_id=pl.when(pl.col("step") < 4_000).then(pl.lit("a")).otherwise(pl.lit("b")),
        token_id=pl.lit(7), margin=pl.when(pl.col("step") == thin).then(0.001).otherwise(0.5), role=pl.lit("request"),
    )  # fmt: skip
    its = steps.select(
        "iteration", "algo_id", "batch_size", start_ns="ts_ns", end_ns=pl.col("ts_ns") + MS, queue_ms=pl.lit(0.0)
    )
    spec = CHARTS["incident_timeline"].spec({"request_steps": steps, "iterations": its})
    assert max(len(rows) for rows in spec["datasets"].values()) <= 5_000
    margins = _drawn(spec, "step", "margin")
    assert len(margins) == 700
    assert [row["step"] for row in margins if row["margin"] == 0.001] == [thin]
    dots = {(row["tactic"], row["t"]) for row in _drawn(spec, "step", "tactic")}
    for tactic, first, last in (("tactic a", 0.0, 3.999), ("tactic b", 4.0, 9.999)):
        own = [t for name, t in dots if name == tactic]
        assert min(own) - first < 0.02  # a column is 14 ms wide
        assert last - max(own) < 0.02
    lit = {(row["batch_size"], row["t"]) for row in _drawn(spec, "step", "batch_size")}
    assert lit == {(24, 0.0), (12, 4.0), (12, 9.999)}
    assert "the request's margins: the smallest of each of 700 columns, 700 of 10000 drawn" in json.dumps(spec["title"])


def test_regimes_of_nine_ranks_that_change_all_the_time_are_drawn() -> None:
    """Nine strips of 4000 stretches each stay within what altair draws, the worst of each column kept."""
    names = ["normal", "queue_degraded"] * 2000
    rows = [(None, n, n + 1, name) for n, name in enumerate(names)]
    rows += [(rank, n, n + 1, "paging" if (n, rank) == (1777, 5) else names[n - rank // 4]) for rank in range(9)
             for n in range(4000)]  # fmt: skip
    regimes = _regimes([*rows, (9, 0, 4000, "normal")])
    spec = CHARTS["incident_timeline"].spec({"iterations": chart_frames()["iterations"], "regimes": regimes})
    assert max(len(rows) for rows in spec["datasets"].values()) <= 5_000
    paged = [(row["whose"], row["t"]) for row in _drawn(spec, "whose", "regime") if row["regime"] == "paging"]
    assert paged == [("regime, rank 5", 1.777)]


def test_a_tactic_is_drawn_from_its_own_iterations_on() -> None:
    """Another tactic after one iteration of 200 ms among those of 10 ms is drawn from where it began, not before."""
    its = pl.DataFrame(
        {"iteration": [0, 1, 2, 3, 4, 5], "start_ns": [START + at * MS for at in (0, 10, 20, 30, 230, 240)],
         "end_ns": [START + at * MS for at in (10, 20, 30, 230, 240, 250)], "algo_id": ["a", "a", "a", "a", "b", "b"]}
    )  # fmt: skip
    rows = _drawn(CHARTS["incident_timeline"].spec({"iterations": its}), "tactic", "share", "t", "t2")
    assert {(row["tactic"], row["t"], row["t2"], row["share"]) for row in rows} == {
        ("tactic a", 0.0, 0.23, 1.0), ("tactic b", 0.23, 0.25, 1.0),
    }  # fmt: skip


def test_of_many_iterations_a_few_share_a_column() -> None:
    """Of 1501 iterations three share a column: 1501 / 700, rounded up; the last holds the one that is left."""
    its = pl.DataFrame({"iteration": range(1501), "algo_id": [*["a", "b"] * 750, "a"]}).with_columns(
        start_ns=START + pl.col("iteration") * MS, end_ns=START + (pl.col("iteration") + 1) * MS
    )
    rows = _drawn(CHARTS["incident_timeline"].spec({"iterations": its}), "tactic", "share", "t", "t2")
    assert len({(row["t"], row["t2"]) for row in rows}) == 501
    first = {row["tactic"]: round(row["share"], 3) for row in rows if row["t"] == 0.0}
    assert first == {"tactic a": 0.667, "tactic b": 0.333}
    assert {(row["tactic"], row["t"], row["t2"]) for row in rows if row["t"] > 1.498} == {("tactic a", 1.5, 1.501)}
