"""What an empty answer says: which record would do, and which others would do instead."""

from __future__ import annotations

import pytest

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
