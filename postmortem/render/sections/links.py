"""The chain link by link: figures, the five tests, the evidence with its query and first rows."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """Every link of every chain; the first chain's in full, the others' folded."""
    return page("links.html", context=context, chains=context.chains)


SECTION = Section("links", "The chain, link by link", 30, build)
