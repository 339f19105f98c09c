"""A root cause that one rank's own record shows: something rose on it while it was late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.association import rises_together
from postmortem.analyses.stats.intervals import median_effect
from postmortem.base.units import number, percent, with_unit
from postmortem.base.window import Window
from postmortem.chain.grade import HALF, grade
from postmortem.chain.kind import Found, Outcome, RuledOut, Unseen
from postmortem.chain.model import Evidence, Link, Missing, Test
from postmortem.chain.tests_of import counterfactual, mechanism, order, specificity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case


@dataclass(frozen=True)
class Signal:
    """What rises: ``value`` is an expression over the columns of ``query``, ``activity`` the NVTX kind of its ranges.

    ``says`` is the link's sentence; it may name {who}, {now} and {calm}.
    """

    kind: str
    noun: str
    says: str
    unit: str
    column: str
    value: pl.Expr
    activity: str | None
    query: str = "rank_state"


def look(case: Case, effect: Link | None, signal: Signal) -> Outcome:
    """The signal upstream of a late rank, of a stretch, or of another precision."""
    if effect is None:
        return RuledOut("there is no effect")
    if "precision" in effect.facts:
        return at_the_plan(case, effect, signal)
    return on_late_rank(case, effect, signal)


def values(case: Case, signal: Signal) -> pl.DataFrame:
    """The signal's query with its value as a column, where it was recorded."""
    if not all(case.catalogue.filled(table) for table, _ in case.catalogue.describe(signal.query).needs):
        return pl.DataFrame(schema={"rank": pl.Int64, "iteration": pl.Int64, "signal": pl.Float64})
    rows = case.frame(signal.query, replica=case.replica)
    return rows.with_columns(signal.value.cast(pl.Float64).alias("signal")).filter(pl.col("signal").is_not_null())


def traced(case: Case, signal: Signal) -> tuple[Signal, pl.DataFrame]:
    """The signal by its own ranges, for ranks that have exports and no such column: ms an iteration, 0 without one."""
    says = f"{{who}} spent {{now}} ms an iteration in {signal.noun}, {{calm}} when calm"
    by_time = replace(signal, unit="ms", says=says, column="")
    busy = case.frame("rank_activity", kind=signal.activity, replica=case.replica)
    laps = case.frame("rank_iterations", replica=case.replica).filter(pl.col("source") != "s records")
    rows = laps.select("rank", "iteration").join(busy, on=["rank", "iteration"], how="left")
    return by_time, rows.with_columns(signal=pl.col("busy_ns").fill_null(0) / 1e6) if busy.height else laps.clear()


def on_late_rank(case: Case, late: Link, signal: Signal) -> Outcome:
    """The signal on the late rank against its calm iterations, beyond what it rose by on the other ranks.

    Where none is late: what rose on every rank alike, or, where no rank made records, the engine's own view.
    """
    rank, replica = late.rank, case.replica
    rows = values(case, signal)
    who = f"rank {rank}" if rank is not None else "the engine"
    if rank is None and (ranks := rows["rank"].drop_nulls().n_unique()):
        if signal.query != "rank_state":  # what is told of one GPU's kernels by their own usual
            return RuledOut("no single rank is late: the ranks stretched alike")
        if case.rank_times is not None and (case.rank_times.absent or ranks < len(case.rank_times.ranks)):
            return Unseen(f"{signal.noun} on every rank", f"{signal.column} in the s records of every rank")
        rows, who = _on_every_rank(rows), "every rank"
    window, calm = Window(*late.facts["window"]), Window(*late.facts["calm"])
    mine = rows.filter(pl.col("rank").eq_missing(rank))
    if mine.is_empty() and signal.activity is not None and rank is not None:
        by_time, ranges = traced(case, signal)
        if ranges.height:
            signal, rows = by_time, ranges
            mine = rows.filter(pl.col("rank").eq_missing(rank))
    record = signal.column + (" in the s records of every rank" if signal.query == "rank_state" else "")
    if mine.is_empty():
        return Unseen(f"{signal.noun} on {who}", record)
    now, before = _inside(mine, window), _inside(mine, calm)
    if not now.height or not before.height:
        return Unseen(
            f"{signal.noun} on {who} before and while it was late",
            f"{signal.column} in every iteration's s record",
        )
    effect, low, high = median_effect(now["signal"].to_numpy(), before["signal"].to_numpy(), "difference")
    level, calm_level = float(np.median(now["signal"])), float(np.median(before["signal"]))
    levels = f"{number(level)} {signal.unit} an iteration, {number(calm_level)} when calm"
    if not low > 0:
        return RuledOut(f"{who}, {signal.noun}: {levels} (difference {number(low)} to {number(high)})")
    peers = _peers(case, rows, rank)
    size: Test
    missing: tuple[Missing, ...] = ()
    if not peers:
        least = "that of them which had least" if who == "every rank" else "it is the only rank"
        size = Test("size", True, f"{levels}; {least}", effect, signal.unit, low, high)
    elif (lead := _lead_of_peers(rows, rank, peers, window, calm)) is None:
        size = Test("size", None, f"{levels}; not every other rank recorded its own", effect, signal.unit)
        record = record if signal.column else f"NVTX ranges of kind {signal.activity} of every rank"
        missing = (Missing(f"{signal.noun} on every other rank than {rank}", record),)
    else:
        beyond, low, high = median_effect(*lead, "difference")
        said = f"{levels}; {number(beyond)} beyond what it rose by on the other ranks"
        if not low > 0:
            return RuledOut(f"{who}, {signal.noun}: {said} ({number(low)} to {number(high)})")
        size = Test("size", True, said, beyond, signal.unit, low, high)
    correlation, p_value = _association(case, mine, late, window, calm)
    risen = mine.filter((pl.col("signal") > calm_level) & (pl.col("iteration") >= window.first))
    first = _begun(mine, int(risen["iteration"][0]), (level + calm_level) / 2)
    tests: tuple[Test, ...] = (
        order(first, _first_late(case, late, window, calm)),
        size,
        specificity(
            p_value,
            f"rank correlation {number(correlation)} between {signal.noun} and lateness, iteration by iteration",
        ),
        mechanism(True, f"{who}'s own record of the same iterations"),
    )
    share, timed = _time_taken(case, signal, late, window, calm)
    if timed is not None:
        tests += (timed,)
    start, end = case.times_of(Window(first, window.stop))
    busy = (
        f", {with_unit(late.facts['excess_ms'] * share, 'ms')} more an iteration"
        if share is not None and share > 0
        else ""
    )
    link = Link(
        kind=signal.kind,
        summary=signal.says.format(who=who, now=number(level), calm=number(calm_level)) + busy,
        grade=grade(tests),
        replica=replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=first,
        value=level,
        baseline=calm_level,
        unit=signal.unit,
        p_value=p_value,
        tests=tests,
        evidence=_evidence(case, signal, rank),
        facts={key: late.facts[key] for key in ("window", "calm", "excess_ms")},
    )
    return Found(link, share, missing=missing)


def at_the_plan(case: Case, effect: Link, signal: Signal) -> Outcome:
    """The signal in the iterations of another precision against those of the reference's, rank by rank.

    The rank to blame is the only one on which it rose; where it rose on several, none is.
    """
    other = effect.facts["precision"]
    rows = values(case, signal)
    ran = case.frame("iterations", replica=case.replica).select("iteration", pl.col("precision_path").alias("engine"))
    rows = rows.join(ran, on="iteration", how="left").with_columns(pl.coalesce("precision_path", "engine").alias("ran"))
    rows = rows.filter(pl.col("ran").is_not_null() & (pl.col("iteration") <= effect.iteration)).sort("iteration")
    risen: list[tuple[pl.DataFrame, tuple[float, float, float], float, float]] = []
    looked = 0
    for (_,), mine in rows.group_by("rank", maintain_order=True):
        now, calm = mine.filter(pl.col("ran") == other), mine.filter(pl.col("ran") != other)
        if not now.height or not calm.height:
            continue
        looked += 1
        effect_size = median_effect(now["signal"].to_numpy(), calm["signal"].to_numpy(), "difference")
        correlation, p_value = rises_together(mine["signal"].to_numpy(), (mine["ran"] == other).cast(float).to_numpy())
        if effect_size[1] > 0:
            risen.append((mine, effect_size, correlation, p_value))
    if not looked:
        return Unseen(
            f"{signal.noun} in iterations of either precision", f"{signal.column} and precision_path in s records"
        )
    if not risen:
        return RuledOut(f"{signal.noun}: no more in iterations that ran {other} than in the others")
    mine, (more, low, high), correlation, p_value = max(risen, key=lambda r: r[1][0])
    rank = mine["rank"][0] if len(risen) == 1 else None
    who = f"rank {rank}" if rank is not None else "the engine" if mine["rank"][0] is None else f"{len(risen)} ranks"
    now, calm = mine.filter(pl.col("ran") == other), mine.filter(pl.col("ran") != other)
    level, calm_level = float(np.median(now["signal"])), float(np.median(calm["signal"]))
    quiet = mine.filter(pl.col("signal") <= calm_level)
    kept = float((quiet["ran"] != other).mean() or 0.0) if quiet.height else float("nan")
    first = int(now.filter(pl.col("signal") > calm_level)["iteration"][0])
    at = mine.filter(pl.col("iteration") == effect.iteration)
    p_value = min(1.0, p_value * looked)
    tests: tuple[Test, ...] = (
        order(first, effect.iteration),
        Test("size", True, f"{number(level)} {signal.unit} where {other} ran, else {number(calm_level)}", more,
             signal.unit, low, high),
        specificity(p_value, f"rank correlation {number(correlation)} between {signal.noun} and precision {other}"
                             f"{f', corrected for {looked} ranks' if looked > 1 else ''}"),
        mechanism(bool((at["signal"] > calm_level).any()), f"{who}'s record of iteration {effect.iteration}"),
        Test("counterfactual", kept >= HALF, f"without it, {percent(kept)} of {quiet.height} iterations did not run "
                                             f"{other}", kept, "share"),
    )  # fmt: skip
    start, end = case.times_of(Window(first, (effect.iteration or first) + 1))
    link = Link(
        kind=signal.kind,
        summary=signal.says.format(who=who, now=number(level), calm=number(calm_level)),
        grade=grade(tests),
        replica=case.replica,
        rank=rank,
        start_ns=start,
        end_ns=end,
        iteration=first,
        value=level,
        baseline=calm_level,
        unit=signal.unit,
        p_value=p_value,
        tests=tests,
        evidence=(case.evidence(signal.query, replica=case.replica, rank=rank),),
        facts={"precision": other},
    )
    return Found(link, kept)


def _on_every_rank(rows: pl.DataFrame) -> pl.DataFrame:
    """What the rank that had least of it had, in iterations of which all ranks tell: it got longer, too."""
    least = rows.group_by("iteration").agg(pl.col("signal").min(), pl.col("rank").n_unique().alias("ranks"))
    whole = least.filter(pl.col("ranks") == rows["rank"].n_unique()).sort("iteration")
    return whole.select(pl.lit(None, pl.Int64).alias("rank"), "iteration", "signal")


def _peers(case: Case, rows: pl.DataFrame, rank: int | None) -> set[int | None]:
    """The other ranks that ran, whether or not they recorded the signal; none where all are looked at as one."""
    if rank is None:
        return set()
    ran = set(rows["rank"].to_list()) | set(case.rank_times.ranks if case.rank_times else ())
    return ran - {rank}


def _lead_of_peers(
    rows: pl.DataFrame, rank: int | None, peers: set[int | None], window: Window, calm: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The signal beyond the other ranks' median, in the late and in the calm iterations.

    None where a peer has no record in either: what it did is not known.
    """
    others = rows.filter(pl.col("rank") != rank)
    for part in (window, calm):
        if set(_inside(others, part)["rank"].to_list()) != peers:
            return None
    usual = others.group_by("iteration").agg(pl.col("signal").median().alias("usual"))
    lead = rows.filter(pl.col("rank") == rank).join(usual, on="iteration").sort("iteration")
    lead = lead.with_columns(pl.col("signal") - pl.col("usual"))
    now, before = (_inside(lead, part)["signal"].to_numpy() for part in (window, calm))
    return (now, before) if now.size and before.size else None


def _inside(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    return rows.filter((pl.col("iteration") >= window.first) & (pl.col("iteration") < window.stop))


def _begun(rows: pl.DataFrame, first: int, half: float) -> int:
    """Back from ``first`` while the signal was nearer to its level now than to its calm one, ``half`` between them.

    A cause may begin before it tells.
    """
    before = rows.filter(pl.col("iteration") < first).sort("iteration", descending=True)
    for iteration, risen in before.select("iteration", pl.col("signal") > half).iter_rows():
        if not risen:
            break
        first = int(iteration)
    return first


def _evidence(case: Case, signal: Signal, rank: int | None) -> tuple[Evidence, ...]:
    shown = [case.evidence(signal.query, replica=case.replica, rank=rank)] if signal.column else []
    if signal.activity is not None:
        shown.append(case.evidence("rank_activity", kind=signal.activity, replica=case.replica, rank=rank))
    return tuple(shown)


def _lead(case: Case, late: Link) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Iterations, and how much longer the rank computes in each than the others, ms; a lone one: its compute."""
    times = case.rank_times
    if late.rank is None:
        timed = case.iterations.filter(pl.col("gpu_ms").is_not_null())
        compute = timed["gpu_ms"] - timed["comm_ms"].fill_null(0.0)
        return timed["iteration"].to_numpy(), compute.to_numpy()
    if times is None or late.rank not in times.ranks:
        return None
    lead = times.compute_ms if len(times.ranks) == 1 else times.lead_ms
    return times.iterations, lead[:, times.ranks.index(late.rank)]


def _within(iterations: NDArray[np.int64], window: Window) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (iterations >= window.first) & (iterations < window.stop)
    return inside


def _first_late(case: Case, effect: Link, window: Window, calm: Window) -> int:
    """The first iteration of the window in which the rank was nearer to its late level than to its calm one.

    The window's own start is where a level changed best, and may lie an iteration or two off.
    """
    found = _lead(case, effect)
    if found is None:
        return window.first
    iterations, lead = found
    late = _within(iterations, window)
    half = (np.median(lead[_within(iterations, calm)]) + np.median(lead[late])) / 2
    beyond = iterations[late & (lead > half)]
    return int(beyond[0]) if beyond.size else window.first


def _association(case: Case, mine: pl.DataFrame, late: Link, window: Window, calm: Window) -> tuple[float, float]:
    """Correlation between the signal and the rank's lateness over the calm and the late iterations."""
    found = _lead(case, late)
    if found is None:
        return 0.0, 1.0
    iterations, lead = found
    rows = np.flatnonzero(_within(iterations, window) | _within(iterations, calm))
    lateness = pl.DataFrame({"iteration": iterations[rows], "lead": lead[rows]})
    both = mine.select("iteration", "signal").join(lateness, on="iteration").sort("iteration")
    return rises_together(both["signal"].to_numpy(), both["lead"].to_numpy())


def _time_taken(
    case: Case, signal: Signal, late: Link, window: Window, calm: Window
) -> tuple[float | None, Test | None]:
    """Share of the rank's lateness that its own ranges of this kind account for; None where none were traced."""
    if signal.activity is None:
        return None, None
    traced = case.frame("rank_activity", kind=signal.activity, replica=case.replica, rank=late.rank)
    if late.rank is None:  # of all ranks alike: the one that had least of it
        ranks = traced["rank"].n_unique()
        traced = traced.group_by("iteration").agg(pl.col("busy_ns").min(), pl.col("rank").n_unique().alias("ranks"))
        traced = traced.filter(pl.col("ranks") == ranks)
    if traced.is_empty():
        return None, None

    def busy(part: Window) -> NDArray[np.float64]:
        numbers = pl.DataFrame({"iteration": np.arange(part.first, part.stop)})
        joined = numbers.join(traced.select("iteration", "busy_ns"), on="iteration", how="left")
        return joined["busy_ns"].fill_null(0).to_numpy() / 1e6  # ns to ms

    more, low, high = median_effect(busy(window), busy(calm), "difference")
    excess = late.facts["excess_ms"]
    said = (
        f"{with_unit(more, 'ms')} more in {signal.noun} an iteration; "
        f"without it, of the rank's lateness of {with_unit(excess, 'ms')}"
    )
    return more / excess, counterfactual(more / excess, low / excess, high / excess, said)
