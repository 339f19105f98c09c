"""The chain link by link: figures, the five tests, the evidence with its query and the rows around the link."""

from __future__ import annotations

from markupsafe import Markup

from postmortem.chain.model import Flip, Link
from postmortem.render.section import ReportContext, Section, Shown, page

#: Chains that are shown link by link; the others stand in the summary, and their command gives the rest.
MOST_CHAINS = 20


def build(context: ReportContext) -> Markup:
    """Every link of every chain, the first chain's in full and the others' folded; rows stand once."""
    anchors: dict[tuple[str, str], str] = {}

    def evidence(link: Link, flip: Flip | None) -> list[tuple[Shown, str, bool]]:
        """For each piece: what it shows, its anchor, and whether it stands here (else above)."""
        pieces = []
        for asked in link.evidence:
            shown = context.evidence(asked, link, flip)
            rows = (shown.command, shown.rows.around if shown.rows else "")
            new = rows not in anchors
            anchors.setdefault(rows, f"evidence-{len(anchors) + 1}")
            pieces.append((shown, anchors[rows], new))
        return pieces

    more = [context.command("chain", "--req", c.req_id) for c in context.chains[MOST_CHAINS:]]
    return page("links.html", chains=context.chains[:MOST_CHAINS], evidence=evidence, more=more)


SECTION = Section("links", "The chain, link by link", 30, build)
