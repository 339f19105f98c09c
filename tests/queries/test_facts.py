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


def test_where_facts_come_from() -> None:
    """bundle.toml before what shapes or GPUs tell; of several GPUs the smallest, of shapes the most frequent tp."""
    shapes = ["q=1,tp=8", "q=1,tp=2", "q=1,tp=2", "q=1,tp=4", "q=1", "q=9,ktp=16"]
    given = {
        "bundle": [{"key": "deployment.layers", "value": "80"}, {"key": "deployment.tp", "value": "0"}],
        "s_records": [
            {"line": n, "replica": "a", "iteration": n, "shape": shape, "gpu_ms": 1.0} for n, shape in enumerate(shapes)
        ],
        "gpus": [
            {"source_id": 1, "gpu_id": 0, "memory_bandwidth": 3_350_000_000_000, "l2_bytes": 52_428_800},
            {"source_id": 1, "gpu_id": 1, "memory_bandwidth": 2_000_000_000_000, "l2_bytes": 41_943_040},
            {"source_id": 1, "gpu_id": 2, "memory_bandwidth": 0, "l2_bytes": 0},
        ],
    }
    told = Catalogue(store_with(given)).view("deployment_facts")
    assert sorted(told.rows()) == [
        ("hbm_gbps", 2000.0, "nsys"),
        ("l2_mb", 40.0, "nsys"),
        ("layers", 80.0, "bundle.toml"),
        ("tp", 2.0, "shapes of s records"),
    ]
    given["bundle"] = [{"key": "deployment.tp", "value": "1"}, {"key": "deployment.l2_mb", "value": "50"}]
    told = Catalogue(store_with(given)).view("deployment_facts")
    assert sorted(told.rows()) == [
        ("hbm_gbps", 2000.0, "nsys"),
        ("l2_mb", 50.0, "bundle.toml"),
        ("tp", 1.0, "bundle.toml"),
    ]
