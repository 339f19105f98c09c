"""From a catalogue and a chain to the frames that the charts draw.

The charts stay pure; what they show of whom is settled here: the replica where the flip is,
the request beside its reference, the links as rows, the calm window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from postmortem.base.errors import NotInBundle
from postmortem.catalogue.catalogue import Catalogue
from postmortem.chain.model import Chain
from postmortem.findings import absent, ask

LINK_COLUMNS: Mapping[str, type[pl.DataType]] = {
    "n": pl.Int64,
    "kind": pl.String,
    "grade": pl.String,
    "replica": pl.String,
    "rank": pl.Int64,
    "iteration": pl.Int64,
    "start_ns": pl.Int64,
    "end_ns": pl.Int64,
    "summary": pl.String,
}

_NO_WINDOW = pl.DataFrame(schema={"start_ns": pl.Int64, "end_ns": pl.Int64})


@dataclass
class Gathered:
    """Frames by name, and for each that is not there the sentence that says why."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def fetched(catalogue: Catalogue, name: str, **params: Any) -> tuple[pl.DataFrame | None, str]:
    """A query's rows, or None and the sentence that says what would have to be recorded."""
    try:
        frame = ask(catalogue, name, **params)
    except NotInBundle as e:
        return None, str(e)
    if frame.is_empty():
        return None, "; ".join(absent(catalogue, name)) or f"{name}: no rows"
    return frame, ""


def links_frame(chain: Chain | None) -> pl.DataFrame:
    """The chain's links as rows, numbered from the cause to the flip."""
    links = chain.links if chain is not None else ()
    rows = [
        (
            n,
            link.kind,
            link.grade.value,
            link.replica,
            link.rank,
            link.iteration,
            link.start_ns,
            link.end_ns,
            link.summary,
        )
        for n, link in enumerate(links, 1)
    ]
    return pl.DataFrame(rows, schema=dict(LINK_COLUMNS), orient="row")


def gather(catalogue: Catalogue, chain: Chain | None, baseline: pl.DataFrame | None = None) -> Gathered:
    """All frames that the charts of one request want; without a chain those of the first replica."""
    out = Gathered()
    out.frames["links"] = links_frame(chain)
    if baseline is not None:
        out.frames["baseline"] = baseline
    iterations, why = fetched(catalogue, "iterations")
    replica = _replica(chain, iterations)
    for name in ("rank_iterations", "collectives", "regimes", "flips"):
        frame, why_not = fetched(catalogue, name)
        if frame is None:
            out.absent[name] = why_not
        else:
            out.frames[name] = _of(frame, replica)
    if iterations is None:
        out.absent["iterations"] = why
    else:
        out.frames["iterations"] = _of(iterations, replica)
        if baseline is None and chain is not None:
            out.frames["baseline"] = _baseline(chain, out.frames["iterations"])
        calm = out.frames.get("baseline", _NO_WINDOW)
        out.frames["tactic_iterations"] = _phases(iterations, chain, replica, calm)
    if chain is not None:
        _steps(catalogue, chain, out)
    return out


def _baseline(chain: Chain, iterations: pl.DataFrame) -> pl.DataFrame:
    """The calm window that the links were compared with, where one of them says it (``calm``: first, stop)."""
    for link in chain.links:
        calm = link.facts.get("calm")
        if isinstance(calm, list | tuple) and len(calm) == 2:
            inside = iterations.filter((pl.col("iteration") >= calm[0]) & (pl.col("iteration") < calm[1]))
            if inside.height:
                return inside.select(pl.col("start_ns").min(), pl.col("start_ns").max().alias("end_ns"))
    return _NO_WINDOW


def _replica(chain: Chain | None, iterations: pl.DataFrame | None) -> str | None:
    places: list[str | None] = []
    if chain is not None:
        places.append(chain.flip.replica if chain.flip is not None else None)
        places += [link.replica for link in chain.links]
    if iterations is not None:
        places += iterations["replica"].drop_nulls().unique().sort().to_list()
    return next((place for place in places if place is not None), None)


def _of(frame: pl.DataFrame, replica: str | None) -> pl.DataFrame:
    """The rows of one replica, and those of which no replica is known."""
    if replica is None or "replica" not in frame.columns:
        return frame
    return frame.filter(pl.col("replica").eq_missing(replica) | pl.col("replica").is_null())


def _phases(iterations: pl.DataFrame, chain: Chain | None, replica: str | None, calm: pl.DataFrame) -> pl.DataFrame:
    """Iterations with their phase: ``pressured`` within the links; ``calm`` in the calm window and on other replicas.

    Where no calm window is known, all that ended before the first link is calm. The rest is left out.
    """
    links = chain.links if chain is not None else ()
    starts = [link.start_ns for link in links if link.start_ns is not None]
    ends = [link.end_ns or link.start_ns for link in links if link.start_ns is not None]
    if not starts:
        return iterations.with_columns(phase=pl.lit("calm"))
    start = pl.col("start_ns")
    inside = (start >= min(starts)) & (start <= max(end for end in ends if end is not None))
    if calm.is_empty():
        before = start < min(starts)
    else:
        before = (start >= calm["start_ns"].min()) & (start <= calm["end_ns"].max())
    own = pl.col("replica").eq_missing(replica)
    phase = pl.when(own & inside).then(pl.lit("pressured")).when(~own | before).then(pl.lit("calm"))
    return iterations.with_columns(phase=phase.otherwise(None)).drop_nulls("phase")


def _steps(catalogue: Catalogue, chain: Chain, out: Gathered) -> None:
    parts = []
    for role, req_id in (("request", chain.req_id), ("reference", chain.reference)):
        if req_id is None:
            continue
        frame, why = fetched(catalogue, "request_steps", req_id=req_id)
        if frame is None:
            out.absent["request_steps"] = f"{req_id}: {why}"
        else:
            parts.append(frame.with_columns(role=pl.lit(role)))
    if parts:
        out.frames["request_steps"] = pl.concat(parts, how="diagonal_relaxed")
