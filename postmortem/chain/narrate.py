"""The sentence for the review meeting: the links' own summaries, in order. No judgement."""

from __future__ import annotations

from postmortem.chain.model import Link, Verdict


def narrate(req_id: str, reference: str | None, verdict: Verdict, links: list[Link]) -> str:
    """One paragraph; every figure in it stands in a link."""
    if verdict is Verdict.NO_REFERENCE:
        return f"Nothing in the bundle shows what {req_id} should have answered."
    if verdict is Verdict.NO_DIVERGENCE:
        return f"{req_id} gave the same tokens as {reference}, as far as both are recorded."
    said = "; ".join(link.summary for link in links)
    text = said[:1].upper() + said[1:] + "."
    if verdict is Verdict.UNEXPLAINED:
        return f"{text} What led to it, the bundle does not show."
    if verdict is Verdict.PARTIAL:
        return f"{text} The bundle does not show all of it: see what is missing."
    return text
