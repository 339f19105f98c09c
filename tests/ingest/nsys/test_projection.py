"""The projection against brute force: every range against every call."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.catalogue.catalogue import Catalogue
from postmortem.store.store import create, open_store

from .exports import global_id

TIMES = st.integers(0, 25)  # few, so that starts and ends coincide
SPAN = st.tuples(TIMES, TIMES).map(sorted)
THREADS = st.integers(1, 2)


@st.composite
def nested(draw, low: int = 0, high: int = 25, depth: int = 4) -> list[tuple[int, int]]:
    """Ranges that nest properly within [low, high], zero-length ones among them."""
    found: list[tuple[int, int]] = []
    at = low
    for _ in range(draw(st.integers(0, 3))):
        if at > high:
            break
        start = draw(st.integers(at, high))
        end = draw(st.integers(start, high))
        found.append((start, end))
        if depth > 1:
            found += draw(nested(start, end, depth - 1))
        at = end
    return found


RANGES = st.lists(st.tuples(THREADS, nested()), min_size=1, max_size=2)
CALLS = st.lists(st.tuples(THREADS, SPAN, st.integers(0, 3), SPAN), max_size=12)
INCIDENTS = st.lists(st.tuples(RANGES, CALLS), min_size=1, max_size=6)  # each a source of one store


INTO_NVTX = """INSERT INTO nvtx_events
    (source_id, event_id, global_tid, end_global_tid, start_ns, end_ns, style, text, never_popped)
    VALUES (?, ?, ?, ?, ?, ?, 'PushPop', 'r', false)"""
INTO_API = "INSERT INTO cuda_api (source_id, start_ns, end_ns, correlation_id, global_tid) VALUES (?, ?, ?, ?, ?)"
INTO_KERNELS = "INSERT INTO kernels (source_id, start_ns, end_ns, correlation_id, global_pid) VALUES (?, ?, ?, ?, ?)"


def brute_force(ranges, calls) -> list[tuple]:
    """Every range against every call of its thread."""
    rows = []
    for thread, start, end in ranges:
        held = [
            (begin, finish + extra)
            for t, (s, e), operations, (begin, finish) in calls
            for extra in range(operations)
            if t == thread and s >= start and e <= end
        ]
        if held:
            first, last = min(b for b, _ in held), max(f for _, f in held)
            rows.append((start, end - start, first, last - first, len(held), thread))
    return sorted(rows)


@settings(max_examples=12)
@given(incidents=INCIDENTS)
def test_equals_brute_force(tmp_path_factory, incidents):
    """On random stacks with ties, and calls that nest, cross and own any number of operations: the same rows."""
    store = tmp_path_factory.mktemp("projection") / "store.duckdb"
    nvtx, api, kernels, expected = [], [], [], {}
    for source, (ranges, calls) in enumerate(incidents):
        stack = [(thread, start, end) for thread, spans in ranges for start, end in spans]
        nvtx += [(source, i, global_id(1, t), global_id(1, t), s, e) for i, (t, s, e) in enumerate(stack)]
        for number, (thread, (start, end), operations, (begin, finish)) in enumerate(calls):
            api.append((source, start, end, number, global_id(1, thread)))
            kernels += [(source, begin, finish + extra, number, global_id(1)) for extra in range(operations)]
        expected[f"{source}.sqlite"] = brute_force(stack, calls)
    with create(store) as writer:
        writer.con.execute("BEGIN")
        for source in range(len(incidents)):
            writer.con.execute(
                "INSERT INTO sources (source_id, path, kind, bytes, rows, rejected, ignored, seconds) "
                "VALUES (?, ?, 'nsys_sqlite', 0, 0, 0, 0, 0)",
                [source, f"{source}.sqlite"],
            )
        for sql, rows in ((INTO_NVTX, nvtx), (INTO_API, api), (INTO_KERNELS, kernels)):
            if rows:
                writer.con.executemany(sql, rows)
        writer.con.execute("COMMIT")
    con = open_store(store)
    catalogue = Catalogue(con)

    def found(**params) -> list[tuple]:
        columns = ("start_ns", "duration_ns", "projected_start_ns", "projected_duration_ns", "gpu_ops", "tid")
        return sorted(tuple(r[c] for c in columns) for r in catalogue.rows("nvtx_gpu_projection", **params))

    for path, rows in expected.items():
        assert found(source=path) == rows
    assert found() == sorted(row for rows in expected.values() for row in rows)
    con.close()
