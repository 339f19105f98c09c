"""From a catalogue and a chain to the frames that the charts draw.

The charts stay pure; what they show of whom is settled here: the replica where the flip is,
the request beside its reference, the links as rows, the calm window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from postmortem.base.errors import NotInBundle
from postmortem.catalogue.catalogue import Catalogue
from postmortem.chain.model import Chain
from postmortem.findings import absent, ask_once
from postmortem.render.chart import Chart
from postmortem.render.charts import charts
from postmortem.render.phases import phase
from postmortem.render.words import none_parted_text

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

#: Frames that are no question's answer as it stands, but made here of one.
MADE_HERE = frozenset({"links", "baseline", "tactic_iterations", "request_steps"})

#: Why a frame is absent that the bundle could answer: there is nothing of it.
NO_ROWS = "no rows"

_NO_WINDOW = pl.DataFrame(schema={"start_ns": pl.Int64, "end_ns": pl.Int64})


@dataclass
class Gathered:
    """Frames by name, and for each that is not there the sentence that says why."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def fetched(catalogue: Catalogue, name: str, **params: Any) -> tuple[pl.DataFrame | None, str]:
    """A query's rows, or None and the sentence that says what would have to be recorded."""
    try:
        frame = ask_once(catalogue, name, **params)
    except NotInBundle as e:
        return None, str(e)
    if frame.is_empty():
        return None, "; ".join(absent(catalogue, name)) or NO_ROWS
    return frame, ""


def none_parted(catalogue: Catalogue) -> str:
    """Why no request is looked at: how many could be compared, of how many."""
    return none_parted_text(catalogue.view("compared").height, len(catalogue.rows("requests")))


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


def gather(
    catalogue: Catalogue, chain: Chain | None, baseline: pl.DataFrame | None = None, drawn: Iterable[Chart] = ()
) -> Gathered:
    """All frames that the charts (by default: all of them) want for one request.

    A frame is fetched by the name of its question. Charts that draw a frame's ``replica`` get all replicas, the
    others that of the flip, where none is that of the request, or without a chain the first.
    """
    wanted: dict[str, bool] = {}
    for chart in drawn or charts().values():
        for name, columns in chart.wants.items():
            wanted[name] = wanted.get(name, True) and "replica" in columns
    out = Gathered()
    out.frames["links"] = links_frame(chain)
    iterations, why = fetched(catalogue, "iterations")
    replica = _replica(catalogue, chain, iterations)
    if iterations is None:
        out.absent["iterations"] = out.absent["tactic_iterations"] = why
    else:
        out.frames["iterations"] = _of(iterations, replica)
    out.frames["baseline"] = _baseline(chain, out.frames.get("iterations")) if baseline is None else baseline
    if iterations is not None and "tactic_iterations" in wanted:
        out.frames["tactic_iterations"] = _phases(out)
    for name in sorted(wanted.keys() - MADE_HERE - {"iterations"}):
        frame, why_not = fetched(catalogue, name)
        if frame is None:
            out.absent[name] = why_not
        else:
            out.frames[name] = frame if wanted[name] else _of(frame, replica)
    if "request_steps" in wanted:
        if chain is None:
            out.absent["request_steps"] = none_parted(catalogue)
        else:
            _steps(catalogue, chain, out)
    return out


def _baseline(chain: Chain | None, iterations: pl.DataFrame | None) -> pl.DataFrame:
    """The calm window that the links were compared with, where one of them says it (``calm``: first, stop)."""
    if chain is None or iterations is None:
        return _NO_WINDOW
    for link in chain.links:
        calm = link.facts.get("calm")
        if isinstance(calm, list | tuple) and len(calm) == 2:
            inside = iterations.filter((pl.col("iteration") >= calm[0]) & (pl.col("iteration") < calm[1]))
            if inside.height:
                return inside.select(pl.col("start_ns").min(), pl.col("start_ns").max().alias("end_ns"))
    return _NO_WINDOW


def _replica(catalogue: Catalogue, chain: Chain | None, iterations: pl.DataFrame | None) -> str | None:
    places: list[str | None] = []
    if chain is not None:
        places.append(chain.flip.replica if chain.flip is not None else None)
        places += [link.replica for link in chain.links]
        places += [row["replica"] for row in catalogue.rows("requests", req_id=chain.req_id)]
    if iterations is not None:
        places += iterations["replica"].drop_nulls().unique().sort().to_list()
    return next((place for place in places if place is not None), None)


def _of(frame: pl.DataFrame, replica: str | None) -> pl.DataFrame:
    """The rows of one replica, and those of which no replica is known."""
    if replica is None or "replica" not in frame.columns:
        return frame
    return frame.filter(pl.col("replica").eq_missing(replica) | pl.col("replica").is_null())


def _phases(out: Gathered) -> pl.DataFrame:
    """The replica's iterations with their phase; those of neither are left out."""
    own = phase("start_ns", out.frames["links"], out.frames["baseline"])
    return out.frames["iterations"].with_columns(phase=own).drop_nulls("phase")


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
