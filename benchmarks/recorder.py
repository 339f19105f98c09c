"""What a record costs the server: ``python benchmarks/recorder.py``.

Three figures a record, in microseconds of the caller's core: handing it over
(``s()`` alone), writing it (``flush()``, which may wait until the iteration's
end or run in the recorder's thread), and a range while nobody listens. The
yardstick is ``json.dumps`` of the same fields on the same machine, now.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from postmortem.record import Recorder

RECORDS = 20_000  # a try; some seconds of a busy engine
TRIES = 7  # the median of these is told

FIELDS = {
    "req_id": "b-122", "step": 48, "iteration": 308, "ts_ns": 1795491859647796774, "batch_fp": "d0bb2b2e8349",
    "batch_size": 12, "shape": "q=1,k=62,h=8,d=512,tp=2", "queue_ms": 190.6349, "gpu_ms": 11.3291,
    "comm_ms": 2.9062, "sync_ms": 2.7495, "vram_free_mb": 12.0938, "workspace_free_mb": 2.0,
    "kv_pool_total_mb": 15.75, "kv_regime": "normal", "kv_evicted_blocks": 0, "recompute_tokens": 0,
    "paging_on": False, "queue_p95_ms": 428.6042, "precision_path": "bf16", "dequant_cycles": 336,
    "algo_id": 42, "kernel_variant": "gemm_t8_splitk64", "expected_algo_id": 42, "token_id": 916,
    "top2_token_id": 644, "margin": 0.390625,
}  # fmt: skip


def one_try(directory: Path) -> tuple[float, float, float, float]:
    """Microseconds a record: handed over, written, a silent range, the yardstick."""
    rec = Recorder(directory, replica="b", background=False, queue_size=RECORDS, ranges=False)
    t0 = time.perf_counter()
    for _ in range(RECORDS):
        rec.s(**FIELDS)
    t1 = time.perf_counter()
    rec.flush()
    t2 = time.perf_counter()
    for number in range(RECORDS):
        with rec.range("collective", op="AllReduce", seq=number):
            pass
    t3 = time.perf_counter()
    for _ in range(RECORDS):
        json.dumps(FIELDS)
    t4 = time.perf_counter()
    rec.close()
    assert rec.dropped == 0
    return tuple(1e6 * (b - a) / RECORDS for a, b in ((t0, t1), (t1, t2), (t2, t3), (t3, t4)))  # type: ignore[return-value]


def main() -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        tries = [one_try(Path(scratch) / str(number)) for number in range(TRIES)]
    put, write, silent, yardstick = (statistics.median(column) for column in zip(*tries, strict=True))
    print(f"hand over      {put:6.2f} µs a record")
    print(f"write          {write:6.2f} µs a record, {write / yardstick:.2f} x json.dumps ({yardstick:.2f} µs)")
    print(f"silent range   {silent:6.2f} µs")


if __name__ == "__main__":
    main()
