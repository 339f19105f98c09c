"""The incident timeline, and which lanes have no record."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.charts import chart_named
from postmortem.render.frames import NO_ROWS
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The timeline of the first chain's replica."""
    chart = chart_named("incident_timeline")
    absent = {name: why for name, why in context.gathered.absent.items() if name in chart.wants and why != NO_ROWS}
    return page("timeline.html", figure=context.figure(chart, titled=False), absent=absent)


SECTION = Section("timeline", "Timeline", 20, build)
