"""The queries that the links name, as they stand in the library: once each."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.base.errors import QueryError
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """Each query folded, under an anchor that the evidence links to."""
    texts = []
    for name in context.named_queries():
        try:
            texts.append((name, context.catalogue.sql_text(name)))
        except QueryError as e:
            texts.append((name, f"-- {e}"))
    return page("queries.html", texts=texts)


SECTION = Section("queries", "The queries behind it", 75, build)
