"""What the evidence cannot tell, and what to record next time."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The chains' missing evidence, then the records that no source holds."""
    lacks = {(m.what, m.record) for chain in context.chains for m in chain.missing}
    return page("missing.html", lacks=sorted(lacks), chains=context.chains)


SECTION = Section("missing", "What the evidence can't tell", 60, build)
