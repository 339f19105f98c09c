"""The contract of a node kind, and the three answers that looking for one can give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from postmortem.chain.case import Case
from postmortem.chain.model import Link, Missing


@dataclass(frozen=True)
class Found:
    """The node is there. ``share`` is how much of the effect goes when it is taken out, 0 to 1; None: unknown.

    ``others`` are further nodes of the same kind that are there at the same time, say a second late rank;
    ``together`` is the 95 % interval of how much goes with all of them. ``missing`` would decide what is left open.
    ``whole``: without it iterations are as long as calm ones are, so that nothing is left for others to explain.
    """

    link: Link
    share: float | None = None
    others: tuple[Found, ...] = ()
    together: tuple[float, float] | None = None
    missing: tuple[Missing, ...] = ()
    whole: bool = False

    @property
    def range(self) -> tuple[float, float] | None:
        """The share's 95 % interval, where the link's counterfactual test has one."""
        for test in self.link.tests:
            if test.name == "counterfactual" and test.low is not None and test.high is not None:
                return test.low, test.high
        return None


@dataclass(frozen=True)
class RuledOut:
    """The evidence to see it is there, and it is not there; ``why`` holds the figure."""

    why: str


@dataclass(frozen=True)
class Unseen:
    """The evidence that would decide is not in the bundle; ``record`` would bring it."""

    what: str
    record: str


Outcome = Found | RuledOut | Unseen
Detect = Callable[[Case, Link | None], Outcome]
"""Looks for the node upstream of an effect's link (None: the walk begins here)."""


@dataclass(frozen=True)
class Kind:
    """One kind of node: ``leads_to`` names the effects that it can set off."""

    name: str
    role: Literal["root", "effect"]
    says: str
    seen_in: tuple[str, ...]
    leads_to: tuple[str, ...]
    refuted_by: str
    detect: Detect
