"""The contract of a chart: a pure function from frames to a picture that answers one question."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from textwrap import wrap
from typing import Any, TypeAlias

import altair as alt
import polars as pl
from altair.utils.schemapi import debug_mode

from postmortem.render.theme import SMALL, SOFT, themed
from postmortem.render.words import visible

#: Frames by name, as the catalogue gives them and ``render.frames`` prepares them.
Frames: TypeAlias = Mapping[str, pl.DataFrame]
#: For each frame the columns that are drawn, with their types.
Wants: TypeAlias = Mapping[str, Mapping[str, pl.DataType | type[pl.DataType]]]

#: The version of Vega-Lite that Altair writes for, as vl-convert names it.
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

#: What the charts are about, in the order of the report.
SUBJECTS = ("time", "regimes", "ranks", "collectives", "tactics", "margins", "hardware")


@dataclass(frozen=True)
class Chart:
    """A chart: its name, its title, the question that it answers, the columns it wants, how to build it.

    ``subject``: one of SUBJECTS. ``tells``: what is to be seen, in a sentence or two of figures, for whoever cannot
    see it; empty where nothing is drawn.
    """

    name: str
    title: str
    question: str
    wants: Wants
    build: Callable[[Frames], alt.TopLevelMixin]
    tells: Callable[[Frames], str]
    subject: str

    def draw(self, frames: Frames) -> alt.TopLevelMixin:
        """The chart with the theme on and its text beside it; frames that are absent count as empty ones."""
        fitted = self._all_fitted(frames)
        chart = self.build(fitted)
        chart.description = f"{self.title}. {self.tells(fitted) or self.question}"  # type: ignore[attr-defined]
        return themed(chart)

    def says(self, frames: Frames) -> str:
        """The chart as text."""
        return self.tells(self._all_fitted(frames))

    def _all_fitted(self, frames: Frames) -> Frames:
        return {name: self.fitted(name, frames.get(name)) for name in self.wants}

    def fitted(self, name: str, frame: pl.DataFrame | None) -> pl.DataFrame:
        """The frame with exactly the columns wanted, of the types wanted, its texts made visible."""
        schema = self.wants[name]
        if frame is None:
            return pl.DataFrame(schema=dict(schema))
        columns = [
            (pl.col(c).cast(t, strict=False) if c in frame.columns else pl.lit(None, dtype=t).alias(c))
            for c, t in schema.items()
        ]
        fitted = frame.select(columns)
        texts = [c for c, t in schema.items() if t == pl.String]
        shown = {
            c: {text: visible(text) for text in fitted[c].drop_nulls().unique().to_list() if not text.isprintable()}
            for c in texts
        }
        return fitted.with_columns(pl.col(c).replace(changes) for c, changes in shown.items() if changes)

    def spec(self, frames: Frames) -> dict[str, Any]:
        """The chart as Vega-Lite JSON, the same for the same frames.

        Altair would check every part when it is made and again in all that it becomes part of; tests check the whole.
        """
        with debug_mode(False):
            spec: dict[str, Any] = json.loads(self.draw(frames).to_json(validate=False))
        return spec


def values(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame as it is drawn: figures keep six decimals, NaN and infinities become null.

    It stays a frame until the chart is written, since altair copies inline rows with every layer.
    """
    floats = [c for c, t in frame.schema.items() if t.is_float()]
    return frame.with_columns(
        pl.when(pl.col(c).is_finite()).then(pl.col(c).round(6)).otherwise(None).alias(c) for c in floats
    )


#: Letters of SMALL size in a line of a page 800 pixels wide.
NARROW = 110


def sentence(parts: Sequence[str]) -> str:
    """Clauses as one sentence; nothing where there is none.

    >>> sentence(["rank 1 was late", "rank 0 was not"])
    'Rank 1 was late; rank 0 was not.'
    """
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


ROOM = 28  # letters of a label that fit into the theme's limit, some eight pixels each


def apart(names: Sequence[str], room: int) -> dict[str, str]:
    """What is written of names where ``room`` letters fit: kernels' names begin alike, and tell what differs late.

    >>> list(apart(["sm90_gemm_bf16_tile128x64", "sm90_gemm_bf16_tile64x64", "split"], 15).values())
    ['sm90_…tile128x64', 'sm90_…tile64x64', 'split']
    """
    written = {}
    for name in names:
        alike = max((_alike(name, other) for other in names if other != name), default=0)
        words = [m.end() for m in re.finditer(r"[^0-9a-zA-Z]+", name[:alike])]
        begins = max(words[-1] if words else 0, alike - room // 2)  # the word that differs, or near where it does
        first = words[0] if words and words[0] <= room // 3 else 0
        written[name] = f"{name[:first]}…{name[begins:]}" if alike >= room else name
    return written if len(set(written.values())) == len(written) else {name: name for name in names}


def _alike(a: str, b: str) -> int:
    """With how many letters both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def labels(names: Sequence[str], room: int = ROOM) -> str | alt.UndefinedType:
    """``apart`` for an axis, as Vega's expression; its tooltips keep the names."""
    changed = {name: written for name, written in apart(names, room).items() if written != name}
    return f"{json.dumps(changed)}[datum.label] || datum.label" if changed else alt.Undefined


def cap(said: str) -> alt.TitleParams:
    """A title that says what was left out of the drawing; an empty one where nothing was."""
    return note([f"Cap: {said}."] if said else [])


def note(lines: list[str]) -> alt.TitleParams:
    """Small lines above a chart, none wider than the narrowest page's chart."""
    folded = [part for line in lines for part in wrap(line, NARROW)]
    return alt.Title(folded or "", fontWeight="normal", fontSize=SMALL, color=SOFT)


def nothing(says: str, width: int, height: int = 60) -> alt.Chart:
    """An empty picture that says why it is empty."""
    frame = pl.DataFrame({"says": [says]})
    text = alt.Chart(values(frame)).mark_text(fontStyle="italic").encode(text="says:N")
    chart: alt.Chart = text.properties(width=width, height=height)
    return chart
