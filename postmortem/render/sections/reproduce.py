"""How to get each number again: the commands."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The chains as JSON, every query that a link names, and this report."""
    chains = [
        context.command("chain", "--req", c.req_id, *(["--vs", c.reference] if c.reference else []))
        for c in context.chains
    ]
    asked = dict.fromkeys(
        context.evidence(e).command for chain in context.chains for link in chain.links for e in link.evidence
    )
    wanted = [word for chain in context.chains for word in ("--req", chain.req_id)]
    report = context.command("report", "-o", "report.html", *wanted)
    return page("reproduce.html", chains=chains, queries=list(asked), report=report)


SECTION = Section("reproduce", "How to reproduce each number", 80, build)
