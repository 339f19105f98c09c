"""Samples of GPU metrics: GPU_METRICS, and the JSON of GENERIC_EVENTS that came before it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from postmortem.base.metric_names import told_by
from postmortem.ingest.reader import Batch, Reject
from postmortem.ingest.readers.nsys_sqlite.events import Seen
from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.rows import SHOWN, Column, Ledger, checked_times, required, rows

GPU_BITS = 0xFF  # the low byte of a type is the export's GPU number


def read(db: Database, ledger: Ledger, seen: Seen) -> Iterator[Batch]:
    """Batches of ``gpu_metrics`` from both encodings."""
    yield from _sampled(db, ledger, seen)
    yield from _generic(db, ledger, seen)


def _sampled(db: Database, ledger: Ledger, seen: Seen) -> Iterator[Batch]:
    """One row a metric and time. Ids of metrics are not stable: names come by (type, metric)."""
    wanted = [Column("typeId", required=True), Column("metricId", required=True), Column("metricName", "text")]
    names: dict[tuple[int, int], str] = {}
    for batch in rows(db, "TARGET_INFO_GPU_METRICS", wanted, ledger):
        for row in batch.to_pylist():
            names[row["typeId"], row["metricId"]] = row["metricName"] or f"metric {row['metricId']}"
    columns = [*(Column(c, required=True) for c in ("timestamp", "typeId", "metricId")), Column("value", "real", True)]
    for batch in rows(db, "GPU_METRICS", columns, ledger):
        batch = checked_times("GPU_METRICS", batch, "timestamp", None, ledger)
        pairs = pa.StructArray.from_arrays([batch.column("typeId"), batch.column("metricId")], ["t", "m"])
        encoded = _encoded(pairs)
        found = pa.array(
            [names.get((p["t"], p["m"]), f"metric {p['m']}") for p in encoded.dictionary.to_pylist()], pa.string()
        )
        seen.span(batch.column("timestamp"))
        yield Batch("gpu_metrics", pa.table({
            "gpu_id": pc.bit_wise_and(batch.column("typeId"), GPU_BITS),
            **_named(encoded.indices, found),
            "t_ns": batch.column("timestamp"),
            "value": batch.column("value"),
        }))  # fmt: skip


def _named(indices: pa.Array, names: pa.Array) -> dict[str, pa.Array]:
    """Metric names, and what they tell, as dictionaries over the same indices."""
    told = [told_by(n) for n in names.to_pylist()]
    columns = {"metric": names}
    columns |= {c: pa.array([getattr(t, c, None) for t in told], pa.string()) for c in ("kind", "reason", "family")}
    return {
        c: v.take(indices) if v.null_count else pa.DictionaryArray.from_arrays(indices, v) for c, v in columns.items()
    }


def _encoded(pairs: pa.StructArray) -> pa.DictionaryArray:
    """(type, metric) as a dictionary, which Arrow does not do for structs."""
    types, metrics = pairs.field("t").dictionary_encode(), pairs.field("m").dictionary_encode()
    width = max(len(metrics.dictionary), 1)
    joint = pc.add(pc.multiply(types.indices.cast(pa.int64()), width), metrics.indices.cast(pa.int64()))
    encoded = joint.dictionary_encode()
    t, m = types.dictionary.to_pylist(), metrics.dictionary.to_pylist()
    values = [{"t": t[j // width], "m": m[j % width]} for j in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(values, pairs.type))


def _generic(db: Database, ledger: Ledger, seen: Seen) -> Iterator[Batch]:
    """One JSON object of metrics a time. Other tools' generic events hold texts and are left aside."""
    described = [Column("sourceId"), Column("data", "text")]
    sources = {
        r["sourceId"]
        for batch in rows(db, "GENERIC_EVENT_SOURCES", described, ledger)
        for r in batch.to_pylist()
        if "metric" in (r["data"] or "").lower()
    }
    metric_types = {
        r["typeId"]
        for batch in rows(db, "GENERIC_EVENT_TYPES", [Column("typeId", required=True), *described], ledger)
        for r in batch.to_pylist()
        if "metric" in (r["data"] or "").lower() or r["sourceId"] in sources
    }
    columns = [Column("timestamp"), Column("rawTimestamp"), Column("typeId", required=True), Column("data", "text")]
    for batch in rows(db, "GENERIC_EVENTS", columns, ledger):
        batch = batch.filter(pc.is_in(batch.column("typeId"), pa.array(sorted(metric_types), pa.int64())))
        if not db.has("GENERIC_EVENTS", "timestamp"):  # raw times are of another clock, and a note says so
            batch = batch.set_column(1, "timestamp", batch.column("rawTimestamp"))
        batch = required("GENERIC_EVENTS", batch, [Column("timestamp", required=True)], ledger)
        batch = checked_times("GENERIC_EVENTS", batch, "timestamp", None, ledger)
        out: dict[str, list[object]] = {"gpu_id": [], "metric": [], "t_ns": [], "value": []}
        for row in batch.to_pylist():
            for metric, value in _object(row["_rowid"], row["data"], ledger).items():
                out["gpu_id"].append(row["typeId"] & GPU_BITS)
                out["metric"].append(metric)
                out["t_ns"].append(row["timestamp"])
                out["value"].append(value)
        types = {"gpu_id": pa.int64(), "t_ns": pa.int64(), "value": pa.float64()}
        names = pa.array(out.pop("metric"), pa.string()).dictionary_encode()
        seen.span(batch.column("timestamp"))
        numbers = {k: pa.array(v, types[k]) for k, v in out.items()}
        yield Batch("gpu_metrics", pa.table({**numbers, **_named(names.indices, names.dictionary)}))


def _object(rowid: int, text: str | None, ledger: Ledger) -> dict[str, float]:
    """Metrics of one sample; numbers come as text. A sample that is no such object is a reject."""
    try:
        values = json.loads(text or "")
        # JSON's names may hold half a character (a lone surrogate), which encode refuses
        return {k.encode().decode(): float(v) for k, v in values.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as e:
        ledger.rejects.append(Reject(rowid, f"GENERIC_EVENTS.data: {e}", (text or "")[:SHOWN]))
        return {}
