"""The sentence for the review meeting: the links' own summaries, in order. No judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.model import Link, Verdict

if TYPE_CHECKING:
    from postmortem.chain.case import Case

_OTHER = {"effective_text_sha256": "another effective text", "decode_key": "other decode settings"}


def without_links(req_id: str, reference: str | None) -> str:
    """Where there is nothing to walk back from."""
    if reference is None:
        return f"The bundle holds no reference answer for {req_id}."
    return f"{req_id} gave the same tokens as {reference}, as far as both are recorded."


def narrate(case: Case, verdict: Verdict, links: list[Link]) -> str:
    """One paragraph; every figure in it stands in a link."""
    said = "; ".join(link.summary for link in links)
    text = said[:1].upper() + said[1:] + "." if said else "The tokens are the same, as far as both are recorded."
    if verdict is Verdict.DIFFERENT_INPUT:
        saw = " and ".join(_OTHER[field] for field in case.input.differs)
        if case.input.same_prompt is False:
            saw += ", to another raw prompt"
        told = "" if links and "what" in links[0].facts else f": {saw}"  # a drift's own summary says it
        return f"{case.req_id} did not get the same input as {case.reference}{told}. {text}"
    if verdict is Verdict.UNEXPLAINED:
        return f"{text} What led to it, the bundle does not show."
    if verdict is Verdict.PARTIAL:
        return f"{text} The bundle does not show all of it: see what is missing."
    return text
