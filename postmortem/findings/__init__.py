"""Questions that SQL alone does not answer: statistics over rows of queries. One file a finding, each with ``FINDING``.

``ask`` answers any question of the library, be it a query or a finding.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from postmortem.base.errors import QueryError
from postmortem.base.rooms import rooms
from postmortem.catalogue.catalogue import queries
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    import polars as pl

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.parse import Header


@cache
def findings() -> dict[str, Finding]:
    """All findings by name. Raises QueryError where one bears a query's name."""
    found = rooms(sys.modules[__name__], "FINDING", Finding)
    for name in found.keys() & queries().keys():
        raise QueryError(name, "is a query and a finding")
    return found


def questions() -> dict[str, Header]:
    """The headers of all queries and findings, by name."""
    return dict(sorted({**queries(), **{name: f.header for name, f in findings().items()}}.items()))


def describe(name: str) -> Header:
    """The header of a query or finding. Raises QueryError with the nearest names."""
    known = questions()
    if name in known:
        return known[name]
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=3)
    raise QueryError(
        name, "is not a query", f"did you mean {' or '.join(near)}?" if near else "postmortem query BUNDLE lists them"
    )


def ask(catalogue: Catalogue, name: str, **params: Any) -> pl.DataFrame:
    """The answer of a query or finding; empty where the bundle lacks what it needs. Raises QueryError."""
    describe(name)
    return findings()[name].run(catalogue, **params) if name in findings() else catalogue.run(name, **params)


def ask_once(catalogue: Catalogue, name: str, **params: Any) -> pl.DataFrame:
    """The same, for many who ask for one bundle: a query's rows are kept. Nobody may change them."""
    return ask(catalogue, name, **params) if name in findings() else catalogue.kept(name, **params)


def absent(catalogue: Catalogue, name: str, source: str | None = None) -> list[str]:
    """What the question would need and the bundle (or that one source) does not hold: a sentence a table, with how to
    record it.
    """
    return catalogue.absent(describe(name), source)
