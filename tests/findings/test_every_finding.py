"""Every finding: header, declared columns, what it says of nothing, and that the shipped incidents can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue, queries
from postmortem.catalogue.finding import Finding
from postmortem.findings import findings
from postmortem.store.schema import tables
from tests.queries.test_every_query import store_with

FINDINGS = findings()
HERE = Path(__file__).parent


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
def test_header_is_whole(finding: Finding) -> None:
    """A finding tells its title and columns, and needs tables, columns and queries that exist."""
    header = finding.header
    assert header.title.endswith((".", "?"))
    assert "can't tell" in header.doc
    assert header.columns
    assert header.needs
    for table, columns in header.needs:
        assert set(columns) <= set(tables()[table].column_names)
    for name in header.uses:
        assert name in queries() or name in FINDINGS


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
def test_of_an_empty_store_it_finds_nothing(finding: Finding) -> None:
    """Without rows a finding is empty, in its declared columns."""
    frame = finding.run(Catalogue(store_with({})))
    assert frame.is_empty()
    assert frame.columns == [c.name for c in finding.header.columns]


@pytest.mark.slow
@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
def test_the_shipped_incidents_can_be_asked(finding: Finding, shipped: dict[str, Incident]) -> None:
    """On real recordings a finding answers, the same twice."""
    for incident in shipped.values():
        once, again = (finding.run(Catalogue(incident._con)) for _ in range(2))
        assert once.equals(again, null_equal=True)


@pytest.mark.parametrize("name", FINDINGS)
def test_has_tests_of_its_own(name: str) -> None:
    """Every finding has a test file: a case by hand, a property, an answer on a recording."""
    assert (HERE / f"test_{name}.py").is_file(), f"write tests/findings/test_{name}.py"
