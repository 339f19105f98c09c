"""Sources: every file with its hash, and the records that could not be read."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page, shown_rows

#: Rejected records that are shown; the query gives the rest.
FIRST_REJECTS = 20


def build(context: ReportContext) -> Markup:
    """One row a file, then the first rejects."""
    sources, why_not = context.query("sources")
    rejects, _ = context.query("rejects")
    return page(
        "sources.html",
        sources=[] if sources is None else sources.to_dicts(),
        why_not=why_not,
        rejects=None if rejects is None or rejects.is_empty() else shown_rows(rejects, FIRST_REJECTS),
    )


SECTION = Section("sources", "Sources", 70, build)
