"""What an empty answer says: which record would do, and which others would do instead."""

from __future__ import annotations

import pytest

from postmortem.base.errors import QueryError
from postmortem.catalogue.catalogue import Catalogue
from postmortem.catalogue.parse import header
from postmortem.findings import absent
from tests.queries.test_every_query import HERE, store_with

OF_RANKS = ["rank_iterations", "replica_ranks", "late_ranks", "fabric_spells"]


@pytest.mark.parametrize("name", OF_RANKS)
def test_what_would_do_instead_is_named(name: str) -> None:
    """A rank's times come from s records, or from NVTX ranges: both are named."""
    (said,) = absent(Catalogue(store_with({})), name)
    assert said.startswith(
        "no s records in this bundle; record with: s records (postmortem.record in the server), or NVTX "
    )
    assert said.endswith("(nsys profile -t cuda,nvtx)")


def test_a_need_may_stand_alone() -> None:
    """Without an 'or', the table is all that is named."""
    found = header(HERE, "ranks", ["Title.", "needs: s_records(rank) or other things (so)", "needs: kernels(start_ns)"])
    assert (found.needs, found.instead) == (
        (("s_records", ("rank",)), ("kernels", ("start_ns",))), {"s_records": "other things (so)"},
    )  # fmt: skip


TWO = {
    "sources": [{"source_id": 0, "path": "rank0.sqlite"}, {"source_id": 1, "path": "rank1.sqlite"}],
    "kernels": [{"source_id": 0, "start_ns": 10, "end_ns": 20, "demangled_name": "a"}],
    "nsys_tables": [
        {
            "source_id": 0,
            "table_name": "CUPTI_ACTIVITY_KIND_KERNEL",
            "present": True,
            "rows": 1,
            "read_into": "kernels",
        },
        {"source_id": 1, "table_name": "CUPTI_ACTIVITY_KIND_KERNEL", "present": False, "read_into": "kernels"},
    ],
}


def test_a_source_without_the_table_is_told_from_one_without_rows() -> None:
    """The bundle has kernels and the source none: its missing table is named, and nothing said of the other source."""
    catalogue = Catalogue(store_with(TWO))
    assert catalogue.run("kernel_summary", source="rank1.sqlite").is_empty()
    (said,) = absent(catalogue, "kernel_summary", source="rank1.sqlite")
    assert said.startswith("no kernels in rank1.sqlite: it has no table CUPTI_ACTIVITY_KIND_KERNEL; record with: nsys ")
    assert absent(catalogue, "kernel_summary", source="rank0.sqlite") == []
    assert absent(catalogue, "kernel_summary") == []


def test_an_unknown_source_is_refused() -> None:
    """A path that is no source of the bundle: its sources are named."""
    catalogue = Catalogue(store_with(TWO))
    for ask in (catalogue.run, catalogue.rows, catalogue.count):
        with pytest.raises(QueryError, match=r"nope\.sqlite is no source.*rank0\.sqlite, rank1\.sqlite"):
            ask("kernel_summary", source="nope.sqlite")
