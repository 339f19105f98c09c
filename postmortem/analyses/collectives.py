"""Every rank's collectives matched with the others', and every source's clock against the bundle's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.clocks import Segment, fit_clock
from postmortem.analyses.matching import number_calls
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.median_mad import NORMAL_CONSISTENCY, mad, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENT = ["replica", "comm", "seq", "op"]
CALLS = pl.Schema({
    "source_id": pl.Int32, "replica": pl.String, "rank": pl.Int32, "comm": pl.String, "seq": pl.Int64, "op": pl.String,
    "bytes": pl.Int64, "start_ns": pl.Int64, "end_ns": pl.Int64, "way": pl.String,
})  # fmt: skip
FITS = pl.Schema({
    "source_id": pl.Int32, "from_ns": pl.Int64, "at_ns": pl.Int64, "offset_ns": pl.Int64, "drift_ppm": pl.Float64,
    "uncertainty_ns": pl.Int64, "events": pl.Int64, "stepped_ns": pl.Int64, "shared": pl.String,
})  # fmt: skip


def match(records: pl.DataFrame) -> pl.DataFrame:
    """One row a rank's part in a collective (columns CALLS), of the best source that two ranks have.

    ``records``: columns of CALLS, ``track`` (what keeps the order of calls) and ``choice`` (1 = best).
    A call recorded twice counts once, the first. Calls without a number are matched by their common ends.
    """
    found = [pl.DataFrame(schema=CALLS)]
    known = records.drop_nulls("rank").sort("start_ns", "source_id", "rank")
    for _, rows in known.group_by("replica", maintain_order=True):
        several = rows.group_by("choice").agg(pl.col("rank").n_unique()).filter(pl.col("rank") > 1)
        if several.is_empty():
            continue
        best = rows.filter(pl.col("choice") == several["choice"].min())
        numbered = best.filter(pl.col("seq").is_not_null()).unique([*EVENT, "rank"], keep="first", maintain_order=True)
        loose = best.filter(pl.col("seq").is_null())
        found.append(numbered.select(*CALLS).cast(CALLS))
        for _, part in loose.group_by("comm", maintain_order=True):
            found.append(_number(part).select(*CALLS).cast(CALLS))
    return pl.concat(found)


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
    told = {c: t["comm"][0] or _stream(t) for c, t in leaders.items()}
    out = [
        track.with_columns(seq=pl.Series(number, dtype=pl.Int64), comm=pl.lit(told[int(comm[0])])).with_columns(
            seq=pl.when(pl.col("seq") >= 0).then("seq")
        )
        for track, (comm, number) in zip(tracks, numbers, strict=True)
    ]
    return pl.concat(out)


def _stream(track: pl.DataFrame) -> str:
    return f"rank {track['rank'][0]} {track['track'][0]}" if track["track"][0] else ""


def clocks(calls: pl.DataFrame, laps: pl.DataFrame) -> pl.DataFrame:
    """One row a source and stretch in which its clock ran evenly (columns FITS).

    From the ends of collectives that sources share: all ranks leave together. Each replica's sources are
    held against the one with most calls (through others, where they share none with it); the bundle's
    clock is then the median of theirs. A source that shares no collective is held against the s records,
    by the iterations (``laps``: source_id, start_ns, told_ns) that both have.
    """
    rows: list[dict[str, object]] = []
    placed: set[int] = set()
    matched = calls.drop_nulls("seq")
    for _, part in matched.group_by("replica", maintain_order=True):
        fits = _of_replica(part)
        placed.update(fits)
        rows += [
            row
            for source, segments in sorted(fits.items())
            for row in _rows(source, segments, "the common end of {} collectives")
        ]
    for (source,), part in laps.sort("source_id", "start_ns").group_by("source_id", maintain_order=True):
        if source in placed:
            continue
        t = part["start_ns"].to_numpy()
        segments = fit_clock(t, part["told_ns"].to_numpy() - t)
        # Fewer events than a median needs show no spread of their own.
        if part.height >= SHORTEST:
            rows += _rows(
                int(str(source)), [(s, s.spread_ns + s.slack_ns) for s in segments], "{} iterations of the s records"
            )
    return pl.DataFrame(rows, schema=FITS)


def _rows(source: int, segments: list[tuple[Segment, float]], shared: str) -> list[dict[str, object]]:
    return [
        {
            "source_id": source, "from_ns": s.from_ns, "at_ns": s.at_ns, "offset_ns": round(s.offset_ns),
            "drift_ppm": None if s.drift is None else s.drift * 1e6, "uncertainty_ns": int(np.ceil(unsure)),
            "events": s.events, "stepped_ns": round(s.stepped_ns), "shared": shared.format(s.events),
        }
        for s, unsure in segments
    ]  # fmt: skip


def _of_replica(calls: pl.DataFrame) -> dict[int, list[tuple[Segment, float]]]:
    """Each source's stretches and their uncertainty, of the sources that share collectives."""
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
    order = sorted(each, key=lambda s: (-each[s][0].size, s))
    fits: dict[int, list[Segment]] = {}
    aligned: dict[int, NDArray[np.int64]] = {}
    while len(fits) < len(each):
        best = (
            max(
                (
                    (np.intersect1d(each[s][0], each[p][0]).size, -order.index(s), s, p)
                    for s in each
                    if s not in fits
                    for p in fits
                ),
                default=(0, 0, order[0], -1),
            )
            if fits
            else (0, 0, order[0], -1)
        )
        shared, _, source, by = best
        if shared == 0:  # the first, or one that shares nothing with those so far: the head of another island
            source = next(s for s in order if s not in fits)
            t = each[source][1]
            fits[source] = [Segment(int(t[0]), int((t[0] + t[-1]) // 2), 0.0, None, 0.0, 0.0, t.size)]
        else:
            _, ours, theirs = np.intersect1d(each[source][0], each[by][0], return_indices=True)
            ours_sorted = np.argsort(each[source][1][ours], kind="stable")
            t = each[source][1][ours][ours_sorted]
            fits[source] = fit_clock(t, aligned[by][theirs][ours_sorted] - t)
        aligned[source] = apply(fits[source], each[source][1])
    level = median(np.array([_at_middle(s) for s in fits.values()]))
    pace = median(np.array([np.median([s.drift or 0.0 for s in f]) for f in fits.values()]))
    middle = int(np.median(np.concatenate([t for _, t in each.values()])))
    moved = {
        source: [s.less(level + pace * (s.at_ns - middle), pace) for s in segments] for source, segments in fits.items()
    }
    return _with_spread(events, each, moved)


def _at_middle(segments: list[Segment]) -> float:
    """The offset over most of the recording."""
    return max(segments, key=lambda s: s.events).offset_ns


def _with_spread(
    events: pl.DataFrame, each: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]], fits: dict[int, list[Segment]]
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
