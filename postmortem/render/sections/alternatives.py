"""Alternatives: causes that were looked for and are not this one's."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """For each chain what was ruled out, and why."""
    return page("alternatives.html", chains=context.chains)


SECTION = Section("alternatives", "Ruled out", 50, build)
