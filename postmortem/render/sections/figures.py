"""Ranks, tactics and margins: the smaller charts."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.charts import charts
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """Every chart but the timeline, by name."""
    drawn = [(c, context.figure(c)) for name, c in charts().items() if name != "incident_timeline"]
    return page("figures.html", charts=drawn)


SECTION = Section("figures", "Ranks, tactics, margins", 40, build)
