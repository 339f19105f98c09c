"""What comes out: a chain of links, each with its evidence and its grade.

``Chain.to_dict()`` is the JSON of ``postmortem chain --json`` (schema ``postmortem.chain/1``).
Times are UTC epoch ns on the bundle's clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA = "postmortem.chain/1"


class Grade(StrEnum):
    """How well a link is held by the evidence, best first."""

    PROVEN = "proven"
    SUPPORTED = "supported"
    CIRCUMSTANTIAL = "circumstantial"
    MISSING = "missing"


class Verdict(StrEnum):
    """What can be said of the request."""

    EXPLAINED = "explained"
    PARTIAL = "partial"
    UNEXPLAINED = "unexplained"
    DIFFERENT_INPUT = "different_input"
    NO_DIVERGENCE = "no_divergence"
    NO_REFERENCE = "no_reference"


@dataclass(frozen=True)
class Evidence:
    """A query with its parameters, and how many rows it gave: run it to see them."""

    query: str
    params: dict[str, Any]
    rows: int


@dataclass(frozen=True)
class Test:
    """One of the five tests of a link: ``holds`` is None where it could not be made.

    name: order, size, specificity, mechanism, counterfactual. ``figure`` is its number in
    ``unit`` (NaN-free; None where there is none), ``says`` one sentence.
    """

    name: str
    holds: bool | None
    says: str
    figure: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Link:
    """One node of the chain as it was found: what, where, when, how much, how sure."""

    kind: str
    summary: str
    grade: Grade
    replica: str | None = None
    rank: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    iteration: int | None = None
    value: float | None = None
    baseline: float | None = None
    unit: str = ""
    p_value: float | None = None
    tests: tuple[Test, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flip:
    """The first step at which the request's token differs from its reference's."""

    step: int
    exact: bool
    token_id: int
    reference_token_id: int
    margin: float | None
    iteration: int | None = None
    replica: str | None = None
    ts_ns: int | None = None


@dataclass(frozen=True)
class RootCause:
    """What set the chain off; ``rank`` is None where no rank is to blame."""

    kind: str
    rank: int | None
    replica: str | None
    start_ns: int | None
    end_ns: int | None


@dataclass(frozen=True)
class Alternative:
    """A cause that was looked for, and why it is not this one's."""

    kind: str
    ruled_out: str


@dataclass(frozen=True)
class Missing:
    """Evidence that would decide something and is not in the bundle, and how to record it."""

    what: str
    record: str


@dataclass(frozen=True)
class Chain:
    """The answer for one request. ``links`` run from the root cause to the flip."""

    bundle: str
    req_id: str
    reference: str | None
    verdict: Verdict
    confidence: float | None
    flip: Flip | None
    root_cause: RootCause | None
    links: tuple[Link, ...]
    contributing: tuple[RootCause, ...]
    alternatives: tuple[Alternative, ...]
    missing: tuple[Missing, ...]
    narrative: str

    def to_dict(self) -> dict[str, Any]:
        """The chain as plain JSON values, the schema's name first."""
        return {"schema": SCHEMA, **asdict(self)}
