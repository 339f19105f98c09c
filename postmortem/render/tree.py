"""A chain as a tree for the terminal: the verdict on top, then the links from cause to flip."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from postmortem.base.units import clock_text, day_text
from postmortem.chain.model import Chain, Grade, Link, Verdict
from postmortem.render.format import Look
from postmortem.render.terminal import written
from postmortem.render.words import (
    GRADE_MARKS,
    SAME,
    VERDICT_SAYS,
    chance_text,
    confidence_text,
    evidence_text,
    figure_text,
    flip_text,
    place_text,
    plain_kind,
    test_word,
    visible,
)

_GRADE_STYLES: dict[Grade, str] = {
    Grade.PROVEN: "bold green",
    Grade.SUPPORTED: "bold cyan",
    Grade.CIRCUMSTANTIAL: "bold yellow",
    Grade.MISSING: "bold magenta",
}

VERDICT_STYLES: dict[Verdict, str] = {
    Verdict.EXPLAINED: "bold green",
    Verdict.PARTIAL: "bold yellow",
    Verdict.UNEXPLAINED: "bold red",
    Verdict.DIFFERENT_INPUT: "bold cyan",
}


def chain_tree(chain: Chain, width: int = 80, colour: bool = False) -> str:
    """The chain as text, ``width`` columns wide, ended by a newline."""
    look = Look(width, colour)
    parts = [_head(chain, look)]
    if chain.narrative:
        parts.append(folded(Text(visible(chain.narrative)), look, "  "))
    if chain.links:
        links = [_link(link, number, number == len(chain.links), look) for number, link in enumerate(chain.links, 1)]
        parts.append("".join(links))
    elif chain.verdict not in SAME:
        nothing = Text("No link can be shown from this bundle.", style="italic")
        parts.append(written(nothing, look))
    causes = [f"{plain_kind(c.kind)} ({place_text(c)})" for c in chain.contributing]
    parts.append(_list("Took part as well", causes, look))
    ruled_out = [f"{plain_kind(a.kind)}: {a.ruled_out}" for a in chain.alternatives]
    parts.append(_list("Ruled out", ruled_out, look))
    lacks = [f"{m.what} → record {m.record}" for m in chain.missing]
    parts.append(_list("Not in the bundle", lacks, look))
    return "\n".join(part for part in parts if part)


def _head(chain: Chain, look: Look) -> str:
    head = Text()
    head.append(visible(chain.req_id), style="bold")
    head.append(": ")
    head.append(chain.verdict.value.replace("_", " "), style=VERDICT_STYLES.get(chain.verdict, "bold"))
    head.append(f", {confidence_text(chain)}\n")
    head.append(VERDICT_SAYS[chain.verdict], style="dim")
    if chain.flip is not None:
        head.append("\n" + visible(flip_text(chain.flip, chain.reference)))
    elif chain.reference is not None:
        head.append(f"\ncompared with {visible(chain.reference)}")
    times = [ns for link in chain.links for ns in (link.start_ns, link.end_ns) if ns is not None]
    days = dict.fromkeys(map(day_text, (min(times), max(times)))) if times else {}
    when = f", {' to '.join(days)}, times in UTC" if days else ""
    head.append(f"\nbundle {visible(chain.bundle)}{when}", style="dim")
    return written(head, look)


def _link(link: Link, number: int, last: bool, look: Look) -> str:
    style = _GRADE_STYLES[link.grade]
    line = Text(f"{GRADE_MARKS[link.grade]} ", style=style)
    line.append(f"{number} {plain_kind(visible(link.kind))}", style="bold")
    place = place_text(link)
    if place:
        line.append(f"  {visible(place)}", style="not bold")
    gap = look.width - cell_len(line.plain) - len(link.grade.value)
    line.append(" " * gap if gap > 1 else "  ")
    line.append(link.grade.value, style=style)

    details = [Text(visible(link.summary))]
    # The day, and that it is UTC, stands at the top.
    ends = dict.fromkeys(clock_text(ns) for ns in (link.start_ns, link.end_ns) if ns is not None)
    figures = [t for t in (figure_text(link), chance_text(link), " to ".join(ends)) if t]
    if figures:
        details.append(Text(visible(" · ".join(figures))))
    if link.tests:
        details.append(Text(visible(_tests(link)), style="dim"))
    details += [Text(f"see {visible(evidence_text(evidence))}", style="dim") for evidence in link.evidence]
    margin = "    " if last else "│   "
    body = "".join(folded(detail, look, margin) for detail in details)
    head = written(line, look) if gap > 1 else folded(line, look, margin, "")
    return head + body + ("" if last else "▼\n")


def _tests(link: Link) -> str:
    """Which of the link's tests hold, fail, and were not made."""
    words: dict[str, list[str]] = {}
    for test in link.tests:
        words.setdefault(test_word(test), []).append(test.name)
    order = ("holds", "fails", "not made")
    return " · ".join(f"{word}: {', '.join(words[word])}" for word in order if word in words)


def _list(title: str, items: list[str], look: Look) -> str:
    if not items:
        return ""
    lines = [folded(Text(visible(item)), look, "    ", "  – ") for item in items]
    return written(Text(title, style="bold"), look) + "".join(lines)


def folded(text: Text, look: Look, margin: str, first: str | None = None) -> str:
    """The text folded beside a margin, every line of it; ``first`` instead on the first line."""
    inner = written(text, Look(max(look.width - cell_len(margin), 10), look.colour))
    lines = inner.splitlines()
    heads = [margin if first is None else first] + [margin] * (len(lines) - 1)
    return "".join(f"{head}{line}".rstrip() + "\n" for head, line in zip(heads, lines, strict=True))
