"""What happened: verdict, narrative, the chain at a glance, and whom else it touched."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.render.section import ReportContext, Section, page


def build(context: ReportContext) -> Markup:
    """The first screen: ten seconds for what happened, a minute for why."""
    flips, _ = context.query("flips")
    touched = 0 if flips is None else flips.height
    return page("summary.html", context=context, chain=context.chain, others=context.chains[1:], touched=touched)


SECTION = Section("summary", "What happened", 10, build)
