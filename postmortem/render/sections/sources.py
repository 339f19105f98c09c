"""Sources: every file with its hash, what was set and which versions wrote it, what could not be read."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page, shown_rows

#: Rejected records that are shown; the query gives the rest.
FIRST_REJECTS = 20
#: Settings that are shown: NCCL has about as many that matter.
FIRST_SETTINGS = 100


def build(context: ReportContext) -> Markup:
    """One row a file, then settings and versions, then the first rejects."""
    sources, why_not = context.query("sources")
    rejects, _ = context.query("rejects")
    settings, _ = context.query("settings")
    return page(
        "sources.html",
        sources=[] if sources is None else sources.to_dicts(),
        why_not=why_not,
        settings=None if settings is None or settings.is_empty() else shown_rows(settings, FIRST_SETTINGS),
        rejects=None if rejects is None or rejects.is_empty() else shown_rows(rejects, FIRST_REJECTS),
    )


SECTION = Section("sources", "Sources and settings", 70, build)
