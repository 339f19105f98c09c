"""How to get each number again: the commands."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.charts import charts
from postmortem.render.frames import MADE_HERE
from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The chains as JSON, every query that a link names, and this report."""
    chains = [
        context.command("chain", "--req", c.req_id, *(["--vs", c.reference] if c.reference else []))
        for c in context.chains
    ]
    asked = dict.fromkeys(context.asking(e) for chain in context.chains for link in chain.links for e in link.evidence)
    wanted = [word for chain in context.chains for word in ("--req", chain.req_id)]
    report = context.command("report", "-o", "report.html", *wanted)
    return page("reproduce.html", chains=chains, queries=list(asked), charts=_charts(context), report=report)


def _charts(context: ReportContext) -> list[tuple[str, str]]:
    """The commands that give the rows of the charts drawn, each with the charts that show them."""
    shown: dict[str, list[str]] = {}
    for chart in charts().values():
        if context.why_empty(chart):
            continue
        for name in chart.wants:
            for command in _asking(context, name):
                shown.setdefault(command, []).append(chart.title)
    return [(command, ", ".join(sorted(titles))) for command, titles in sorted(shown.items())]


def _asking(context: ReportContext, name: str) -> list[str]:
    """The commands behind one frame; none behind the links, whose chain is given above."""
    if name not in MADE_HERE:
        return [context.command("query", name)] if name in context.gathered.frames else []
    if name == "tactic_iterations":
        return [context.command("query", "iterations")]
    if name == "request_steps" and context.chain is not None:
        requests = (context.chain.req_id, context.chain.reference)
        return [context.command("query", name, f"--param=req_id={r}") for r in requests if r is not None]
    return []


SECTION = Section("reproduce", "How to reproduce each number", 80, build)
