"""One trap of the format a test, in exports of a few rows."""

from __future__ import annotations

import gzip
import json
import sqlite3

import pytest

from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.reader import Facts, Head, Note, Reject, Source
from postmortem.ingest.readers.nsys_sqlite import READER

from .conftest import load, unchanged
from .exports import SCHEMA, STRINGS, build, call, global_id, kernel, nvtx, ordinary


@pytest.fixture
def export(tmp_path):
    """Builds an export and loads it: ``export(NVTX_EVENTS=[...])``, with ``source=`` options."""

    def make(source=None, **tables):
        path = build(tmp_path / "rank0.sqlite", **tables)
        return load(path, tmp_path / "store.duckdb", **(source or {}))

    return make


def notes(loaded) -> set[str]:
    return {i.code for i in loaded.items if isinstance(i, Note)}


def rejects(loaded) -> list[Reject]:
    return [i for i in loaded.items if isinstance(i, Reject)]


def facts(loaded) -> Facts:
    return next(i for i in loaded.items if isinstance(i, Facts))


def test_other_sqlite_files_are_not_claimed(tmp_path):
    """A SQLite file without the tables of an export, and nvprof's with its StringTable, are left to others."""
    nvprof = ["CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER)", "CREATE TABLE StringTable (id INTEGER)"]
    for tables in (["CREATE TABLE notes (id INTEGER)"], nvprof):
        path = tmp_path / f"{len(tables)}.sqlite"
        con = sqlite3.connect(path)
        for table in tables:
            con.execute(table)
        con.commit()
        con.close()
        assert READER.sniff(Head(path.name, path.read_bytes(), path)) == 0


def test_a_packed_export_is_read(tmp_path):
    """A gzipped export gives the same as the plain one, and nothing is unpacked beside it."""
    plain = ordinary(tmp_path / "plain.sqlite")
    packed = tmp_path / "in" / "plain.sqlite.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    head = Head(packed.name, plain.read_bytes()[:65536], packed, "gz")
    assert READER.sniff(head) == 100
    with unchanged(packed):
        loaded = load(packed, tmp_path / "store.duckdb", packed="gz")
    assert loaded.rows("SELECT count(*) FROM kernels") == [(200,)]


@pytest.mark.parametrize(("beside", "content"), [("-wal", b"x" * 32), ("-journal", bytes.fromhex("d9d505f920a163d7"))])
def test_unapplied_changes_are_refused(tmp_path, beside, content):
    """A -wal with content or a hot -journal beside the export: refused in one line, with a remedy, untouched."""
    path = ordinary(tmp_path / "rank0.sqlite")
    other = tmp_path / f"rank0.sqlite{beside}"
    other.write_bytes(content)
    with unchanged(path), pytest.raises(SourceUnreadable, match=f"{beside}.*; export it again") as error:
        list(READER.read(Source(path.name, path)))
    assert "\n" not in str(error.value)
    assert other.read_bytes() == content


def test_a_finished_journal_and_an_empty_wal_are_no_hindrance(tmp_path):
    """SQLite zeroes a journal it is done with, and an empty -wal holds nothing."""
    path = ordinary(tmp_path / "rank0.sqlite")
    (tmp_path / "rank0.sqlite-journal").write_bytes(b"\0" * 512)
    (tmp_path / "rank0.sqlite-wal").write_bytes(b"")
    assert load(path, tmp_path / "store.duckdb").rows("SELECT count(*) FROM kernels") == [(200,)]


def test_wal_mode_without_a_wal_is_read_and_said(tmp_path):
    """An export in WAL mode whose log was written back opens, with a note, and gets no -shm or -wal beside it."""
    path = ordinary(tmp_path / "in.sqlite")
    con = sqlite3.connect(path)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("INSERT INTO StringIds VALUES (9, 'late')")
    con.commit()
    con.close()
    store = tmp_path / "out" / "store.duckdb"
    store.parent.mkdir()
    with unchanged(path):
        loaded = load(path, store)
    assert "wal_mode" in notes(loaded)
    assert loaded.rows("SELECT count(*) FROM kernels") == [(200,)]


def test_a_record_of_another_type_is_a_reject_and_no_other(export):
    """Text, a real or a blob where an integer belongs, or no value where one must be: that row, with its rowid."""
    loaded = export(
        StringIds=STRINGS,
        CUPTI_ACTIVITY_KIND_RUNTIME=[
            call(0, 5, 1), call("soon", 5, 2), call(10, 15, 3), call(20.5, 25, 4), call(30, 35, 5, globalTid=b"\xff")
        ],
        GPU_METRICS=[
            {"timestamp": 5, "typeId": 256, "metricId": 1, "value": 1},
            {"timestamp": None, "typeId": 256, "metricId": 1, "value": 2},
        ],
    )  # fmt: skip
    assert loaded.rows("SELECT correlation_id FROM cuda_api ORDER BY 1") == [(1,), (3,)]
    assert [(r.place, r.reason) for r in rejects(loaded)] == [
        (2, "CUPTI_ACTIVITY_KIND_RUNTIME.start: text where an integer belongs"),
        (4, "CUPTI_ACTIVITY_KIND_RUNTIME.start: real where an integer belongs"),
        (5, "CUPTI_ACTIVITY_KIND_RUNTIME.globalTid: text where an integer belongs"),
        (2, "GPU_METRICS.timestamp: has no value"),
    ]
    assert loaded.rows("SELECT rows FROM nsys_tables WHERE table_name = 'CUPTI_ACTIVITY_KIND_RUNTIME'") == [(5,)]


def test_impossible_times_are_rejects(export):
    """An end before its start, or a time that sums could not hold, is refused by name."""
    loaded = export(
        StringIds=STRINGS,
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(10, 20), kernel(30, 20), kernel(-(2**63), 5), kernel(-5, 2)],
    )
    assert loaded.rows("SELECT start_ns FROM kernels ORDER BY 1") == [(-5,), (10,)]
    assert [(r.place, r.reason) for r in rejects(loaded)] == [
        (2, "CUPTI_ACTIVITY_KIND_KERNEL: impossible times"),
        (3, "CUPTI_ACTIVITY_KIND_KERNEL: impossible times"),
    ]


def test_texts_that_are_no_utf8_are_kept_and_said(export):
    """Invalid UTF-8 in a text or a registered string shows as U+FFFD, and the audit says so."""
    loaded = export(
        StringIds=[{"id": 1, "value": b"gemm\xff"}],
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 1)],
        NVTX_EVENTS=[nvtx(0, 9, None, textId=1), nvtx(0, 9, b"\xc3(")],
    )
    assert loaded.rows("SELECT demangled_name FROM kernels") == [("gemm\ufffd",)]
    assert loaded.rows("SELECT text FROM nvtx_events ORDER BY event_id") == [("gemm\ufffd",), ("\ufffd(",)]
    assert "not_utf8" in notes(loaded)
    assert not rejects(loaded)


ENVIRONMENT = [
    {"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "API_KEY=hunter2"},
    {"name": "PROCESS_0:ARGUMENT_0", "value": "--token=hunter2"},
    {"name": "ENVIRONMENT_VARIABLE", "value": "RANK=3"},
]
BLOCK = [{"id": 1, "value": "python\0serve.py\0--token=hunter2"}, {"id": 2, "value": "x_v1"}]
DEVICE = [{"name": "DeviceEnvironment", "value": "HOME=/home/hunter2"}, {"name": "Hostname", "value": "node7"}]


@pytest.mark.parametrize("keep", [False, True])
def test_secrets_stay_out_unless_asked_for(tmp_path, keep):
    """Values of environment variables and argument blocks are nowhere in the store, unless they may be kept."""
    path = build(
        tmp_path / "rank0.sqlite", StringIds=BLOCK, META_DATA_CAPTURE=ENVIRONMENT, TARGET_INFO_SYSTEM_ENV=DEVICE,
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 1)], NVTX_EVENTS=[nvtx(0, 1, None, textId=1)],
    )  # fmt: skip
    store = tmp_path / "store.duckdb"
    loaded = load(path, store, keep_environment=keep)
    tables = [t for (t,) in loaded.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal")]
    held = repr([loaded.rows(f"FROM {t}") for t in tables] + loaded.items)
    assert ("hunter2" in held) == keep
    assert "API_KEY" in held
    assert facts(loaded).rank == 3
    assert facts(loaded).rank_from == "environment"
    if not keep:
        assert loaded.rows("SELECT demangled_name FROM kernels") == [("python <left out>",)]
        assert b"hunter2" not in store.read_bytes()


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_a_piece_of_a_value_is_no_variables_name(export, separator):
    """Keys, JSON and functions have lines and equals signs of their own; none of them is shown as a name."""
    values = ["A=1", "KEY=-----BEGIN\nhunter2/+a\nhunter2==\n-----END", "RANK=3", 'F=() {\n  hunter2 "b=2"\n}', "B=x=y"]
    device = [
        {"name": "DeviceEnvironment", "value": separator.join(values)},
        {"name": "DeviceEnvironment", "value": '{"TOKEN": "hunter2", "OTHER": "c=3"}'},
    ]
    loaded = export(
        TARGET_INFO_SYSTEM_ENV=device,
        META_DATA_CAPTURE=[{"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "hunter2"}],
    )
    assert loaded.rows("FROM nsys_environment SELECT name") == [(n,) for n in ("A", "KEY", "RANK", "F", "B")]
    assert facts(loaded).rank == 3


def test_a_rank_needs_one_value_and_one_process(export):
    """Two values of RANK, or two processes with GPU work, leave the rank unknown and said."""
    two = [{"name": f"PROCESS_{i}:ENVIRONMENT_VARIABLE", "value": f"RANK={i}"} for i in range(2)]
    loaded = export(META_DATA_CAPTURE=two)
    assert facts(loaded).rank is None
    assert "several_ranks" in notes(loaded)


def test_two_processes_share_no_rank(export):
    """SLURM_PROCID of a launcher is not the rank of each of its processes."""
    loaded = export(
        StringIds=STRINGS,
        META_DATA_CAPTURE=[{"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "SLURM_PROCID=1"}],
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 1), kernel(0, 1, globalPid=global_id(11))],
    )
    assert facts(loaded).rank is None
    assert "several_ranks" in notes(loaded)


def test_a_redacted_rank_is_no_rank(export):
    """``RANK=<redacted>`` says nothing."""
    loaded = export(META_DATA_CAPTURE=[{"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": "RANK=<redacted>"}])
    assert facts(loaded).rank is None


def test_domains_are_numbered_by_their_process(export):
    """Domain 1 of two processes has two names; without its creation it has none."""
    other = global_id(11, 11)
    loaded = export(NVTX_EVENTS=[
        nvtx(0, None, "NCCL", 75, domainId=1), nvtx(0, None, "engine", 75, domainId=1, globalTid=other),
        nvtx(1, 2, "a", domainId=1), nvtx(1, 2, "b", domainId=1, globalTid=other),
        nvtx(1, 2, "c", domainId=1, globalTid=global_id(12, 12)), nvtx(1, 2, "d"),
        nvtx(0, None, "phase", 33, domainId=1, category=4), nvtx(1, 2, "e", domainId=1, category=4),
    ])  # fmt: skip
    assert loaded.rows("SELECT text, domain, category FROM nvtx_events ORDER BY text") == [
        ("a", "NCCL", None), ("b", "engine", None), ("c", None, None), ("d", None, None), ("e", "NCCL", "phase"),
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_ranges_of_unnamed_domains_are_said(export, known):
    """A slice that lost a domain's creation cannot tell that its ranges are ours, and says so; domain 0 has no name."""
    ranges = [nvtx(1, 2, "iteration n=4", domainId=1), nvtx(1, None, "schedule n=4", 34, domainId=1), nvtx(1, 2, "x")]
    loaded = export(NVTX_EVENTS=[nvtx(0, None, "postmortem", 75, domainId=1)] * known + ranges)
    said = [i.message for i in loaded.items if isinstance(i, Note) and i.code == "unnamed_domains"]
    assert [m.split(" are ")[0] for m in said] == ([] if known else ["2 NVTX ranges and marks"])
    assert loaded.rows("SELECT count(kind) FROM nvtx_events") == [(2 if known else 0,)]


def test_a_range_that_was_never_popped_is_flagged(export):
    """Its end is the session's end, or missing; a mark has no end and is no such range."""
    loaded = export(
        ANALYSIS_DETAILS=[{"globalVid": 0, "duration": 100}],
        NVTX_EVENTS=[nvtx(0, 100, "open"), nvtx(0, 99, "closed"), nvtx(0, None, "lost"), nvtx(5, None, "mark", 34)],
    )
    flags = dict(loaded.rows("SELECT text, never_popped FROM nvtx_events"))
    assert flags == {"open": True, "closed": False, "lost": True, "mark": False}
    assert "never_popped" in notes(loaded)


START = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("normalize", "shift", "moved"),
    [("false", "0", 0), ("true", "0", START), ("false", "-700", -700), ("true", "700", START + 700)],
)
def test_what_an_exporter_added_to_times_is_taken_off(export, normalize, shift, moved):
    """``--ts-normalize=true`` and ``--ts-shift``: 40 ns after the start is that, and what was popped is not open."""
    meta = {"EXPORT_PARAM_TIME_NORMALIZE": normalize, "EXPORT_PARAM_TIME_SHIFT": shift}
    loaded = export(
        META_DATA_EXPORT=[{"name": k, "value": v} for k, v in meta.items()],
        TARGET_INFO_SESSION_START_TIME=[{"utcEpochNs": START}],
        ANALYSIS_DETAILS=[{"globalVid": 0, "duration": 100}],
        NVTX_EVENTS=[nvtx(40 + moved, 99 + moved, "closed"), nvtx(40 + moved, 100 + moved, "open")],
    )
    told = facts(loaded)
    assert told.origin_ns + told.first_ns == START + 40
    assert dict(loaded.rows("SELECT text, never_popped FROM nvtx_events")) == {"closed": False, "open": True}
    assert ("times_in_utc" in notes(loaded)) == (normalize == "true")
    assert ("times_shifted" in notes(loaded)) == (shift != "0")


@pytest.mark.parametrize("left", ["TABLES", "TIMES"])
def test_what_was_not_exported_may_have_been_recorded(export, left):
    """``nsys export --tables`` or ``--times``: that nothing else was recorded cannot be said."""
    loaded = export(META_DATA_EXPORT=[{"name": f"EXPORT_PARAM_{left}_TO_EXPORT", "value": "NVTX.*"}])
    said = {i.code: i.message for i in loaded.items if isinstance(i, Note)}
    assert f"exported with --{left.lower()}=NVTX.*:" in said["partial_export"]
    assert said["no_kernels"].startswith("no kernel was exported (")
    assert said["no_nvtx"].startswith("no NVTX range was exported (")


@pytest.mark.parametrize(("text", "kind", "keys"), [
    ("iteration n=1234 batch=32", "iteration", {"n": 1234, "batch": 32}),
    ("schedule n=1 batch=12 reason=slo", "schedule", {"n": 1, "batch": 12, "reason": "slo"}),
    ("isr_pin mb=2048.5", "isr_pin", {"mb": 2048.5}),
    ("fallback op=gemm why=", "fallback", {"op": "gemm", "why": ""}),
    ("collective seq=007", "collective", {"seq": "007"}),
    ("dequant", "dequant", {}),
    ("just a sentence", None, None),
    ("", None, None),
])  # fmt: skip
def test_the_grammar_of_our_own_domain(export, text, kind, keys):
    """``kind key=value …``: numbers as numbers, other values as text; what does not fit tells nothing and is said."""
    loaded = export(NVTX_EVENTS=[nvtx(0, None, "postmortem", 75, domainId=1), nvtx(0, 1, text, domainId=1)])
    [(got_kind, got_keys)] = loaded.rows("SELECT kind, keys FROM nvtx_events")
    assert (got_kind, got_keys and json.loads(got_keys)) == (kind, keys)
    assert ("nvtx_unparsed" in notes(loaded)) == (kind is None)


def test_the_bundle_maps_other_texts(export):
    """A pattern of the bundle gives kind and keys to any domain's texts; other texts stay untold."""
    patterns = {"iteration": r"execute_model_(?P<n>\d+)_bs(?P<batch>\d+)", "kv_evict": r"evicted (?P<blocks>\d+) blk"}
    events = [nvtx(0, 1, "execute_model_7_bs32"), nvtx(1, 2, "pager evicted 31 blk"), nvtx(2, 3, "iteration n=1")]
    loaded = export(source={"nvtx": patterns}, NVTX_EVENTS=events)
    assert loaded.rows("SELECT kind, keys FROM nvtx_events ORDER BY event_id") == [
        ("iteration", '{"n": 7, "batch": 32}'), ("kv_evict", '{"blocks": 31}'), (None, None),
    ]  # fmt: skip


def test_a_pattern_that_is_no_expression_is_refused(tmp_path):
    """A broken regular expression names its kind."""
    path = ordinary(tmp_path / "rank0.sqlite")
    with pytest.raises(SourceUnreadable, match="pattern of iteration"):
        list(READER.read(Source(path.name, path, nvtx={"iteration": "("})))


def test_payloads_keep_their_kind(export):
    """Unsigned numbers beyond 63 bits come back whole; signed, floating and registered JSON beside them."""
    loaded = export(
        StringIds=[{"id": 5, "value": '{"a": 1}'}],
        NVTX_EVENTS=[
            nvtx(0, 1, "u", uint64Value=-1), nvtx(0, 1, "i", int32Value=-7), nvtx(0, 1, "d", doubleValue=0.5),
            nvtx(0, 1, "j", jsonTextId=5), nvtx(0, 1, "w", uint32Value=-1),
        ],
    )  # fmt: skip
    sql = "SELECT payload_uint, payload_int, payload_float, payload_json FROM nvtx_events ORDER BY event_id"
    assert loaded.rows(sql) == [
        (2**64 - 1, None, None, None), (None, -7, None, None), (None, None, 0.5, None),
        (None, None, None, '{"a": 1}'), (2**32 - 1, None, None, None),
    ]  # fmt: skip


def test_a_sample_may_be_no_whole_number(export):
    """Exports up to 2026 hold whole numbers; a share or a mean need not be one."""
    values = [55, 55.25, -3, 2**40]
    loaded = export(
        GPU_METRICS=[{"timestamp": i, "typeId": 256, "metricId": 1, "value": v} for i, v in enumerate(values)]
    )
    assert loaded.rows("SELECT value FROM gpu_metrics ORDER BY t_ns") == [(float(v),) for v in values]
    assert not rejects(loaded)


def test_metrics_of_both_encodings(export):
    """GPU_METRICS with its names, and the JSON of GENERIC_EVENTS: by name, with the GPU in the type's low byte."""
    gpu1 = (7 << 8) | 1
    loaded = export(
        TARGET_INFO_GPU_METRICS=[
            {"typeId": gpu1, "sourceId": 1, "typeName": "g", "metricId": 3, "metricName": "SMs Active [Throughput %]"},
            {"typeId": gpu1, "sourceId": 1, "typeName": "g", "metricId": 4, "metricName": "L2 Hit Rate [Ratio %]"},
        ],
        GPU_METRICS=[
            {"timestamp": -5, "typeId": gpu1, "metricId": 3, "value": 99},
            {"timestamp": 10, "typeId": gpu1, "metricId": 4, "value": 80},
            {"timestamp": 10, "typeId": gpu1, "metricId": 9, "value": 1},
        ],
        GENERIC_EVENT_TYPES=[
            {"typeId": 258, "sourceId": 1, "data": '{"Name": "GPU Metrics"}'},
            {"typeId": 1, "sourceId": 2, "data": "{}"},
        ],
        GENERIC_EVENTS=[
            {"rawTimestamp": 77, "timestamp": 20, "typeId": 258, "data": '{"SM Active": "55", "SM Issue": "5"}'},
            {"rawTimestamp": 78, "timestamp": 21, "typeId": 258, "data": "torn"},
            {"rawTimestamp": 79, "typeId": 1, "data": '{"text": "another tool"}'},
        ],
    )  # fmt: skip
    assert loaded.rows("SELECT gpu_id, metric, kind, t_ns, value FROM gpu_metrics ORDER BY t_ns, metric") == [
        (1, "SMs Active [Throughput %]", None, -5, 99.0),
        (1, "L2 Hit Rate [Ratio %]", "l2_hit_rate", 10, 80.0),
        (1, "metric 9", None, 10, 1.0),
        (2, "SM Active", None, 20, 55.0),
        (2, "SM Issue", None, 20, 5.0),
    ]
    assert [(r.place, r.text) for r in rejects(loaded)] == [(2, "torn")]


GENERIC = [{"typeId": 258, "sourceId": 1, "data": '{"Name": "GPU Metrics"}'}]


def test_a_sample_without_its_time_is_a_reject(export):
    """rawTimestamp is of another clock: where the session's time is NULL, the sample has none."""
    loaded = export(
        GENERIC_EVENT_TYPES=GENERIC,
        GENERIC_EVENTS=[
            {"rawTimestamp": 546598186123, "timestamp": 20, "typeId": 258, "data": '{"SM Active": "50"}'},
            {"rawTimestamp": 546598186223, "typeId": 258, "data": '{"SM Active": "70"}'},
            {"rawTimestamp": 546598186323, "typeId": 1, "data": '{"text": "another tool"}'},
        ],
    )
    assert loaded.rows("SELECT t_ns, value FROM gpu_metrics") == [(20, 50.0)]
    assert [(r.place, r.reason) for r in rejects(loaded)] == [(2, "GENERIC_EVENTS.timestamp: has no value")]
    assert "raw_clock" not in notes(loaded)


def test_where_samples_have_raw_times_alone_it_is_said(export, monkeypatch):
    """An export without the column takes rawTimestamp, and the audit says so."""
    monkeypatch.setitem(SCHEMA, "GENERIC_EVENTS", "rawTimestamp INTEGER, typeId INTEGER, data TEXT")
    sample = {"rawTimestamp": 77, "typeId": 258, "data": '{"SM Active": "50"}'}
    loaded = export(GENERIC_EVENT_TYPES=GENERIC, GENERIC_EVENTS=[sample])
    assert loaded.rows("SELECT t_ns, value FROM gpu_metrics") == [(77, 50.0)]
    assert "raw_clock" in notes(loaded)


@pytest.mark.parametrize("torn", ['{"SM Active": ' + "1" * 400 + "}", '{"\\ud800": 1}'], ids=["huge", "surrogate"])
def test_a_sample_that_no_column_holds_is_one_reject(export, torn):
    """A number beyond a double, or a name that is no Unicode: that sample, and not the file."""
    loaded = export(
        GENERIC_EVENT_TYPES=GENERIC,
        GENERIC_EVENTS=[
            {"rawTimestamp": 7, "timestamp": 20, "typeId": 258, "data": torn},
            {"rawTimestamp": 8, "timestamp": 21, "typeId": 258, "data": '{"SM Active": "70"}'},
        ],
    )
    assert loaded.rows("SELECT t_ns, value FROM gpu_metrics") == [(21, 70.0)]
    assert [(r.place, r.text) for r in rejects(loaded)] == [(1, torn[:200])]


@pytest.mark.parametrize("digits", ["1" * 5000, "9" * 400 + ".0"], ids=["whole", "real"])
def test_a_number_that_nothing_holds_stays_text(export, digits):
    """Longer than any double's digits: the key keeps its text, its JSON is valid, and the next range is read."""
    domain = nvtx(0, None, "postmortem", 75, domainId=1)
    own = [nvtx(at, 9, text, domainId=1) for at, text in enumerate((f"isr_pin mb={digits}", "iteration n=5"))]
    loaded = export(NVTX_EVENTS=[domain, *own])
    found = loaded.rows("SELECT keys->>'$.mb', TRY_CAST(keys->>'$.n' AS BIGINT) FROM nvtx_events ORDER BY event_id")
    assert found == [(digits, None), (None, 5)]


def test_graph_launches_without_their_kernels_are_said(export):
    """Graph granularity hides kernels, node granularity does not."""
    launch = call(0, 1, 1, 3)
    names = [*STRINGS, {"id": 3, "value": "cudaGraphLaunch_v10000"}]
    graph = {"start": 0, "end": 9, "graphId": 1, "graphExecId": 2, "correlationId": 1, "globalPid": global_id(10)}
    hidden = export(StringIds=names, CUPTI_ACTIVITY_KIND_RUNTIME=[launch], CUPTI_ACTIVITY_KIND_GRAPH_TRACE=[graph])
    assert "graphs_hide_kernels" in notes(hidden)
    assert hidden.rows("SELECT graph_id, end_ns FROM graph_launches") == [(1, 9)]


def test_graph_nodes_are_kernels(export):
    """At node granularity the kernels are there, so nothing is said."""
    names = [*STRINGS, {"id": 3, "value": "cudaGraphLaunch_v10000"}]
    shown = export(
        StringIds=names,
        CUPTI_ACTIVITY_KIND_RUNTIME=[call(0, 1, 1, 3)],
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 5, correlationId=1, graphNodeId=4)],
    )
    assert "graphs_hide_kernels" not in notes(shown)


def test_graphs_recorded_both_ways_hide_some(export):
    """One process's graphs by their nodes, another's whole: what those hold is missing all the same."""
    graph = {"start": 0, "end": 9, "graphId": 1, "graphExecId": 2, "correlationId": 1, "globalPid": global_id(11)}
    both = export(
        StringIds=STRINGS,
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 5, correlationId=1, graphNodeId=4)],
        CUPTI_ACTIVITY_KIND_GRAPH_TRACE=[graph],
    )
    assert "graphs_hide_kernels" in notes(both)


def test_the_profilers_own_losses_are_said(export):
    """A warning of lost events is a data loss; a remark about what was collected is nothing to say."""
    said = [
        {"timestamp": -5, "timestampType": 1, "source": 2, "severity": 2, "text": "Buffer overflow: 12 events lost"},
        {"timestamp": 5, "timestampType": 1, "source": 2, "severity": 1, "text": "Number of CUDA events collected: 3"},
    ]
    loaded = export(DIAGNOSTIC_EVENT=said)
    losses = [i for i in loaded.items if isinstance(i, Note) and i.code == "lost_events"]
    assert [n.severity for n in losses] == ["data_loss"]
    assert loaded.rows("SELECT t_ns, severity FROM diagnostics ORDER BY 1") == [(-5, "warning"), (5, "info")]


@pytest.mark.parametrize("what", ["NVTX", "CUDA"])
def test_events_that_might_not_be_whole_are_a_loss(export, what):
    """The profiler's own wording of 2026 (streams4_rtx4060ti); that none were collected is no loss."""
    texts = [
        f"Not all {what} events might have been collected.",
        f"No {what} events collected. Does the process use it?",
    ]
    said = [{"timestamp": 5, "timestampType": 1, "source": 2, "severity": 2, "text": t} for t in texts]
    loaded = export(DIAGNOSTIC_EVENT=said)
    losses = [i.message for i in loaded.items if isinstance(i, Note) and i.code == "lost_events"]
    assert losses == [f"the profiler says: {texts[0]}"]


def test_cuda_ordinals_are_mapped_to_gpus(export):
    """TARGET_INFO_CUDA_DEVICE tells it by process; without it, cuDevice of TARGET_INFO_GPU."""
    gpus = [{"vmId": 0, "id": 7, "name": "g", "cuDevice": 5}, {"vmId": 0, "id": 0, "name": "g", "cuDevice": 3}]
    loaded = export(TARGET_INFO_GPU=gpus)
    found = loaded.rows("SELECT pid, device_id, gpu_id FROM gpu_devices ORDER BY device_id")
    assert found == [(None, 3, 0), (None, 5, 7)]


@pytest.mark.parametrize(("visible", "known"), [("0,1", True), ("0", True), ("1", False), ("1,0", False),
                                               ("GPU-1b2c", False), ("<redacted>", False)])  # fmt: skip
def test_renumbered_devices_are_not_guessed(export, visible, known):
    """A rank that sees GPU 1 alone calls it 0: the machine's numbers do not tell its GPU, its own table would."""
    gpus = [{"vmId": 0, "id": i, "name": "g", "cuDevice": i} for i in range(2)]
    setting = {"name": "PROCESS_0:ENVIRONMENT_VARIABLE", "value": f"CUDA_VISIBLE_DEVICES={visible}"}
    sample = {"timestamp": 5, "typeId": 257, "metricId": 1, "value": 1}
    loaded = export(TARGET_INFO_GPU=gpus, META_DATA_CAPTURE=[setting], GPU_METRICS=[sample])
    assert loaded.rows("SELECT device_id, gpu_id FROM gpu_devices ORDER BY 1") == ([(0, 0), (1, 1)] if known else [])
    assert ("gpu_unknown" in notes(loaded)) == (not known)


def test_cuda_ordinals_by_process_come_first(export):
    """A process's own table wins over the machine's."""
    loaded = export(
        TARGET_INFO_GPU=[{"vmId": 0, "id": 7, "name": "g", "cuDevice": 5}],
        TARGET_INFO_CUDA_DEVICE=[{"gpuId": 7, "cudaId": 0, "pid": 10}],
    )
    assert loaded.rows("SELECT pid, device_id, gpu_id FROM gpu_devices") == [(10, 0, 7)]


def test_names_that_the_export_lacks_are_null_and_said(export):
    """A slice can refer to strings that it dropped."""
    loaded = export(StringIds=STRINGS, CUPTI_ACTIVITY_KIND_KERNEL=[kernel(0, 1, 1), kernel(1, 2, 99)])
    assert loaded.rows("SELECT demangled_name FROM kernels ORDER BY start_ns") == [("gemm<float>",), (None,)]
    assert "dangling_names" in notes(loaded)
