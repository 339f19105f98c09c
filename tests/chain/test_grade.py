"""What a link's tests say, and the grade that follows: the contract's words, case by case."""

from __future__ import annotations

from math import inf, nan

import pytest

from postmortem.chain import model, tests_of
from postmortem.chain.grade import corrected, grade
from postmortem.chain.model import Grade, Link

NAMES = ("order", "size", "specificity", "mechanism", "counterfactual")
MARKS = {"+": True, "-": False, "?": None}  # a blank: there is no such test


def held_by(marks: str) -> tuple[model.Test, ...]:
    """The five tests in their order."""
    return tuple(model.Test(n, MARKS[m], "") for n, m in zip(NAMES, marks, strict=True) if m != " ")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("+++++", "proven"),
        ("++-++", "proven"),  # where ids join, chance is not asked
        ("++?+?", "proven"),
        ("+++ +", "supported"),
        ("++ + ", "proven"),  # no counterfactual exists
        ("+++-+", "supported"),
        ("+++?+", "supported"),
        ("++++-", "supported"),  # ids join, but less than half of the effect goes
        ("++-+-", "circumstantial"),
        ("++--+", "circumstantial"),
        ("++??+", "circumstantial"),
        ("+-+++", "circumstantial"),
        ("+?+++", "circumstantial"),
        ("+    ", "circumstantial"),
        ("-++++", "missing"),
        ("?++++", "missing"),
        (" ++++", "missing"),
    ],
)
def test_grade_follows_from_the_tests(marks: str, expected: str) -> None:
    """proven: ids join, order and size hold, and the counterfactual where there is one; supported: order, size and
    specificity; circumstantial: order alone.
    """
    assert str(grade(held_by(marks))) == expected


def test_kinds_tried_count_against_it() -> None:
    """p = 0.02 stays below 0.05 for two kinds and not for three; where chance was all that held it, the grade falls."""
    held = (*held_by("++ -+"), tests_of.specificity(0.02, "by hand"))
    link = Link("load_surge", "", Grade.SUPPORTED, p_value=0.02, tests=held)
    assert corrected(link, 1) is link
    two, three, many = (corrected(link, n) for n in (2, 3, 100))
    assert (two.p_value, str(two.grade)) == (0.04, "supported")
    assert (three.p_value, str(three.grade)) == (pytest.approx(0.06), "circumstantial")
    assert many.p_value == 1.0
    told = three.tests[-1]
    assert (told.name, told.holds, told.figure) == ("specificity", False, pytest.approx(0.06))
    assert "3 kinds tried; alone p = 0.02" in told.says
    assert three.tests[:-1] == held[:-1]
    undated = Link("load_surge", "", Grade.CIRCUMSTANTIAL, tests=held_by("+    "))
    assert corrected(undated, 9) is undated


def test_at_the_edges() -> None:
    """In the same iteration is no later; an interval that touches nothing shows nothing; p = 0.05 and a half hold."""
    assert [tests_of.order(a, 5).holds for a in (4, 5, 6)] == [True, True, False]
    assert [tests_of.order(a, b).holds for a, b in ((None, 5), (5, None))] == [None, None]
    assert tests_of.order(3, 5).figure == 2
    assert [tests_of.size(1.2, low, 1.5, "ratio", 1.0).holds for low in (0.9, 1.0, 1.1)] == [False, False, True]
    assert tests_of.size(nan, nan, nan, "ms", 0.0).holds is None
    endless = tests_of.size(inf, 2.0, inf, "ratio", 1.0)
    assert (endless.holds, endless.figure, endless.low, endless.high) == (True, None, 2.0, None)
    assert [tests_of.specificity(p, "").holds for p in (0.049, 0.05, 0.051)] == [True, True, False]
    shares = [tests_of.counterfactual(s, 0.1, 0.9, "") for s in (0.49, 0.5, nan)]
    assert [t.holds for t in shares] == [False, True, None]
    assert "49 % goes (95 % interval 10 to 90 %)" in shares[0].says
