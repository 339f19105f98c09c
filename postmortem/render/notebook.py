"""Rich displays for notebooks: an incident, a scan, an audit, a chain and a link as HTML."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import altair as alt
from markupsafe import Markup, escape

from postmortem.base.units import count, stretch_text
from postmortem.chain.audit import Audit
from postmortem.chain.model import Chain, Grade, Link
from postmortem.chain.scan import Scan
from postmortem.render.chart import VEGA_LITE
from postmortem.render.scan_tree import NEAR_NAMES, NEAR_SAYS, hang_lines, near_cells, near_rest, rank_lines
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

if TYPE_CHECKING:
    from collections.abc import Callable

#: What JupyterLab 4 draws without the network. Altair 6 names its charts v6, which no JupyterLab knows yet; ours are
#: v5's too, since Altair 5.5 is supported.
VEGALITE = "application/vnd.vegalite.v5+json"

#: Around every display: Jupyter must not set records' text between dollar signs as formulas (MathJax 3, and 2).
_AROUND = Markup('<div class="mathjax_ignore tex2jax_ignore">{}</div>')
_CELL = Markup('<td style="text-align:left;vertical-align:top{}">{}</td>')
#: Letters of a word that is broken, as a kernel's name is: it would push its table out of the page.
_LONG = 40


def _safe(text: str) -> Markup:
    return escape(visible(text, keep="\n"))


def _grade(grade: Grade) -> Markup:
    return Markup('<span style="color:{}" title="{}">{}</span>&nbsp;{}').format(
        GRADE_COLOURS[grade], GRADE_SAYS[grade], GRADE_MARKS[grade], grade.value
    )


def _row(cells: list[str | Markup]) -> Markup:
    return Markup("<tr>{}</tr>").format(Markup("").join(map(_cell, cells)))


def _cell(text: str | Markup) -> Markup:
    if isinstance(text, Markup):
        return _CELL.format("", text)
    long = any(len(word) > _LONG for word in text.split())
    return _CELL.format(";overflow-wrap:anywhere" if long else "", _safe(text))


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
    return str(_AROUND.format(Markup("").join(parts)))


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
    return str(_AROUND.format(Markup("").join(parts)))


def scan_html(scan: Scan) -> str:
    """The incidents, worst first, a row each; then what timed out, late ranks, the fabric, near flips."""
    head = f"{count(len(scan.divergences), 'divergence')} in {count(len(scan.incidents), 'incident')}"
    lines: list[list[str | Markup]] = []
    for number, one in enumerate(scan.incidents, 1):
        kind = plain_kind(one.kind) if one.kind else "nothing that the bundle shows"
        where = [f"rank {one.rank}" if one.rank is not None else "", f"replica {one.replica}" if one.replica else ""]
        times = "" if one.first_ns is None or one.last_ns is None else stretch_text(one.first_ns, one.last_ns)
        lines.append(
            [
                str(number),
                kind if one.root else f"begins at {kind}",
                ", ".join(part for part in where if part),
                count(len(one.requests), "request"),
                times,
                one.verdict.value.replace("_", " "),
                one.example,
            ]
        )
    parts = [
        Markup("<p><strong>{}</strong>; {} of {} requests have a reference</p>").format(
            head, scan.compared, scan.requests
        )
    ]
    if lines:
        parts.append(_table(["", "root cause", "where", "touched", "when", "verdict", "for example"], lines))
    if scan.hangs:
        parts.append(_table(["collectives that timed out"], [[line] for line in hang_lines(scan)]))
    late = rank_lines(scan)
    if late:
        parts.append(_table(["ranks and fabric"], [[line] for line in late]))
    if scan.near:
        said = Markup("<p><strong>{} near the edge</strong>: {}</p>")
        parts.append(said.format(count(len(scan.near), "request"), NEAR_SAYS))
        parts.append(_table(list(NEAR_NAMES), [list(cells) for cells in near_cells(scan)]))
        parts += [Markup("<p>{}</p>").format(near_rest(scan))] if near_rest(scan) else []
    return str(_AROUND.format(Markup("").join(parts)))


def audit_html(audit: Audit) -> str:
    """The one line, and the parts of the contract that are not recorded."""
    lines: list[list[str | Markup]] = [
        [f.part, f.status, f"{f.recorded} of {f.records}", f.without, f.how]
        for f in audit.contract
        if f.status != "recorded"
    ]
    parts = [Markup("<p>Can this bundle prove which plan ran?<br><strong>{}</strong></p>").format(_safe(audit.answer))]
    if lines:
        parts.append(_table(["part", "", "records", "without it cannot be told", "what records it"], lines))
    return str(_AROUND.format(Markup("").join(parts)))


def incident_html(incident: Any) -> str:
    """The bundle's name and its files."""
    sources = incident.catalogue.rows("sources")
    lines: list[list[str | Markup]] = [
        [s["path"], s["kind"], f"{s['rows']:,}", s["replica"] or "", "" if s["rank"] is None else str(s["rank"])]
        for s in sources
    ]
    head = Markup("<p><strong>{}</strong>, {}</p>").format(_safe(incident.name), count(len(sources), "file"))
    return str(_AROUND.format(head + _table(["file", "kind", "rows", "replica", "rank"], lines)))


def offline(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A chart for Altair to show: drawn by JupyterLab itself, a picture in an export; neither asks the network."""
    import vl_convert

    # PNG: the timeline has 0.4 MiB so, and 1 MiB as SVG, which JupyterLab shows in trusted notebooks only.
    picture = vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE)
    return {VEGALITE: spec, "image/png": picture, "text/plain": spec.get("description", "")}


def show_in_notebooks(incident_type: type) -> None:
    """Tell a running IPython how to show these objects and charts; nothing where there is none.

    Altair by itself fetches Vega from a CDN. A renderer that somebody chose is left alone.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return
    html = shell.display_formatter.formatters["text/html"]
    shown: dict[type, Callable[[Any], str]] = {
        Chain: chain_html, Link: link_html, Scan: scan_html, Audit: audit_html, incident_type: incident_html,
    }  # fmt: skip
    for kind, how in shown.items():
        html.for_type(kind, how)
    if alt.renderers.active == "default":
        alt.renderers.register("postmortem", offline)
        alt.renderers.enable("postmortem")


def pointed_at(bundle: str, **options: Any) -> dict[str, Any]:
    """The incident notebook as JSON values, its BUNDLE and ``open_bundle``'s options set, without outputs."""
    import json
    from importlib.resources import files
    from pathlib import Path

    installed = Path(str(files("postmortem"))) / "_notebooks"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "notebooks"
    notebook: dict[str, Any] = json.loads((folder / "incident.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            opening = ", ".join(["open_bundle(BUNDLE", *(f"{name}={value!r}" for name, value in options.items())])
            lines = "".join(cell["source"]).replace("open_bundle(BUNDLE", opening).split("\n")
            cell["source"] = "\n".join(f"BUNDLE = {bundle!r}" if x.startswith("BUNDLE = ") else x for x in lines)
    return notebook
