""" "Before" is decided in one place: earlier by more than the clocks are unsure together."""

from __future__ import annotations

import re
from itertools import product

from postmortem.catalogue.catalogue import Catalogue, queries_folder
from tests.queries.test_every_query import store_with


def decided(one: int, other: int, joint: int | None) -> bool | None:
    """By words."""
    if joint is None or abs(other - one) <= joint:
        return None
    return one < other


def test_before_against_its_words() -> None:
    """All small moments and uncertainties, and one that is not known."""
    catalogue = Catalogue(store_with({}))
    catalogue._use(("is_before",))
    for one, other, joint in product(range(4), range(4), (0, 1, 2, None)):
        told = "NULL" if joint is None else joint
        frame = catalogue.sql(f"SELECT is_before({one}, {other}, {told}) AS before")
        assert frame["before"].to_list() == [decided(one, other, joint)]


def test_no_other_place_compares_times_with_uncertainties() -> None:
    """An uncertainty stands beside < or > in no query; who asks for an order of two sources asks is_before."""
    unsure = r"\b(?:uncertainty_ns|unsure_ns|joint_ns)\b"
    compares = re.compile(rf"{unsure}[\w.+ ]*[<>]|[<>][\w.+= ]*{unsure}")
    assert compares.search("a.at_ns - b.at_ns > a.uncertainty_ns + b.uncertainty_ns")
    guilty = [p.name for p in queries_folder().glob("*/*.sql") if compares.search(p.read_text("utf-8"))]
    assert set(guilty) <= {"is_before.sql"}
