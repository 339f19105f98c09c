"""Which parts of the execution contract were recorded, and what cannot be concluded without the rest."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.chain.audit import audit
from postmortem.render.audit_text import SHOWN
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The one line, what is not recorded of the contract, declared against executed, and what was lost."""
    found = audit(context.catalogue, context.bundle)
    differs = [d for d in found.declared if d["agrees"] is False]
    whole = [part.part for part in found.contract if part.status == "recorded"]
    lacking = [part for part in found.contract if part.status != "recorded"]
    command = context.command("audit")
    return page("audit.html", audit=found, whole=whole, lacking=lacking, differs=differs, shown=SHOWN, command=command)


SECTION = Section("audit", "Can this bundle prove which plan ran?", 65, build)
