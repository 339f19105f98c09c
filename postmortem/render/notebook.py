"""Rich displays for notebooks: a chain and a link as HTML, plain functions without state."""

from __future__ import annotations

from markupsafe import Markup, escape

from postmortem.chain.model import Chain, Grade, Link
from postmortem.render.theme import GRADE_COLOURS
from postmortem.render.words import (
    GRADE_MARKS,
    GRADE_SAYS,
    VERDICT_SAYS,
    chance_text,
    confidence_text,
    evidence_text,
    figure_text,
    flip_text,
    place_text,
    plain_kind,
    test_figure,
    test_word,
    visible,
    when_text,
)

_CELL = Markup('<td style="text-align:left;vertical-align:top">{}</td>')


def _safe(text: str) -> Markup:
    return escape(visible(text, keep="\n"))


def _grade(grade: Grade) -> Markup:
    return Markup('<span style="color:{}" title="{}">{}</span>&nbsp;{}').format(
        GRADE_COLOURS[grade], GRADE_SAYS[grade], GRADE_MARKS[grade], grade.value
    )


def _row(cells: list[str | Markup]) -> Markup:
    inner = Markup("").join(_CELL.format(c if isinstance(c, Markup) else _safe(c)) for c in cells)
    return Markup("<tr>{}</tr>").format(inner)


def _table(names: list[str], lines: list[list[str | Markup]]) -> Markup:
    heads = Markup("").join(Markup('<th style="text-align:left">{}</th>').format(name) for name in names)
    body = Markup("").join(_row(line) for line in lines)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(heads, body)


def chain_html(chain: Chain) -> str:
    """The chain: verdict, narrative, and one row a link, from the cause to the flip."""
    parts = [
        Markup("<p><strong>{}</strong>: <strong>{}</strong>, {}<br>{}</p>").format(
            _safe(chain.req_id),
            chain.verdict.value.replace("_", " "),
            confidence_text(chain),
            VERDICT_SAYS[chain.verdict],
        )
    ]
    if chain.flip is not None:
        parts.append(Markup("<p>{}</p>").format(_safe(flip_text(chain.flip, chain.reference))))
    if chain.narrative:
        parts.append(Markup("<p>{}</p>").format(_safe(chain.narrative)))
    if chain.links:
        lines: list[list[str | Markup]] = [
            [
                str(number),
                plain_kind(link.kind),
                _grade(link.grade),
                place_text(link),
                figure_text(link),
                link.summary,
            ]
            for number, link in enumerate(chain.links, 1)
        ]
        parts.append(_table(["", "link", "grade", "where", "figure", "what"], lines))
    if chain.missing:
        lacks: list[list[str | Markup]] = [[m.what, m.record] for m in chain.missing]
        parts.append(_table(["not in the bundle", "record it with"], lacks))
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))


def link_html(link: Link) -> str:
    """One link: what, where, when, how much, its tests and its evidence."""
    facts = [place_text(link), when_text(link), figure_text(link), chance_text(link)]
    parts = [
        Markup("<p><strong>{}</strong> {}<br>{}<br>{}</p>").format(
            _safe(plain_kind(link.kind)),
            _grade(link.grade),
            _safe(link.summary),
            _safe(" · ".join(fact for fact in facts if fact)),
        )
    ]
    if link.tests:
        tests: list[list[str | Markup]] = [
            [test.name, test_word(test), test_figure(test), test.says] for test in link.tests
        ]
        parts.append(_table(["test", "", "figure", "what it says"], tests))
    if link.evidence:
        lines: list[list[str | Markup]] = [[evidence_text(e)] for e in link.evidence]
        parts.append(_table(["evidence"], lines))
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))
