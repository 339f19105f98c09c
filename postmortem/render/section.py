"""The contract of a report's section: from the context to markup, and what the context offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from postmortem.base.errors import PostmortemError
from postmortem.base.units import bytes_text, clock_text, count, date_text, number, stretch_text
from postmortem.catalogue.catalogue import Catalogue
from postmortem.chain.model import Chain, Evidence, Flip, Link
from postmortem.findings import ask_once
from postmortem.render import words
from postmortem.render.chart import Chart
from postmortem.render.format import is_figure, rows, text
from postmortem.render.frames import NO_ROWS, Gathered, gather
from postmortem.render.theme import WIDTH
from postmortem.render.words import visible

#: Rows of evidence that are shown; the query gives the rest.
FIRST_ROWS = 8
#: Letters of 5.5 points in a line of a sheet (A4 or Letter within margins of 14 mm and a link's frame), and the fewest
#: to which a column is folded there, its name above it.
SHEET = 140
NARROWEST = 6


@dataclass(frozen=True)
class Rows:
    """A table as the page shows it: names, which of them are figures, cells as text, how many there are in all.

    ``around``: what the rows shown lie around; empty where they are the first ones.
    """

    names: list[str]
    figures: list[bool]
    cells: list[list[str]]
    total: int
    around: str = ""

    @property
    def wide(self) -> bool:
        """Whether it is too wide for a sheet of paper with no figure broken: there each row is a block of its own."""
        columns = zip(self.figures, *self.cells, strict=True)
        letters = [max((NARROWEST, *map(len, cells if figure else ()))) for figure, *cells in columns]
        return sum(letters) + len(letters) > SHEET


def shown_rows(frame: pl.DataFrame, first: int = FIRST_ROWS) -> Rows:
    """The first rows of a frame, cell for cell as the formats write them."""
    head = frame.head(first)
    cells = [[text(value) for value in row.values()] for row in rows(head)]
    return Rows(frame.columns, [is_figure(t) for t in frame.dtypes], cells, frame.height)


def rows_around(frame: pl.DataFrame, link: Link, flip: Flip | None) -> Rows:
    """The rows of a link's evidence that lie around its place, half of them before it: a recording begins calmly.

    Its place is the flip's step among a request's steps, else the link's iteration, else its start.
    """
    places = {"step": flip.step if flip is not None else None, "iteration": link.iteration}
    places |= dict.fromkeys(("first_arrival_ns", "start_ns", "ts_ns", "admitted_ns"), link.start_ns)
    known = ((column, place) for column, place in places.items() if place is not None and column in frame.columns)
    column, place = next(known, ("", 0))
    order = frame[column].drop_nulls().unique().sort() if column else pl.Series([], dtype=pl.Int64)
    if frame.height <= FIRST_ROWS or order.is_empty():
        return shown_rows(frame)
    before = FIRST_ROWS * order.len() // frame.height // 2
    first = max(0, int(order.search_sorted(place)) - before)
    ordered = frame.sort(column, maintain_order=True, nulls_last=True)
    at = min(int((ordered[column] < order[min(first, order.len() - 1)]).sum()), frame.height - FIRST_ROWS)
    what = clock_text(place) if column.endswith("_ns") else f"{column} {place}"
    return replace(shown_rows(ordered.slice(at, FIRST_ROWS)), total=frame.height, around=what)


@dataclass(frozen=True)
class Shown:
    """A link's evidence: the words that ask for it, the command, some of its rows, or why there are none."""

    query: str
    words: str
    command: str
    rows: Rows | None
    why_not: str


@dataclass
class ReportContext:
    """What a report is made of: the queries, the chains (the first is the one drawn), the bundle."""

    catalogue: Catalogue
    chains: tuple[Chain, ...]
    bundle: str
    path: str = ""
    baseline: pl.DataFrame | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    _asked: dict[str, tuple[pl.DataFrame | None, str]] = field(default_factory=dict, init=False, repr=False)

    @property
    def chain(self) -> Chain | None:
        """The chain that the charts show."""
        return self.chains[0] if self.chains else None

    @cached_property
    def gathered(self) -> Gathered:
        """The charts' frames."""
        return gather(self.catalogue, self.chain, self.baseline)

    def query(self, name: str, **params: Any) -> tuple[pl.DataFrame | None, str]:
        """A query's rows, or None and the reason: a report says what it lacks and goes on."""
        try:
            return ask_once(self.catalogue, name, **params), ""
        except PostmortemError as e:
            return None, str(e)

    def asking(self, evidence: Evidence) -> str:
        """The command that gives a piece of evidence again."""
        return self.command("query", evidence.query, *(f"--param={k}={v}" for k, v in evidence.params.items()))

    def evidence(self, evidence: Evidence, link: Link, flip: Flip | None) -> Shown:
        """A link's evidence, run again: the rows around the link."""
        command = self.asking(evidence)
        if command not in self._asked:
            self._asked[command] = self.query(evidence.query, **evidence.params)
        frame, why_not = self._asked[command]
        rows = None if frame is None else rows_around(frame, link, flip)
        return Shown(evidence.query, words.evidence_text(evidence), command, rows, why_not)

    def named_queries(self) -> list[str]:
        """The queries that the chains' links name as evidence, sorted."""
        return sorted({e.query for link in self.links() for e in link.evidence})

    def links(self) -> list[Link]:
        """All links of all chains."""
        return [link for chain in self.chains for link in chain.links]

    def command(self, verb: str, *arguments: str) -> str:
        """A command line that gives the same again, quoted for a POSIX shell."""
        from shlex import quote

        path = self.path or self.bundle
        return " ".join(quote(visible(word)) for word in ("postmortem", verb, path, *arguments))

    def figure(self, chart: Chart, *, titled: bool = True) -> Markup:
        """A chart's place in the page, and its description beside it as data that no browser runs."""
        import json

        spec = chart.spec(self.gathered.frames)
        # The page holds the chart as one image with its text beside it: no name for each of its marks.
        spec["config"]["aria"] = False
        data = json.dumps(spec, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        for char in "<>&":
            data = data.replace(char, f"\\u{ord(char):04x}")
        page = environment().get_template("_figure.html")
        data = Markup(data)  # noqa: S704  JSON with every <, > and & written as an escape
        says = chart.says(self.gathered.frames)
        filled = page.render(chart=chart, data=data, width=WIDTH, says=says, titled=titled)
        return Markup(filled)  # noqa: S704  autoescaped

    def why_empty(self, chart: Chart) -> str:
        """Why there is nothing to draw: what the frames that the chart asks for lack; empty where it shows any."""
        if chart.says(self.gathered.frames):
            return ""
        lacks = [why for name in chart.wants if (why := self.gathered.absent.get(name, NO_ROWS)) != NO_ROWS]
        return "; ".join(dict.fromkeys(lacks)) or NO_ROWS


@dataclass(frozen=True)
class Section:
    """A part of the report: its name (and anchor), its title, its place, how it is built."""

    name: str
    title: str
    order: int
    build: Callable[[ReportContext], Markup]


def _nobreak(text: str) -> str:
    """The text with no line broken between a figure and its per cent sign."""
    return text.replace(" %", "\u00a0%")


def _finished(value: object) -> object:
    """What a template prints: None as nothing, text with its hidden characters written out."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape(visible(value, keep="\n"))
    return value


def environment() -> Environment:
    """The templates' environment: escapes everything, knows the shared words, allows no undefined name."""
    made = Environment(
        loader=PackageLoader("postmortem.render"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update({name: getattr(words, name) for name in dir(words) if name.endswith("_text")})
    made.globals.update(
        stretch_text=stretch_text,
        GRADE_MARKS=words.GRADE_MARKS,
        GRADE_SAYS=words.GRADE_SAYS,
        VERDICT_SAYS=words.VERDICT_SAYS,
        TEST_QUESTIONS=words.TEST_QUESTIONS,
        test_word=words.test_word,
        test_figure=words.test_figure,
    )
    made.filters.update(
        kind=words.plain_kind,
        bytes=bytes_text,
        count=count,
        date=date_text,
        number=number,
        nobreak=_nobreak,
    )
    return made


def page(template: str, **values: object) -> Markup:
    """A template filled in."""
    return Markup(environment().get_template(template).render(**values))  # noqa: S704  autoescaped
