"""Facts about the deployment that a question needs: each is asked for while it is not known."""

from __future__ import annotations

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with


def test_missing_facts_are_named() -> None:
    """An unknown fact is named with its unit and where to write it; one that the shapes or GPUs tell is not."""
    given = {
        "bundle": [{"key": "deployment.layers", "value": "80"}, {"key": "deployment.kv_heads", "value": '"eight"'}],
        "s_records": [{"line": 1, "replica": "a", "iteration": 1, "shape": "q=1,k=9,tp=4", "gpu_ms": 1.0}],
        "gpus": [{"source_id": 1, "gpu_id": 0, "memory_bandwidth": 3_000_000_000_000}],
    }
    catalogue = Catalogue(store_with(given))
    said = catalogue.absent(catalogue.describe("kv_bandwidth"))
    assert [line.split()[0] for line in said] == ["kv_heads", "head_dim", "kv_bytes"]
    assert all("[deployment]" in line for line in said)
