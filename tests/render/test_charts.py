"""What single charts show: figures worked out by hand, extremes that stay, caps that are said."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import polars as pl
import pytest

from postmortem.render.charts import charts
from postmortem.render.frames import gather
from postmortem.render.phases import phase
from tests.render.samples import MS, START, chart_frames

CHARTS = charts()


def _rows(spec: dict[str, Any], *columns: str) -> list[dict[str, Any]]:
    """The rows of all data sets that have some columns."""
    return [row for data in spec["datasets"].values() for row in data if all(c in row for c in columns)]


def _collectives(waits_ms: list[float], last: list[int | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "comm": "0x1",
            "seq": range(len(waits_ms)),
            "op": "AllReduce",
            "first_arrival_ns": [START + n * MS for n in range(len(waits_ms))],
            "wait_ns": [int(w * MS) for w in waits_ms],
            "straggler_rank": last,
        }
    )


def _links(start: int, end: int) -> pl.DataFrame:
    return pl.DataFrame({"start_ns": [START + start * MS], "end_ns": [START + end * MS]})


def test_spread_is_the_share_that_waited_as_long() -> None:
    """Of waits 4, 1, 2 and 3 ms a quarter waited at least 4, half at least 3; who came last is counted a phase."""
    frames = {
        "collectives": _collectives([4, 1, 2, 3, 8, 8], [1, 0, 0, None, 1, 1]),
        "links": _links(4, 5),
    }
    spec = CHARTS["collective_spread"].spec(frames)
    calm = {row["wait"]: row["share"] for row in _rows(spec, "wait") if row["phase"] == "calm"}
    assert calm == {4: 0.25, 3: 0.5, 2: 0.75, 1: 1.0}
    last = {(row["phase"], row["rank"]): row["share"] for row in _rows(spec, "last")}
    assert last == {("calm", 0): 0.5, ("calm", 1): 0.25, ("pressured", 1): 1.0}
    says = CHARTS["collective_spread"].says(frames)
    assert says == (
        "Calm: median wait 2.5 ms, largest 4 ms of 4 collectives, rank 0 last in 50 %; "
        "pressured: median wait 8 ms, largest 8 ms of 2 collectives, rank 1 last in 100 %."
    )


@pytest.mark.parametrize("late", [0, 654_321, 999_999])
def test_the_longest_wait_in_a_million_is_a_point_of_the_spread(late: int) -> None:
    """The one late collective among a million is drawn with its own ids, in few points."""
    n = 1_000_000
    frame = pl.DataFrame({"seq": pl.arange(0, n, eager=True)}).with_columns(
        comm=pl.lit("0x1"), op=pl.lit("AllReduce"), first_arrival_ns=START + pl.col("seq") * 10_000,
        wait_ns=pl.when(pl.col("seq") == late).then(25 * MS).otherwise(2_000),
        straggler_rank=pl.when(pl.col("seq") == late).then(3).otherwise(0),
    )  # fmt: skip
    rows = _rows(CHARTS["collective_spread"].spec({"collectives": frame}), "wait")
    assert [(r["seq"], r["straggler_rank"], r["share"]) for r in rows if r["wait"] == 25] == [(late, 3, 1e-6)]
    assert len(rows) <= 160


def test_many_ranks_that_came_last_are_capped_and_it_is_said() -> None:
    """Of 40 ranks those that came last most often are drawn, and the chart says how many there are."""
    last = [r for r in range(40) for _ in range(40 - r)]
    spec = CHARTS["collective_spread"].spec({"collectives": _collectives([1.0] * len(last), list(last))})
    assert sorted({row["rank"] for row in _rows(spec, "last")}) == list(range(16))
    assert "the 16 ranks that came last most often, of 40" in json.dumps(spec["title"])


def test_phases_are_within_the_links_and_the_calm_window() -> None:
    """Without links all is calm; without a calm window all before them; else what lies in the window."""
    times = pl.DataFrame({"t": [START + n * MS for n in (0, 5, 10, 15, 20)]})
    none = pl.DataFrame(schema={"start_ns": pl.Int64, "end_ns": pl.Int64})

    def phases(links: pl.DataFrame, calm: pl.DataFrame) -> list[str | None]:
        return times.select(found=phase("t", links, calm))["found"].to_list()

    assert phases(none, none) == ["calm"] * 5
    assert phases(_links(10, 15), none) == ["calm", "calm", "pressured", "pressured", None]
    assert phases(_links(10, 15), _links(4, 6)) == [None, "calm", "pressured", "pressured", None]


def test_margins_have_the_noise_band_of_the_plans_that_ran() -> None:
    """The band reaches to the widest move between the two plans up to the flip, and to no other pair's."""
    frames = chart_frames()
    spec = CHARTS["margins"].spec(frames)
    assert [(row["low"], row["high"]) for row in _rows(spec, "low", "high")] == [(0.0, 0.02)]
    assert "0.02 logits, the noise" in json.dumps(spec["title"])
    assert "0.02, the noise" in CHARTS["margins"].says(frames)
    same = frames["request_steps"].with_columns(algo_id=pl.lit("gemm_tile8"))
    assert _rows(CHARTS["margins"].spec({**frames, "request_steps": same}), "low", "high") == []
    wider = frames["plan_noise_between"].with_columns(reference_tactic=pl.lit("another"), most_moved=pl.lit(9.0))
    spec = CHARTS["margins"].spec({**frames, "plan_noise_between": pl.concat([frames["plan_noise_between"], wider])})
    assert [row["high"] for row in _rows(spec, "low", "high")] == [0.02]


def test_clocks_without_a_known_uncertainty_are_marked() -> None:
    """A clock that nothing coincides with has no bar and another mark; the others reach to their uncertainty."""
    rows = _rows(CHARTS["clock_offsets"].spec(chart_frames()), "known")
    told = {row["source"]: (row["known"], row["low"], row["high"]) for row in rows}
    assert told == {
        "b/rank0.sqlite": ("known", -0.5, 3.5),
        "b/rank1.sqlite": ("known", -4.0, 1.0),
        "b/s.jsonl": ("not known", None, None),
    }


def test_clocks_are_capped_to_the_least_sure() -> None:
    """Of 100 sources those are drawn whose uncertainty is unknown or largest."""
    frame = pl.DataFrame(
        {
            "source": [f"s{n:03}" for n in range(100)],
            "offset_ns": [0] * 100,
            "uncertainty_ns": [None, *range(1, 100)],
        }
    )
    spec = CHARTS["clock_offsets"].spec({"clock_offsets": frame})
    assert {row["source"] for row in _rows(spec, "known")} == {"s000", *(f"s{n:03}" for n in range(69, 100))}
    assert "32 of 100" in json.dumps(spec["title"])


def test_regimes_are_divided_and_many_ranks_capped() -> None:
    """Each bar is a replica or rank; of many ranks the least normal are drawn and the replica always is."""
    rows = [("b", None, "normal", 0.9), ("b", None, "paging", 0.1)]
    rows += [x for r in range(64) for x in (("b", r, "normal", 1 - r / 100), ("b", r, "paging", r / 100))]
    frame = pl.DataFrame(rows, schema=["replica", "rank", "regime", "share"], orient="row")
    spec = CHARTS["regime_occupancy"].spec({"regime_occupancy": frame})
    drawn = {row["whose"] for row in _rows(spec, "whose")}
    assert drawn == {"replica b", *(f"replica b, rank {r}" for r in range(41, 64))}
    # Rank 10 is divided just as the replica.
    assert "24 of 64 rows, the least normal; 1 rank left out" in json.dumps(spec["title"])
    assert CHARTS["regime_occupancy"].says({"regime_occupancy": frame}) == "Replica b: normal 90 %, paging 10 %."


def test_residency_keeps_the_lowest_hit_rate() -> None:
    """Among 200 000 iterations the one in which data left the cache is drawn; stall shares add up to one a kernel."""
    n, bad = 200_000, 123_457
    frame = pl.DataFrame({"iteration": pl.arange(0, n, eager=True)}).with_columns(
        rank=pl.lit(2), l2_hit=pl.when(pl.col("iteration") == bad).then(11.0).otherwise(80.0), long_scoreboard=0.2
    )
    spec = CHARTS["residency"].spec({**chart_frames(), "rank_residency": frame})
    rows = _rows(spec, "l2_hit")
    assert [row["iteration"] for row in rows if row["l2_hit"] == 11.0] == [bad]
    assert len(rows) <= 200
    stalls = pl.DataFrame(_rows(spec, "kernel_name", "share"))
    assert stalls.group_by("kernel_name").agg(pl.col("share").sum())["share"].round(6).to_list() == [1.0, 1.0]
    assert "selected" not in stalls["reason"].to_list()


def _transfers(**changes: Any) -> dict[str, pl.DataFrame]:
    """Three sizes of one kind and regime, and their line: 10 µs (9 to 12) and 4 GB/s (2 to 8)."""
    key = {"comm": "", "op": "AllReduce", "ranks": 8, "regime": "normal"}
    sizes = [
        {**key, "bytes": size, "messages": 9, "median_us": us, "low_us": us / 2, "high_us": us * 2}
        | {"longest_us": us * 50, "longest_seq": size}
        for size, us in ((4000, 11.0), (40_000, 20.0), (400_000, 110.0))
    ]
    line = {"alpha_us": 10.0, "alpha_low_us": 9.0, "alpha_high_us": 12.0, "messages": 27}
    line |= {"beta_gbps": 4.0, "beta_low_gbps": 2.0, "beta_high_gbps": 8.0, **changes}
    return {"transfer_sizes": pl.DataFrame(sizes), "transfer_lines": pl.DataFrame([key | line])}


def test_the_line_is_alpha_plus_bytes_over_beta() -> None:
    """At 400 kB 4 GB/s add 100 µs to the 10 of the start; the band reaches from 9 + 50 to 12 + 200."""
    frames = _transfers()
    rows = _rows(CHARTS["transfer_lines"].spec(frames), "at", "low", "high")
    ends = {round(row["kib"] * 1024): (row["at"], row["low"], row["high"]) for row in (rows[0], rows[-1])}
    assert ends == {4000: pytest.approx((11, 9.5, 14)), 400_000: pytest.approx((110, 59, 212))}
    assert all(row["low"] < row["at"] < row["high"] for row in rows)
    assert CHARTS["transfer_lines"].says(frames) == (
        "AllReduce, 8 ranks, fabric normal: 10 (9 to 12) µs to start and 4 (2 to 8) GB/s, from 27 transfers."
    )
    assert CHARTS["transfer_lines"].says(_transfers(messages=20)).endswith("GB/s, from 20 of 27 transfers.")


def test_a_line_that_does_not_rise_or_begins_below_zero_is_drawn_where_it_can_be() -> None:
    """Without a bound on the bandwidth the line is flat; below zero, where no logarithm is, nothing is drawn."""
    flat = _transfers(beta_gbps=float("inf"), beta_high_gbps=float("inf"))
    rows = _rows(CHARTS["transfer_lines"].spec(flat), "at", "low", "high")
    assert {row["at"] for row in rows} == {10.0}
    assert "no bound (2 to no bound) GB/s" in CHARTS["transfer_lines"].says(flat)
    below = _transfers(alpha_us=-2.0, alpha_low_us=-5.0, alpha_high_us=1.0)
    rows = _rows(CHARTS["transfer_lines"].spec(below), "at", "low", "high")
    assert min(row["kib"] * 1024 for row in rows) > 8000
    assert all(0 < row["low"] <= row["at"] < row["high"] for row in rows)


def test_transfers_without_a_line_are_drawn_and_it_is_said() -> None:
    """The sizes are drawn, each with its longest transfer's number, and the chart says what a line wants."""
    spec = CHARTS["transfer_lines"].spec({"transfer_sizes": _transfers()["transfer_sizes"]})
    assert [(row["bytes"], row["longest_us"], row["longest_seq"]) for row in _rows(spec, "longest_seq")] == [
        (4000, 550.0, 4000), (40_000, 1000.0, 40_000), (400_000, 5500.0, 400_000),
    ]  # fmt: skip
    assert "it wants two sizes" in json.dumps(spec["title"])


def test_many_sizes_and_kinds_of_transfers_are_capped() -> None:
    """Of 1000 sizes those sent most often are drawn, the least and the largest too; of five kinds three; it is said."""
    one = pl.DataFrame({"bytes": range(1000, 2000)}).with_columns(
        messages=pl.col("bytes") % 500, median_us=10.0, low_us=9.0, high_us=11.0, longest_us=12.0, longest_seq=7,
        regime=pl.lit("normal"), comm=pl.lit(""), ranks=2,
    )  # fmt: skip
    frame = pl.concat(one.with_columns(op=pl.lit(f"Op{n}"), messages=pl.col("messages") * (n + 1)) for n in range(5))
    spec = CHARTS["transfer_lines"].spec({"transfer_sizes": frame})
    drawn = pl.DataFrame(_rows(spec, "longest_seq"))
    assert sorted(drawn["kind"].unique()) == ["Op2, 2 ranks", "Op3, 2 ranks", "Op4, 2 ranks"]
    often = {*range(1480, 1500), *range(1980, 2000)}
    assert set(drawn.filter(pl.col("kind") == "Op4, 2 ranks")["bytes"]) == often | {1000}
    assert "the 3 kinds sent most often, of 5" in json.dumps(spec["title"])
    assert "123 of 3000" in json.dumps(spec["title"])


def test_one_iteration_of_three_hundred_is_neither_none_nor_are_the_others_all() -> None:
    """299 of 300 iterations are 99.7 %, the other one 0.333 %: a share never reads as all, or as none, that is not."""
    its = pl.DataFrame({"algo_id": ["43"] * 299 + ["42"]}).with_columns(phase=pl.lit("calm"))
    assert CHARTS["tactics"].says({"tactic_iterations": its}) == (
        "Calm, 300 iterations: tactic 43 in 99.7 %, 42 in 0.333 %."
    )
    its = pl.DataFrame({"algo_id": ["43"] * 29_999 + ["42"]}).with_columns(phase=pl.lit("calm"))
    assert "tactic 43 in 99.997 %, 42 in 0.00333 %" in CHARTS["tactics"].says({"tactic_iterations": its})


@pytest.mark.slow
def test_only_a_threshold_told_from_chance_is_drawn() -> None:
    """Of thresholds with p 0.006, 0.3 and 0.4 the first is drawn, with its interval, and told; else that none is."""
    frames = chart_frames()
    spec = CHARTS["state_collapse"].spec(frames)
    assert [(row["threshold"], row["low"], row["high"]) for row in _rows(spec, "threshold")] == [(28.0, 24.0, 31.0)]
    assert CHARTS["state_collapse"].says(frames) == (
        "Beyond 28 ms in the queue (24 to 31) most steps of an iteration ran another plan in 90 % of iterations, "
        "else in 3 % (p = 0.006)."
    )
    chance = frames["state_collapse"].with_columns(p_value=pl.lit(0.06))
    spec = CHARTS["state_collapse"].spec({**frames, "state_collapse": chance})
    assert _rows(spec, "threshold") == []
    said = "No threshold is told from chance (least p = 0.06, corrected for all that was looked at)"
    assert said in json.dumps(spec["title"])


def test_one_load_is_no_range() -> None:
    """Where all of a point's iterations had one load, that load is told, not a range from it to itself."""
    row = {"load": "concurrency", "iterations": 9, "steps": 9, "flips": 0, "flip": 0.0, "churn": 1.0}
    curve = pl.DataFrame([row | {"load_from": 12.0, "load_to": 12.0}, row | {"load_from": 24.0, "load_to": 30.0}])
    assert "100 % of steps, at 12 requests at once" in CHARTS["state_collapse"].says({"load_curve": curve})
    curve = curve.with_columns(churn=pl.Series([0.5, 1.0]))
    assert "100 % of steps, at 24 to 30 requests at once" in CHARTS["state_collapse"].says({"load_curve": curve})


def test_unknown_plans_are_not_the_same_plans() -> None:
    """Where no plan is recorded, nothing is said of how many steps ran another; flips are drawn all the same."""
    row = {
        "load": "concurrency",
        "load_from": 12.0,
        "load_to": 12.0,
        "iterations": 9,
        "steps": 9,
        "flips": 0,
        "flip": 0.0,
    }
    ends = dict.fromkeys(("churn", "churn_low", "churn_high"), None) | {"flip_low": 0.0, "flip_high": 0.3}
    curve = pl.DataFrame([row | ends], schema=CHARTS["state_collapse"].wants["load_curve"])
    frames = chart_frames() | {"load_curve": curve}
    none = frames["state_collapse"].clear()
    said = CHARTS["state_collapse"].says(frames | {"state_collapse": none})
    assert "plan" not in said
    assert "no load is told from chance" in said.lower()
    spec = CHARTS["state_collapse"].spec(frames | {"state_collapse": none})
    assert [r["share"] for r in _rows(spec, "share", "steps")] == [0.0]
    known = {"load_curve": curve.with_columns(churn=0.0), "state_collapse": none}
    assert "none of 9 steps ran another plan" in CHARTS["state_collapse"].says(known)


def test_load_grows_to_the_right() -> None:
    """Free memory falls to the right, requests and waits grow; each row of the curve is a point of both outcomes."""
    frames = chart_frames()
    spec = CHARTS["state_collapse"].spec(frames)
    panels = [column["vconcat"][0]["layer"][-1]["encoding"]["x"] for column in spec["hconcat"]]
    assert [panel["scale"]["reverse"] for panel in panels] == [False, False, True]
    points = {(row["load_from"], row["share"]) for row in _rows(spec, "share", "steps")}
    for outcome in ("churn", "flip"):
        given = {(a, round(b, 6)) for a, b in frames["load_curve"].select("load_from", outcome).rows()}
        assert given <= points


def test_fragments_are_a_saw_tooth_and_what_ran_stands_on_it() -> None:
    """12 of 16 rows, 17 of 32; a point a number of tokens and phase, with its tactics."""
    tokens = [17, 17, 17, 12, 12, 17]
    frame = pl.DataFrame(
        {
            "iteration": range(6), "start_ns": [START + n * MS for n in range(6)], "tokens": tokens,
            "utilisation": [n / (16 if n <= 16 else 32) for n in tokens],
            "algo_id": ["43", "43", "44", "42", "42", "43"],
        }
    )  # fmt: skip
    frames = {"fragment_iterations": frame, "links": _links(3, 5)}
    spec = CHARTS["fragment_utilisation"].spec(frames)
    line = {row["tokens"]: row["fills"] for row in _rows(spec, "fills")}
    assert (line[1], line[12], line[16], line[17], line[32]) == (0.0625, 0.75, 1.0, 0.53125, 1.0)
    points = {(row["phase"], row["tokens"]): row for row in _rows(spec, "utilisation", "share")}
    assert {key: (row["iterations"], row["tactics"]) for key, row in points.items()} == {
        ("calm", 17): (3, "43, 44"), ("pressured", 12): (2, "42"), ("pressured", 17): (1, "43"),
    }  # fmt: skip
    assert all(row["utilisation"] == line[row["tokens"]] for row in points.values())
    assert CHARTS["fragment_utilisation"].says(frames) == (
        "Calm: 53.1 % of the rows hold a token in the mean of 3 iterations, most often 17 tokens (100 % of them, "
        "53.1 % full, tactic 43, 44); pressured: 67.7 % of the rows hold a token in the mean of 3 iterations, most "
        "often 12 tokens (66.7 % of them, 75 % full, tactic 42)."
    )


def test_names_of_tactics_do_not_lie_on_one_another() -> None:
    """Of 40 numbers of tokens whose tactics have long names few are named, the most frequent first, none on another."""
    tokens = [n for n in range(1, 41) for _ in range(3 if n == 30 else 1)]
    frame = pl.DataFrame({"iteration": range(len(tokens)), "tokens": tokens}).with_columns(
        start_ns=START + pl.col("iteration") * MS, utilisation=pl.lit(0.75), algo_id=pl.lit("gemm" * 20)
    )
    spec = CHARTS["fragment_utilisation"].spec({"fragment_iterations": frame})
    named = sorted(row["tokens"] for row in _rows(spec, "says"))
    # The axis ends at 48 tokens, of 1040 pixels; a name has 160 at most, 7.4 tokens, and its point.
    assert 30 in named
    assert all(b - a >= 7.4 for a, b in itertools.pairwise(named))
    assert len(named) >= 3


LONG = "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize{}x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel"


@pytest.mark.parametrize(("name", "room"), [("tactics", 28), ("incident_timeline", 24)])
def test_kernels_that_begin_alike_are_told_apart(name: str, room: int) -> None:
    """Two tiles of one kernel: what the axis has room for must not be the same for both; the data keep the names."""
    frames = chart_frames(450)
    wide, narrow = LONG.format(128), LONG.format(64)
    for which in ("iterations", "tactic_iterations"):
        named = pl.when(pl.col("iteration") < 300).then(pl.lit(wide)).otherwise(pl.lit(narrow))
        frames[which] = frames[which].with_columns(algo_id=named)
    spec = CHARTS[name].spec(frames)
    assert {row["tactic"].removeprefix("tactic ") for row in _rows(spec, "tactic", "share")} == {wide, narrow}
    [changes] = set(re.findall(r'"labelExpr": "(.*?)\[datum', json.dumps(spec)))
    written = json.loads(json.loads(f'"{changes}"'))
    assert len(written) == 2
    for key, text in written.items():
        assert ("tilesize128" if "tilesize128" in key else "tilesize64x") in text[:room]


@pytest.mark.slow
def test_charts_of_the_tactics_count_the_same_calm(shipped: dict[str, Any]) -> None:
    """Both count the replica's own calm window: iterations 0 to 225 of replica b, in which rank 1 was not late yet."""
    catalogue, chain = shipped["straggler"].catalogue, shipped["straggler"].chain("b-107")
    frames = gather(catalogue, chain, drawn=(CHARTS["tactics"], CHARTS["fragment_utilisation"])).frames
    assert "Calm, 226 iterations: " in CHARTS["tactics"].says(frames)
    assert "in the mean of 226 iterations" in CHARTS["fragment_utilisation"].says(frames)


def test_the_last_iteration_is_drawn_to_its_end() -> None:
    """Steps that stop where it begins do not show it: the lanes of one iteration, here of 8 ms, would be empty."""
    frames = chart_frames(1)
    for name in ("iterations", "rank_iterations"):
        frames[name] = frames[name].with_columns(start_ns=pl.lit(START), end_ns=pl.lit(START + 8 * MS))
    spec = CHARTS["incident_timeline"].spec(frames)
    for column in ("ms", "batch_size", "compute", "left_mb"):
        lanes = [d for d in spec["datasets"].values() if d and {"t", column} <= set(d[0]) and "step" not in d[0]]
        assert any({row["t"] for row in rows} == {0.0, 0.008} for rows in lanes), column


def test_a_request_that_kept_its_tokens_is_drawn_on_its_own_replica(shipped: dict[str, Any]) -> None:
    """No link and no flip name a replica: b-107 ran on replica b, and a stands first."""
    incident = shipped["memory_evaporation"]
    chain = incident.chain("b-107")
    assert (chain.verdict.value, chain.flip, chain.links) == ("no_divergence", None, ())
    frames = gather(incident.catalogue, chain, drawn=(CHARTS["incident_timeline"],)).frames
    assert frames["iterations"]["replica"].unique().to_list() == ["b"]


@pytest.mark.slow
def test_a_chart_is_saved_as_svg_and_png(shipped: dict[str, Any], tmp_path: Any) -> None:
    """A chart of a recorded incident saves as SVG and as PNG."""
    chart = shipped["straggler"].chart("rank_lateness", "b-107")
    chart.save(tmp_path / "chart.svg")
    chart.save(tmp_path / "chart.png")
    svg = (tmp_path / "chart.svg").read_text("utf-8")
    assert svg.startswith("<svg")
    assert "lateness (ms)" in svg
    assert (tmp_path / "chart.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
