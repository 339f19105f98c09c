"""Words that every rendering shares: one wording for a grade, a place, a figure, a doubt.

Nothing here judges: the chain is finished when it comes.
"""

from __future__ import annotations

import unicodedata

from postmortem.base.units import count, date_text, number, percent, stretch_text, with_unit
from postmortem.chain.model import Chain, Evidence, Flip, Grade, Link, RootCause, Test, Verdict

#: A shape for each grade, so that no grade is told by its colour alone.
GRADE_MARKS: dict[Grade, str] = {
    Grade.PROVEN: "●",
    Grade.SUPPORTED: "◐",
    Grade.CIRCUMSTANTIAL: "○",
    Grade.MISSING: "?",
}

GRADE_SAYS: dict[Grade, str] = {
    Grade.PROVEN: "ids join, order and size hold; without the cause most of the effect goes, where that can be told",
    Grade.SUPPORTED: "order, size and specificity hold",
    Grade.CIRCUMSTANTIAL: "order alone",
    Grade.MISSING: "not even the order of cause and effect is shown",
}

VERDICT_SAYS: dict[Verdict, str] = {
    Verdict.EXPLAINED: "a root cause is found and every link holds",
    Verdict.PARTIAL: "it ends before a root cause, or something in it is not shown",
    Verdict.UNEXPLAINED: "the answers differ, and no cause that the bundle can show accounts for it",
    Verdict.DIFFERENT_INPUT: "the model saw another input or another decode configuration",
    Verdict.NO_DIVERGENCE: "the tokens are the same as the reference's",
    Verdict.NO_REFERENCE: "the bundle has no reference to hold it against",
}

#: Verdicts in which nothing is to be explained.
SAME = (Verdict.NO_DIVERGENCE, Verdict.NO_REFERENCE)

TEST_QUESTIONS: dict[str, str] = {
    "order": "does the cause begin no later than its effect?",
    "size": "is it large against the calm baseline?",
    "specificity": "how often would this stand together by chance?",
    "mechanism": "do ids join the two, rather than times alone?",
    "counterfactual": "how much of the effect goes when the cause is taken out?",
}

# A ratio beyond this says no more than that the baseline is as good as nothing.
MOST_TIMES = 1000

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def visible(text: str, keep: str = "") -> str:
    """The text with characters that hide, reorder or control written out.

    >>> visible("a\\x1b[31mb"), visible("x\\u202ey")
    ('a\\\\x1b[31mb', 'x\\\\u202ey')
    """
    if text.isprintable():
        return text
    return "".join(_shown(c) if c not in keep else c for c in text)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain_kind(kind: str) -> str:
    """A node kind as words: ``straggler_rank`` is ``straggler rank``."""
    return kind.replace("_", " ")


def confidence_text(chain: Chain) -> str:
    """The chain's confidence, or that none is given: no root cause is named."""
    if chain.confidence is None:
        return "no confidence given"
    return f"confidence {number(chain.confidence)}"


def place_text(place: Link | RootCause) -> str:
    """Where it was: rank, replica and iteration, as far as known."""
    parts = []
    if place.rank is not None:
        parts.append(f"rank {place.rank}")
    if place.replica is not None:
        parts.append(f"replica {place.replica}")
    if isinstance(place, Link) and place.iteration is not None:
        parts.append(f"iteration {place.iteration}")
    return ", ".join(parts)


def when_text(link: Link) -> str:
    """When it was, on the bundle's clock: start, and end where it lasts."""
    if link.start_ns is None:
        return ""
    if link.end_ns is None or link.end_ns == link.start_ns:
        return date_text(link.start_ns)
    return stretch_text(link.start_ns, link.end_ns)


def figure_text(link: Link) -> str:
    """The link's value against its baseline: ``1.9 ms, calm 0.7 ms (2.7x)``."""
    if link.value is None:
        return ""
    text = with_unit(link.value, link.unit)
    if link.baseline is None:
        return text
    text += f", calm {with_unit(link.baseline, link.unit)}"
    if link.unit != "ratio" and link.baseline > 0 and 0.1 <= link.value / link.baseline <= MOST_TIMES:
        text += f" ({with_unit(link.value / link.baseline, 'ratio')})"
    return text


def chance_text(link: Link) -> str:
    """The link's p-value as text, empty where there is none."""
    return "" if link.p_value is None else f"p = {number(link.p_value)}"


def test_word(test: Test) -> str:
    """Whether a test holds, as one word."""
    if test.holds is None:
        return "not made"
    return "holds" if test.holds else "fails"


def test_figure(test: Test) -> str:
    """A test's figure with its unit and interval, empty where there is none."""
    if test.figure is None:
        return ""
    if test.unit == "p":
        return f"p = {number(test.figure)}"
    times = 100.0 if test.unit == "share" else 1.0
    text = percent(test.figure) if test.unit == "share" else with_unit(test.figure, test.unit)
    if test.low is not None and test.high is not None:
        text += f" [{number(test.low * times)}, {number(test.high * times)}]"
    return text


def evidence_text(evidence: Evidence) -> str:
    """The query that shows it, as one would run it: ``name k=v … (12 rows)``."""
    words = [evidence.query, *(f"{k}={v}" for k, v in evidence.params.items())]
    return f"{' '.join(words)} ({count(evidence.rows, 'row')})"


def none_parted_text(compared: int, requests: int) -> str:
    """Why there is no chain: of how many requests it can be said that they did not part from their reference.

    >>> none_parted_text(8, 12)
    'of 12 requests 8 have a reference to compare with, and none parted from it'
    >>> none_parted_text(0, 12)
    'no request has a reference to compare with'
    >>> none_parted_text(0, 0)
    'no record tells of any request'
    """
    if not requests:
        return "no record tells of any request"
    if not compared:
        return "no request has a reference to compare with"
    have = "has" if compared == 1 else "have"
    return f"of {count(requests, 'request')} {compared:,} {have} a reference to compare with, and none parted from it"


def flip_text(flip: Flip, reference: str | None) -> str:
    """The flip in one sentence."""
    seen = "flipped" if flip.exact else "first seen to differ"
    text = f"{seen} at step {flip.step}: token {flip.token_id}"
    text += f" where {reference or 'its reference'} has {flip.reference_token_id}"
    if flip.margin is not None:
        text += f", margin {number(flip.margin)}"
    return text
