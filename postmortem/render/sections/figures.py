"""Regimes, ranks, collectives, tactics, margins, hardware: the charts beside the timeline."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.chart import SUBJECTS
from postmortem.render.charts import charts
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """Every chart but the timeline that has anything to draw, by subject; the others with what they lack."""
    order = sorted(charts().values(), key=lambda c: (SUBJECTS.index(c.subject), c.name))
    beside = [(c, context.why_empty(c)) for c in order if c.name != "incident_timeline"]
    return page(
        "figures.html",
        drawn=[(c, context.figure(c)) for c, why in beside if not why],
        left_out=[(c, why) for c, why in beside if why],
    )


SECTION = Section("figures", "Regimes, ranks, tactics, margins", 66, build)
