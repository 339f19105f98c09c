"""What happened: verdict, narrative, the chain at a glance, and whom else it touched."""

from __future__ import annotations

from collections import Counter

import polars as pl
from markupsafe import Markup

from postmortem.chain.model import Chain
from postmortem.chain.scan import Cluster, clusters
from postmortem.render.frames import none_parted
from postmortem.render.section import ReportContext, Section, page
from postmortem.render.sections.links import MOST_CHAINS
from postmortem.render.words import SAME, place_text, plain_kind


def build(context: ReportContext) -> Markup:
    """The first screen: ten seconds for what happened, a minute for why; then whom and what else it touched."""
    flips, _ = context.query("flips")
    requests, _ = context.query("requests")
    parted = [c for c in context.chains if c.verdict not in SAME]
    causes = Counter(_cause(chain) for chain in parted)
    touched = [(one, _in_flight(requests, one)) for one in clusters(context.catalogue, parted)]
    return page(
        "summary.html",
        chain=context.chain,
        why_none="" if context.chain else none_parted(context.catalogue),
        others=context.chains[1:],
        flipped=0 if flips is None else flips.height,
        requests=0 if requests is None else requests.height,
        compared=context.catalogue.view("compared").height,
        touched=sorted(touched, key=lambda pair: (-len(pair[0].requests), -pair[0].iterations, pair[0].example)),
        firsts={chain.req_id: chain.links[0].summary if chain.links else "" for chain in parted},
        causes=causes.most_common(),
        shown=MOST_CHAINS,
        scan=context.command("scan"),
    )


def _in_flight(requests: pl.DataFrame | None, one: Cluster) -> int | None:
    """Requests of the replica that decoded between the first link and the last flip; None where no time is known."""
    if requests is None or one.replica is None or one.first_ns is None or one.last_ns is None:
        return None
    during = (pl.col("first_ns") <= one.last_ns) & (pl.col("last_ns") >= one.first_ns)
    return requests.filter(pl.col("replica") == one.replica, during).height


def _cause(chain: Chain) -> str:
    """What the chain leads back to, in words."""
    root = chain.root_cause
    if root is None:
        return "no cause that the bundle can show"
    place = place_text(root)
    return f"{plain_kind(root.kind)} ({place})" if place else plain_kind(root.kind)


SECTION = Section("summary", "What happened", 10, build)
