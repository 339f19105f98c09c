"""Alternatives: causes that were looked for and are not this one's."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """What was ruled out and why, for the first chain and then, folded, for the others."""
    found = [(c.req_id, list(dict.fromkeys((a.kind, a.ruled_out) for a in c.alternatives))) for c in context.chains]
    return page("alternatives.html", found=[pair for pair in found if pair[1]])


SECTION = Section("alternatives", "Ruled out", 50, build)
