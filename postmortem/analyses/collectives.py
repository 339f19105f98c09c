"""Every rank's collectives matched with the others', and every source's clock against the bundle's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.clocks import Segment, fit_clock
from postmortem.analyses.matching import number_calls
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.median_mad import NORMAL_CONSISTENCY, mad, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ends = dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]  # by source: which events or moments, and when

HEADS = 4  # clocks tried in turn for one that runs evenly: three nodes out of an island do not all step in one capture
EVENT = ["replica", "comm", "seq", "op"]
NAME = pl.Categorical()  # a few texts, millions of times
CALLS = pl.Schema({
    "source_id": pl.Int32(), "replica": NAME, "rank": pl.Int32(), "comm": NAME, "seq": pl.Int64(), "op": NAME,
    "bytes": pl.Int64(), "start_ns": pl.Int64(), "end_ns": pl.Int64(), "way": NAME,
})  # fmt: skip
RECORDS = pl.Schema([*CALLS.items(), ("track", NAME), ("choice", pl.Int8())])
LAPS = pl.Schema({
    "source_id": pl.Int32, "start_ns": pl.Int64, "record_id": pl.Int32, "told_ns": pl.Int64, "own": pl.Boolean,
})  # fmt: skip
FITS = pl.Schema({
    "source_id": pl.Int32, "from_ns": pl.Int64, "at_ns": pl.Int64, "offset_ns": pl.Int64, "drift_ppm": pl.Float64,
    "uncertainty_ns": pl.Int64, "events": pl.Int64, "stepped_ns": pl.Int64, "shared": pl.String,
})  # fmt: skip


def match(records: pl.DataFrame) -> pl.DataFrame:
    """One row a rank's part in a collective (columns CALLS), of the best source that two ranks have.

    ``records``: columns of CALLS, ``track`` (what keeps the order of calls) and ``choice`` (1 = best).
    A call recorded twice counts once, the first. Calls without a number are matched by their common ends, and so are
    those of a communicator whose numbers begin again: of two engines, one after the other.
    """
    # Texts become numbers first, and every step gives up the one before: there may be millions of calls.
    records = records.cast(RECORDS)
    several = records.group_by("replica", "choice").agg(pl.col("rank").drop_nulls().n_unique())
    best = several.filter(pl.col("rank") > 1).group_by("replica").agg(pl.col("choice").min())
    records = records.drop_nulls("rank").join(best, on=["replica", "choice"], how="semi", nulls_equal=True)
    records = records.drop("choice").sort("start_ns", "source_id", "rank")
    again = _begun_again(records)
    if not again.is_empty():
        records = records.join(again, on=["replica", "comm"], how="left", nulls_equal=True, maintain_order="left")
        records = records.with_columns(seq=pl.when(pl.col("again").is_null()).then("seq")).drop("again")
    numbered = records.filter(pl.col("seq").is_not_null()).unique([*EVENT, "rank"], keep="first", maintain_order=True)
    found = [numbered.select(*CALLS)]
    loose = records.filter(pl.col("seq").is_null())
    del records, numbered
    for _, part in loose.group_by("replica", "comm", maintain_order=True):
        found.append(_number(part))
    return pl.concat(found)


def _begun_again(records: pl.DataFrame) -> pl.DataFrame:
    """Communicators in which a rank recorded its smallest number after its middle one."""
    key = ["replica", "comm", "op", "rank"]
    told = (
        records.filter(pl.col("seq").is_not_null())
        .group_by(*key, "seq")
        .agg(first=pl.col("start_ns").min(), last=pl.col("start_ns").max())
    )
    middle = pl.col("first").get(pl.len() // 2)
    ranks = told.sort("seq").group_by(key).agg(again=(pl.len() > 1) & (pl.col("last").first() > middle))
    return ranks.filter("again").select("replica", "comm", "again").unique()


def _number(calls: pl.DataFrame) -> pl.DataFrame:
    """Calls of one replica (and of one named communicator, where they are named), with their numbers."""
    key = ["source_id", "rank", "track"]
    tracks = calls.sort("end_ns").partition_by(key, maintain_order=True)
    numbers = number_calls(
        [t["end_ns"].to_numpy() for t in tracks], [t["rank"][0] for t in tracks], [t["source_id"][0] for t in tracks]
    )
    leaders: dict[int, pl.DataFrame] = {}
    for track, (comm, _) in zip(tracks, numbers, strict=True):
        if comm[0] not in leaders or track.height > leaders[comm[0]].height:
            leaders[int(comm[0])] = track
    # Two that are called alike (of two sessions, or of two servers that nothing tells apart) stay two.
    names = Counter[str]()
    told = {}
    for c, t in leaders.items():
        name = t["comm"][0] or _stream(t)
        names[name] += 1
        told[c] = name if names[name] == 1 else f"{name} ({names[name]})"
    for i, (comm, number) in enumerate(numbers):
        seq = pl.Series("seq", number, dtype=pl.Int64)
        named = tracks[i].with_columns(comm=pl.lit(told[int(comm[0])]).cast(NAME), seq=pl.when(seq >= 0).then(seq))
        tracks[i] = named.select(*CALLS)
    return pl.concat(tracks)


def _stream(track: pl.DataFrame) -> str:
    return f"rank {track['rank'][0]} {track['track'][0]}" if track["track"][0] else ""


def clocks(calls: pl.DataFrame, laps: pl.DataFrame) -> pl.DataFrame:
    """One row a source and stretch in which its clock ran evenly (columns FITS).

    From the ends of collectives that sources share: all ranks leave together. Each replica's sources are
    held against the one with most calls (through others, where they share none with it). The bundle's clock
    is that of the s records, where they tell of iterations that these sources have too (``laps``: LAPS); else
    the median of theirs. A source that shares no collective is held against the s records alone.
    """
    rows: list[dict[str, object]] = []
    fits: dict[int, list[Segment]] = {}
    own = (
        laps.filter(pl.col("own"))
        .group_by("source_id", "start_ns")
        .agg(pl.col("told_ns").min())
        .sort("source_id", "start_ns")
    )
    told = {
        int(str(source)): (part["start_ns"].to_numpy(), part["told_ns"].to_numpy())
        for (source,), part in own.group_by("source_id", maintain_order=True)
    }
    for _, part in calls.drop_nulls("seq").group_by("replica", maintain_order=True):
        for source, segments in sorted(_of_replica(part, told).items()):
            fits[source] = [s for s, _, _ in segments]
            rows += _rows(source, segments)
    for source, (t, when) in told.items():
        if source in fits:
            continue
        even = fit_clock(t, when - t)
        # Fewer events than a median needs show no spread of their own.
        if t.size >= SHORTEST:
            fits[source] = even
            known = [(s, s.spread_ns + s.slack_ns, f"{s.events} iterations of the s records") for s in even]
            rows += _rows(source, known)
    return pl.DataFrame(rows + _of_records(laps, fits), schema=FITS)


def _of_records(laps: pl.DataFrame, fits: dict[int, list[Segment]]) -> list[dict[str, object]]:
    """Rows of the s records' sources: they keep their times, and are as sure as iterations begin alike elsewhere."""
    rows = []
    for (record,), part in laps.sort("record_id", "told_ns").group_by("record_id", maintain_order=True):
        apart = [
            each["told_ns"].to_numpy() - apply(fits[int(str(source))], each["start_ns"].to_numpy())
            for (source,), each in part.group_by("source_id", maintain_order=True)
            if source in fits
        ]
        d = np.concatenate(apart).astype(np.float64) if apart else np.empty(0)
        if d.size < SHORTEST:
            continue
        first, last = int(part["told_ns"][0]), int(part["told_ns"][-1])
        even = Segment(first, (first + last) // 2, 0.0, None, _spread(d), 0.0, d.size)
        said = f"{d.size} iterations that other sources have"
        rows += _rows(int(str(record)), [(even, abs(median(d)) + even.spread_ns, said)])
    return rows


def _rows(source: int, segments: list[tuple[Segment, float, str]]) -> list[dict[str, object]]:
    return [
        {
            "source_id": source, "from_ns": s.from_ns, "at_ns": s.at_ns, "offset_ns": round(s.offset_ns),
            "drift_ppm": None if s.drift is None else s.drift * 1e6, "uncertainty_ns": int(np.ceil(unsure)),
            "events": s.events, "stepped_ns": round(s.stepped_ns), "shared": shared,
        }
        for s, unsure, shared in segments
    ]  # fmt: skip


def _of_replica(calls: pl.DataFrame, told: Ends) -> dict[int, list[tuple[Segment, float, str]]]:
    """Each source's stretches, their uncertainty and what they are known by, of the sources that share collectives."""
    events = calls.with_columns(event=pl.struct(EVENT).rank("dense").cast(pl.Int64)).sort("end_ns")
    # Several ranks of one source share its clock: the first of them speaks for it.
    events = events.unique(["event", "source_id"], keep="first", maintain_order=True)
    stay = (
        events.group_by("event")
        .agg(stay=(pl.col("end_ns") - pl.col("start_ns")).min(), sources=pl.len())
        .filter(pl.col("sources") > 1)
    )
    events = events.join(stay, on="event", how="inner", maintain_order="left")
    if events.is_empty():
        return {}
    each = {
        int(source): (part["event"].to_numpy(), part["end_ns"].to_numpy())
        for (source,), part in events.group_by("source_id", maintain_order=True)
    }
    found: dict[int, list[tuple[Segment, float, str]]] = {}
    stays = np.zeros(1 + max(int(e.max()) for e, _ in each.values()))
    stays[events["event"].to_numpy()] = events["stay"].to_numpy()
    islands = _islands(each, stays)
    for fits in islands:
        inside = {source: each[source] for source in fits}
        for source, segments in _with_spread(events, inside, _on_the_bundle_clock(fits, inside, told)).items():
            only = f", with {len(fits) - 1} of {len(each) - 1} other sources" if len(islands) > 1 else ""
            found[source] = [(s, unsure, f"the common end of {s.events} collectives{only}") for s, unsure in segments]
    return found


def _islands(each: Ends, stays: NDArray[np.float64]) -> list[dict[int, list[Segment]]]:
    """Sources that share collectives, directly or through others, each held against the island's largest.

    A step that most of an island's clocks seem to make is made by the one that they are held against:
    the next largest then takes its place. Of two clocks nothing tells which one stepped.
    """
    islands = _held(each, stays, sorted(each, key=lambda s: (-each[s][0].size, s)))
    for number, island in enumerate(islands):
        best, order = island, list(island)
        for head in order[1:HEADS]:
            if _steps(best) <= len(best) / 2:
                break
            inside = {source: each[source] for source in order}
            (other,) = _held(inside, stays, [head, *(s for s in order if s != head)])
            best = min(best, other, key=_steps)
        islands[number] = best
    return islands


def _steps(island: dict[int, list[Segment]]) -> int:
    """How many clocks of an island stepped."""
    return sum(len(segments) > 1 for segments in island.values())


def _held(each: Ends, stays: NDArray[np.float64], order: list[int]) -> list[dict[int, list[Segment]]]:
    """Islands, the sources of each held against its first in ``order``, or against the one placed before that they
    share most with. ``stays``: by event, the shortest of a rank.

    Who is held against one that hangs on few events is as unsure as that one is, however many they share.
    """
    islands: list[dict[int, list[Segment]]] = []
    aligned: dict[int, NDArray[np.int64]] = {}
    place = {source: n for n, source in enumerate(order)}
    best: dict[int, tuple[int, int]] = dict.fromkeys(order, (0, -1))  # most events shared, and with which
    position = np.full(stays.size, -1)
    loose = dict.fromkeys(order, 0.0)
    while best:
        source = max(best, key=lambda s: (best[s][0], -place[s]))
        shared, by = best.pop(source)
        which, t = each[source]
        if shared == 0:  # it shares nothing with those so far
            islands.append({source: [Segment(int(t[0]), int((t[0] + t[-1]) // 2), 0.0, None, 0.0, 0.0, t.size)]})
        else:
            position[each[by][0]] = np.arange(each[by][0].size)
            theirs = position[which]
            both = theirs >= 0
            fits = fit_clock(t[both], aligned[by][theirs[both]] - t[both])
            islands[-1][source] = [replace(s, slack_ns=s.slack_ns + loose[by]) for s in fits]
            loose[source] = loose[by] + (float(stays[which[both]].max()) if shared < SHORTEST else 0.0)
            position[:] = -1
        aligned[source] = apply(islands[-1][source], t)
        position[which] = 0
        for other in best:
            together = int((position[each[other][0]] >= 0).sum())
            if together > best[other][0]:
                best[other] = (together, source)
        position[:] = -1
    return islands


def _on_the_bundle_clock(fits: dict[int, list[Segment]], each: Ends, told: Ends) -> dict[int, list[Segment]]:
    """The same stretches against the bundle's clock."""
    level = median(np.array([_at_middle(s) for s in fits.values()]))
    pace = median(np.array([np.median([s.drift or 0.0 for s in f]) for f in fits.values()]))
    middle = int(np.median(np.concatenate([t for _, t in each.values()])))
    moved = {
        source: [s.less(level + pace * (s.at_ns - middle), pace) for s in segments] for source, segments in fits.items()
    }
    apart = [told[s][1] - apply(moved[s], told[s][0]) for s in sorted(moved) if s in told]
    if not apart or sum(a.size for a in apart) < SHORTEST:
        return moved
    behind = median(np.concatenate(apart).astype(np.float64))
    return {source: [s.less(-behind, 0.0) for s in segments] for source, segments in moved.items()}


def _at_middle(segments: list[Segment]) -> float:
    """The offset over most of the recording."""
    return max(segments, key=lambda s: s.events).offset_ns


def _with_spread(
    events: pl.DataFrame, each: Ends, fits: dict[int, list[Segment]]
) -> dict[int, list[tuple[Segment, float]]]:
    """How far a source's aligned ends lie from their collectives' common (median) end: 95 % within the uncertainty."""
    long = pl.concat(
        [
            pl.DataFrame({"source_id": np.full(e.size, s), "event": e, "end_ns": t, "aligned": apply(fits[s], t)})
            for s, (e, t) in each.items()
        ]
    )
    # Distances from the first are taken before the median: epoch times lose their last bits as floats.
    long = long.with_columns(off=pl.col("aligned") - pl.col("aligned").min().over("event")).with_columns(
        off=pl.col("off") - pl.col("off").median().over("event")
    )
    stays = events.select("event", "stay").unique("event")
    long = long.join(stays, on="event", how="left")
    found = {}
    for (source,), part in long.group_by("source_id", maintain_order=True):
        segments = fits[int(str(source))]
        t, off, stay = (part[c].to_numpy() for c in ("end_ns", "off", "stay"))
        which = np.searchsorted([s.from_ns for s in segments], t, side="right") - 1
        found[int(str(source))] = [
            (
                s,
                max(
                    _spread(off[which == i]) + s.slack_ns, float(stay[which == i].max()) if s.events < SHORTEST else 0.0
                ),
            )
            for i, s in enumerate(segments)
        ]
    return found


def _spread(off: NDArray[np.float64]) -> float:
    return 2 * NORMAL_CONSISTENCY * mad(off) if off.size else 0.0


def apply(segments: list[Segment], times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """A source's times on the clock that its stretches lead to, ns."""
    which = np.maximum(0, np.searchsorted([s.from_ns for s in segments], times_ns, side="right") - 1)
    at = np.array([s.at_ns for s in segments])[which]
    offset = np.array([s.offset_ns for s in segments])[which]
    drift = np.array([s.drift or 0.0 for s in segments])[which]
    moved: NDArray[np.int64] = times_ns + np.round(offset + drift * (times_ns - at)).astype(np.int64)
    return moved
