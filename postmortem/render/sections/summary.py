"""What happened: verdict, narrative, the chain at a glance, and whom else it touched."""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from postmortem.chain.model import Chain
from postmortem.render.section import ReportContext, Section, page
from postmortem.render.words import place_text, plain_kind


def build(context: ReportContext) -> Markup:
    """The first screen: ten seconds for what happened, a minute for why."""
    flips, _ = context.query("flips")
    touched = 0 if flips is None else flips.height
    causes = Counter(_cause(chain) for chain in context.chains)
    return page(
        "summary.html", chain=context.chain, others=context.chains[1:], touched=touched, causes=causes.most_common()
    )


def _cause(chain: Chain) -> str:
    """What the chain leads back to, in words."""
    root = chain.root_cause
    if root is None:
        return "no cause that the bundle can show"
    place = place_text(root)
    return f"{plain_kind(root.kind)} ({place})" if place else plain_kind(root.kind)


SECTION = Section("summary", "What happened", 10, build)
