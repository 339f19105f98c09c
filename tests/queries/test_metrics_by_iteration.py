"""GPU metrics of an iteration, and what rank_residency takes of them, against a walk over single samples."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

Rows = list[dict[str, Any]]
# metric: (kind, reason, family); the shorter of two L2 hit rates is the whole one, the larger family of stalls counts
METRICS = {
    "L2 hit": ("l2_hit_rate", None, None),
    "L2 hit of reads": ("l2_hit_rate", None, None),
    "w long": ("stall", "long_scoreboard", "w *"),
    "w barrier": ("stall", "barrier", "w *"),
    "w selected": ("not_stalled", "selected", "w *"),
    "v long": ("stall", "long_scoreboard", "v *"),
}
ORIGIN = 1_000


def recorded(rng: np.random.Generator) -> tuple[dict[str, Rows], dict[tuple[int, int], tuple[int, int]]]:
    """Three ranks with two sampled GPUs, of which each ran on one, and the span of each rank's iterations."""
    given: dict[str, Rows] = {
        name: [] for name in ("sources", "clocks", "nvtx_events", "kernels", "cuda_api", "gpu_devices", "gpu_metrics")
    }
    spans = {}
    for rank in range(3):
        pid = (rank + 1) << 24
        given["sources"].append({"source_id": rank, "path": f"r{rank}", "replica": "b", "rank": rank})
        given["clocks"].append({"source_id": rank, "origin_ns": ORIGIN * rank})
        given["gpu_devices"].append({"source_id": rank, "device_id": 0, "gpu_id": rank % 2})
        begin = 0
        for lap in range(5):
            begin += int(rng.integers(0, 4))
            end = begin + int(rng.integers(0, 12))  # of no length, too
            spans[rank, lap] = (begin, end)
            times = {"source_id": rank, "start_ns": begin, "end_ns": end}
            keys = json.dumps({"n": lap})
            given["nvtx_events"].append({**times, "event_id": lap, "kind": "iteration", "keys": keys})
            kernel = {"device_id": 0, "stream_id": 7, "correlation_id": lap, "global_pid": pid, "demangled_name": "k"}
            given["kernels"].append({**times, **kernel})
            call = {"source_id": rank, "start_ns": begin, "end_ns": begin, "correlation_id": lap}
            given["cuda_api"].append({**call, "global_tid": pid | 1})
            begin = end + 1
        for gpu in range(2):
            for metric, (kind, reason, family) in METRICS.items():
                for at in np.flatnonzero(rng.random(60) < 0.3).tolist():
                    value = None if rng.random() < 0.05 else float(rng.integers(0, 9))
                    told = {"kind": kind, "reason": reason, "family": family, "t_ns": at, "value": value}
                    given["gpu_metrics"].append({"source_id": rank, "gpu_id": gpu, "metric": metric, **told})
    return given, spans


def mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_each_sample_counts_in_its_iteration(seed: int) -> None:
    """Samples of the GPU that ran the rank's kernels, both ends of an iteration included; missing values are none."""
    given, spans = recorded(np.random.default_rng(seed))
    catalogue = Catalogue(store_with(given))
    values = {
        (rank, lap, metric): [
            sample["value"]
            for sample in given["gpu_metrics"]
            if (sample["source_id"], sample["gpu_id"], sample["metric"]) == (rank, rank % 2, metric)
            and begin <= sample["t_ns"] <= end
        ]
        for (rank, lap), (begin, end) in spans.items()
        for metric in METRICS
    }
    sampled = {key: [v for v in found if v is not None] for key, found in values.items() if found}
    rows = catalogue.rows("rank_gpu_metrics")
    assert {(r["rank"], r["iteration"], r["metric"]): (r["value"], r["samples"]) for r in rows} == {
        key: (pytest.approx(mean(found)) if found else None, len(found)) for key, found in sampled.items()
    }
    for row in catalogue.rows("rank_residency"):
        hit, long, barrier = (
            sampled.get((row["rank"], row["iteration"], name), []) for name in ("L2 hit", "w long", "w barrier")
        )
        assert row["samples"] == len(hit)
        assert row["l2_hit"] == (pytest.approx(fmean(hit)) if hit else None)
        total = (mean(long) or 0.0) + (mean(barrier) or 0.0)
        assert row["long_scoreboard"] == (pytest.approx(fmean(long) / total) if long and total else None)
