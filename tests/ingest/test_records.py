"""x and s records: strict types, nothing lost, doubles, packed files, Parquet."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from postmortem import open_bundle
from postmortem.api import Incident
from postmortem.base.errors import SourceUnreadable
from postmortem.ingest.bundle import head_of
from postmortem.ingest.files import BundleFile
from postmortem.ingest.load import ingest
from postmortem.ingest.packed import PIECE
from postmortem.ingest.reader import HEAD_BYTES, Batch, Facts, Ignored, Note, Reject, Source
from postmortem.ingest.readers.records import READER
from postmortem.ingest.readers.records.blocks import MAX_LINE
from postmortem.ingest.readers.records.bulk import bulk
from postmortem.ingest.readers.records.model import kind_of
from postmortem.ingest.readers.records.read import read
from postmortem.ingest.recognise import recognise
from tests.ingest.stores import ingested, rows

SAMPLES = Path(__file__).parents[2] / "sample_traces" / "formats" / "records"


class Got:
    """What the reader gives."""

    def __init__(self, path: Path, *, fast: bool = True) -> None:
        packed = head_of(BundleFile(path.name, path)).packed
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.rejects: list[tuple[int, str, str]] = []
        self.notes: list[Note] = []
        self.ignored: dict[str, int] = {}
        self.facts = Facts()
        for item in read(Source(path.name, path, packed), fast=fast):
            if isinstance(item, Batch):
                found = [{k: v for k, v in r.items() if v is not None} for r in item.rows.to_pylist()]
                self.rows.setdefault(item.table, []).extend(found)
            elif isinstance(item, Reject):
                self.rejects.append((item.place, item.reason, item.text))
            elif isinstance(item, Ignored):
                self.ignored[item.why] = item.lines
            elif isinstance(item, Note):
                self.notes.append(item)
            else:
                self.facts = item
        assert self.facts.lines == (self.facts.parsed or 0) + sum(self.ignored.values()) + len(self.rejects)

    @property
    def s(self) -> list[dict[str, Any]]:
        """Rows of s_records, by line."""
        return sorted(self.rows.get("s_records", []), key=lambda r: r["line"])


def written(tmp_path: Path, data: bytes | str) -> Got:
    """What the reader gives of such a file."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Got(path)


def test_wrong_types_are_rejects() -> None:
    """A string where a number belongs, and the like, is a reject with its line, its field and its text."""
    got = Got(SAMPLES / "wrong-types.jsonl")
    assert [r["line"] for r in got.s] == [1, 7]
    assert got.s[1]["gpu_ms"] == 9.0
    assert [(n, reason) for n, reason, _ in got.rejects] == [
        (2, "Expected `int | null`, got `str` - at `$.step`"),
        (3, "Expected `float | null`, got `str` - at `$.gpu_ms`"),
        (4, "Expected `str | null`, got `int` - at `$.req_id`"),
        (5, "Expected `int | null`, got `float` - at `$.ts_ns`"),
        (6, "Expected `bool | null`, got `int` - at `$.paging_on`"),
    ]
    assert got.rejects[0][2] == (SAMPLES / "wrong-types.jsonl").read_text().splitlines()[1]


def test_unknown_fields_are_kept() -> None:
    """Unknown fields stand beside the record as one JSON object; a known name in another case is unknown."""
    for name in ("unknown-fields.jsonl", "two-frames.jsonl.zst"):
        got = Got(SAMPLES / name)
        assert got.rows["x_records"][0]["extra"] == '{"gateway":{"hops":2,"zone":"eu-1"}}'
        assert [r["extra"] for r in got.s] == ['{"temperature_c":71.5}', '{"Step":9}', '{"nvlink_errors":[0,0,3]}']
        assert got.rejects == []


def test_torn_last_line() -> None:
    """The line that a killed recorder did not finish is a reject; those before it are read."""
    got = Got(SAMPLES / "torn-last-line.jsonl")
    assert [r["step"] for r in got.s] == [0, 1]
    assert [(n, reason) for n, reason, _ in got.rejects] == [(3, "Input data was truncated")]


def test_blank_lines() -> None:
    """Blank lines are counted as ignored and keep their numbers."""
    got = Got(SAMPLES / "blank-lines.jsonl")
    assert [r["line"] for r in got.s] == [2, 5]
    assert got.ignored == {"blank line": 4}
    assert got.facts.lines == 6


def test_records_without_marks() -> None:
    """Without a mark a record is told by its fields; one of neither kind is a reject."""
    got = Got(SAMPLES / "no-marks.jsonl")
    assert [r["line"] for r in got.rows["x_records"]] == [1]
    assert got.rows["x_records"][0]["decode_cfg_applied"] == '{"temperature":0}'
    assert [(r["line"], r.get("algo_id")) for r in got.s] == [(2, "42"), (3, None)]
    assert [(n, reason) for n, reason, _ in got.rejects] == [(4, "neither an x nor an s record")]


def test_settings_that_are_null_are_not_set(tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """A server that writes every setting, and one that writes those that are set, decoded alike."""
    place = tmp_path / "b"
    place.mkdir()
    every = {"temperature": 0.0, "stop": None, "seed": None, "logit_bias": None, "guided_decoding": None}
    for replica, config in (("a", {"temperature": 0.0}), ("b", every)):
        x = {"record": "x", "req_id": replica, "raw_prompt_sha256": "aa", "effective_text_sha256": "bb"}
        (place / f"{replica}.jsonl").write_text(json.dumps(x | {"decode_cfg_applied": config}) + "\n")
    struct = pa.table({"record": ["x"], "req_id": ["c"], "raw_prompt_sha256": ["aa"], "decode_cfg_applied": [every]})
    parquet(place, struct)
    incident = opened(place)
    configs = incident.sql("SELECT DISTINCT decode_cfg_applied FROM x_records")["decode_cfg_applied"].to_list()
    assert configs == ['{"temperature":0.0}']
    assert incident.query("decode_drift", req_id="b", vs="a").is_empty()


def test_marks_are_told_by_their_key(tmp_path: Path) -> None:
    """A value "x" or "s" that is no mark decides nothing, and of two marks the last holds, as in any JSON."""
    got = written(
        tmp_path,
        '{"replica":"x","record":"s","req_id":"1","step":3}\n{"tenant":"x","req_id":"1"}\n'
        '{"record":"x","record":"s","req_id":"2","step":4}\n{"record":"y","req_id":"2","step":4}\n',
    )
    assert [r["step"] for r in got.s] == [3, 4]
    assert [n for n, _, _ in got.rejects] == [2, 4]


@pytest.mark.parametrize("mark", ['{"level":"INFO"}', '["s"]', "7"])
def test_a_mark_that_is_no_text(tmp_path: Path, mark: str) -> None:
    """A log whose ``record`` is an object (loguru's) is nobody's, and a line of it among records is a reject."""
    foreign = f'{{"text":"hi","record":{mark},"step":1}}\n'
    path = tmp_path / "app.jsonl"
    path.write_text(foreign)
    assert recognise(head_of(BundleFile("app.jsonl", path))) is None
    got = written(tmp_path, '{"record":"s","req_id":"q","step":0}\n' + foreign)
    assert [r["line"] for r in got.s] == [1]
    assert [(n, reason) for n, reason, _ in got.rejects] == [(2, "neither an x nor an s record")]


def test_records_that_cannot_be_placed() -> None:
    """A record of a request wants its step; one without a request wants replica, rank and iteration."""
    got = Got(SAMPLES / "no-request-nor-rank.jsonl")
    assert [r["line"] for r in got.s] == [1]
    assert [(n, reason) for n, reason, _ in got.rejects] == [
        (2, "s record without req_id wants replica, rank and iteration"),
        (3, "s record of a request without step"),
        (4, "Expected `str` of length >= 1 - at `$.req_id`"),
    ]


def test_bad_bytes_and_numbers() -> None:
    """Bad UTF-8, NaN, numbers beyond 64 bits, a second document on a line and a list are rejects, each its own."""
    got = Got(SAMPLES / "bad-bytes-and-numbers.jsonl")
    assert [r["line"] for r in got.s] == [1]
    told = ["utf-8", "invalid character", "<= 4611686018427387903", "trailing characters", "out of range", "no"]
    assert [n for n, _, _ in got.rejects] == [2, 3, 4, 5, 6, 7]
    assert all(word in reason for word, (_, reason, _) in zip(told, got.rejects, strict=True))
    assert "�" in got.rejects[0][2]


# The largest and the smallest number of each kind, and the next one.
BOUNDS = {
    "queue_ms": (10**9, 1e9 + 1e-6), "gpu_ms": (-(10**9), -1e13), "ts_ns": (-(2**61), -(2**61) - 1),
    "iteration": (2**62 - 1, 2**63 - 1), "rank": (2**30 - 1, 2**31 - 1), "step": (2**62 - 1, 2**63 - 1),
    "kv_evicted_blocks": (2**40, 2**40 + 1), "recompute_tokens": (2**40, 2**62 - 1), "batch_size": (2**40, 2**63 - 1),
    "dequant_cycles": (2**40, 2**62 - 1), "vram_free_mb": (-(2.0**40), -1e308), "kv_pool_total_mb": (2.0**40, 1e308),
    "margin": (2.0**129, 1e308),
}  # fmt: skip


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", BOUNDS)
def test_numbers_with_which_nothing_can_be_reckoned(tmp_path: Path, name: str, fast: bool) -> None:
    """A time, duration, count or rank with which sums run over is a reject; up to its bound all are read."""
    most, more = BOUNDS[name]
    lines = [json.dumps({"record": "s", "req_id": "q", "step": 0} | {name: n}) for n in (most, more, most)]
    path = tmp_path / "r.jsonl"
    path.write_text(f"{lines[0]}\n")
    assert bulk(path.read_bytes()) is not None
    path.write_text("".join(f"{line}\n" for line in lines))
    got = Got(path, fast=fast)
    assert [(r["line"], r[name]) for r in got.s] == [(1, most), (3, most)]
    assert [(n, f"$.{name}" in reason) for n, reason, _ in got.rejects] == [(2, True)]


@pytest.mark.parametrize("end", [0, 1], ids=["read", "rejected"])
def test_odd_numbers_leave_the_rest_to_answer(tmp_path: Path, end: int) -> None:
    """A row with the oddest number that is read, or one that is not, leaves every question its answer."""
    ranks = [
        {"record": "s", "replica": r, "rank": n, "iteration": i, "ts_ns": 10**18 + i, "gpu_ms": 5.0}
        for r in "ab" for n in (0, 1) for i in range(4)
    ]  # fmt: skip
    steps = [
        {"record": "s", "req_id": q, "step": i, "replica": r, "iteration": i, "ts_ns": 10**18 + i, "gpu_ms": 5.0}
        for q, r in (("q", "a"), ("q", "b"), ("p", "c"), ("o", "c"), ("n", "c")) for i in range(4)
    ]  # fmt: skip
    places = ("rank", "step")  # a request's record has no rank, a rank's no step
    odd = [
        row | {name: BOUNDS[name][end]}
        for name in BOUNDS for row in (steps[2], *steps[-9::4], ranks[2]) if name in row or name not in places
    ]  # fmt: skip
    place = tmp_path / "b"
    place.mkdir()
    (place / "r.jsonl").write_text("\n".join(map(json.dumps, ranks + steps + odd)))
    with open_bundle(place, store=tmp_path / "s.duckdb") as incident:
        assert incident.query("rejects").height == end * len(odd)
        for name in incident.queries["query"]:
            incident.query(name)


def test_recorder_counts_are_since_its_start() -> None:
    """A recorder's lines count from its start: the last holds, they are not added up."""
    got = Got(SAMPLES / "recorder-losses.jsonl")
    assert [(n.severity, n.code) for n in got.notes] == [
        ("data_loss", "recorder-dropped"),
        ("data_loss", "recorder-errors"),
    ]
    assert "dropped 8 records" in got.notes[0].message
    assert [r["dropped"] for r in got.rows["recorder_losses"]] == [3, 8]


def test_doubles(tmp_path: Path) -> None:
    """Of one request, step and rank the earliest is kept, the others are counted; the ledger still balances."""
    for order in (1, -1):
        place = tmp_path / f"b{order}"
        place.mkdir()
        lines = (SAMPLES / "doubled-and-out-of-order.jsonl").read_text().splitlines()[::order]
        (place / "r.jsonl").write_text("\n".join(lines))
        store = tmp_path / f"{order}.duckdb"
        ingest(place, store)
        assert rows(store, "FROM s_records SELECT step, token_id ORDER BY step") == [(0, 5), (1, 6)]
        assert rows(store, "FROM ignored SELECT why, lines") == [("duplicate of an earlier s record", 2)]
        assert rows(store, "FROM sources SELECT rows, lines, parsed, ignored, rejected") == [(2, 4, 2, 2, 0)]


def test_a_step_told_with_each_part_of_its_prompt_keeps_its_token(tmp_path: Path) -> None:
    """A prompt computed in three iterations: the engine tells of step 0 in each, and has its token after the last."""
    place = tmp_path / "b"
    place.mkdir()
    part = {"record": "s", "req_id": "q", "step": 0, "replica": "a"}
    parts = [part | {"iteration": i, "ts_ns": 10**18 + i} for i in range(3)]
    parts[2] |= {"token_id": 5, "margin": 0.1}
    (place / "r.jsonl").write_text("\n".join(map(json.dumps, parts)))
    ingest(place, tmp_path / "s.duckdb")
    assert rows(tmp_path / "s.duckdb", "FROM s_records SELECT iteration, token_id, margin") == [(2, 5, 0.1)]


def test_doubles_across_files(tmp_path: Path) -> None:
    """The order of files decides nothing: the earliest is kept, whichever file it stands in."""
    late = '{"record":"s","req_id":"q","step":0,"ts_ns":20,"token_id":2}'
    early = '{"record":"s","req_id":"q","step":0,"ts_ns":10,"token_id":1}'
    for names in (("a", "b"), ("b", "a")):
        place = tmp_path / "".join(names)
        place.mkdir()
        for name, text in zip(names, (late, early), strict=True):
            (place / f"{name}.jsonl").write_text(text)
        ingest(place, tmp_path / "s.duckdb")
        assert rows(tmp_path / "s.duckdb", "FROM s_records SELECT token_id") == [(1,)]


def test_views_of_one_step_are_no_doubles(tmp_path: Path) -> None:
    """The engine's view, a rank's, another rank's and another replica's are four records of one step."""
    place = tmp_path / "b"
    place.mkdir()
    own = ({}, {"rank": 0}, {"rank": 1}, {"replica": "b"})
    records = [{"record": "s", "req_id": "q", "step": 0, "replica": "a"} | more for more in own]
    (place / "r.jsonl").write_text("\n".join(map(json.dumps, records)))
    ingest(place, tmp_path / "s.duckdb")
    assert rows(tmp_path / "s.duckdb", "FROM s_records SELECT count(*)") == [(4,)]
    assert rows(tmp_path / "s.duckdb", "FROM ignored") == []


def test_appended_gzip() -> None:
    """A recorder that was started again appends a gzip member: all are read."""
    assert [r["req_id"] for r in Got(SAMPLES / "appended-twice.jsonl.gz").s] == ["a-0", "a-0", "b-0"]


MANY = [json.dumps({"record": "s", "req_id": f"q{i * 7919 % 1000}", "step": i, "margin": i / 7}) for i in range(5000)]


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_truncated_packed_file(tmp_path: Path, kind: str) -> None:
    """A packed file cut anywhere gives its whole lines and one reject that says so."""
    data = "\n".join(MANY).encode()
    packed = gzip.compress(data) if kind == "gz" else zstandard.ZstdCompressor().compress(data)
    path = tmp_path / f"r.jsonl.{kind}"
    path.write_bytes(packed)
    assert len(Got(path).s) == len(MANY)
    seen = 0
    for step in range(1, 16):
        path.write_bytes(packed[: len(packed) * step // 16])
        if kind == "zst" and seen == 0 and step < 8:  # cut before the first block: nothing may come out at all
            with contextlib.suppress(ValueError):
                seen = len(Got(path).s)
            continue
        got = Got(path)
        assert [r["step"] for r in got.s] == list(range(len(got.s)))
        assert "packed file is damaged here: it ends early" in got.rejects[-1][1]
        assert len(got.rejects) <= 2  # the torn line, and the damage
        assert len(got.s) >= seen
        seen = len(got.s)
    assert seen > len(MANY) / 4


def test_damaged_gzip(tmp_path: Path) -> None:
    """A flipped byte in a gzip file: the lines before it are read, and a reject says where they end."""
    packed = bytearray(gzip.compress("\n".join(MANY).encode()))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(packed)
    got = Got(path)
    assert len(got.s) > 1000
    assert "packed file is damaged here" in got.rejects[-1][1]


def test_huge_line(tmp_path: Path) -> None:
    """A line longer than 1 MiB is a reject that shows its beginning; the lines around it are read."""
    good = '{"record":"s","req_id":"q","step":%d}\n'
    for size in (MAX_LINE + 1, PIECE - 7, 3 * PIECE + 5):
        huge = '{"record":"s","req_id":"q","step":7,"batch_fp":"' + "f" * size + '"}\n'
        got = written(tmp_path, good % 0 + huge + good % 1)
        assert [r["line"] for r in got.s] == [1, 3]
        assert [(n, reason) for n, reason, _ in got.rejects] == [(2, "line longer than 1 MiB")]
        assert got.rejects[0][2] == huge[:200]


@pytest.mark.parametrize("mark", ["", '"record":"x",'])
def test_lines_longer_than_what_a_file_is_known_by(tmp_path: Path, mark: str) -> None:
    """Records that bear a whole prompt are known, though the first does not end where recognising begins."""
    path = tmp_path / "x.jsonl"
    line = '{%s"prompt":"%s","req_id":"q%d","raw_prompt_sha256":"aa"}\n'
    path.write_text("".join(line % (mark, "p" * 2 * HEAD_BYTES, n) for n in range(3)))
    reader = recognise(head_of(BundleFile(path.name, path)))
    assert reader is READER
    assert [r["req_id"] for r in Got(path).rows["x_records"]] == ["q0", "q1", "q2"]


@pytest.mark.parametrize("lines", [1, 2])
def test_byte_order_mark(tmp_path: Path, lines: int) -> None:
    """Windows' programs put a byte order mark first, and CRLF at the ends: the first record is one like the others."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"record":"s","req_id":"q","step":0}\r\n' * lines)
    assert recognise(head_of(BundleFile(path.name, path))) is READER
    got = Got(path)
    assert ([r["line"] for r in got.s], got.rejects) == ([*range(1, lines + 1)], [])


def test_nested_beyond_measure(tmp_path: Path) -> None:
    """A line nested a hundred thousand deep is a reject."""
    got = written(tmp_path, '{"record":"s","req_id":"q","step":0}\n' + '{"a":' * 100_000 + "\n" + "[" * 100_000 + "\n")
    assert [r["line"] for r in got.s] == [1]
    assert [n for n, _, _ in got.rejects] == [2, 3]


def parquet(tmp_path: Path, table: pa.Table) -> Path:
    """A Parquet file."""
    path = tmp_path / "r.parquet"
    pq.write_table(table, path)
    return path


def test_parquet(tmp_path: Path) -> None:
    """Parquet rows are records, nulls are absent fields, nested ones may be objects or JSON text."""
    table = pa.Table.from_pylist([
        {"record": "s", "req_id": "q", "step": 0, "margin": 0.5, "hint": 7},
        {"record": "s", "req_id": "q", "step": 1, "algo_id": "t", "margin": float("nan")},
        {"record": "x", "req_id": "q", "decode_cfg_applied": '{"temperature": 0}', "shaping_events": ["a:v1"]},
        {"record": "s", "req_id": "q"},
    ], schema=pa.schema([
        ("record", pa.string()), ("req_id", pa.string()), ("step", pa.int32()), ("margin", pa.float32()),
        ("hint", pa.int8()), ("algo_id", pa.string()), ("decode_cfg_applied", pa.string()),
        ("shaping_events", pa.list_(pa.string())),
    ]))  # fmt: skip
    got = Got(parquet(tmp_path, table))
    assert got.s == [{"line": 1, "req_id": "q", "step": 0, "margin": 0.5, "extra": '{"hint":7}'}]
    x = {"line": 3, "req_id": "q", "decode_cfg_applied": '{"temperature":0}', "shaping_events": ["a:v1"]}
    assert got.rows["x_records"] == [x]
    assert [(n, reason) for n, reason, _ in got.rejects] == [
        (2, "nan is no number - at `$.margin`"),
        (4, "s record of a request without step"),
    ]


def test_parquet_of_another_type(tmp_path: Path) -> None:
    """A column of times or of texts where numbers belong gives rejects, not guesses."""
    table = pa.table({
        "req_id": ["q", "q"], "step": pa.array(["0", "1"]), "ts_ns": pa.array([1, 2], pa.timestamp("ns")),
    })  # fmt: skip
    got = Got(parquet(tmp_path, table))
    assert got.s == []
    assert len(got.rejects) == 2


def test_parquet_times_within_others(tmp_path: Path) -> None:
    """Times and durations within lists and structs, of which Python holds no nanoseconds, cost no file its records."""
    table = pa.table({
        "req_id": ["q"], "step": [0], "waits": pa.array([[1]], pa.list_(pa.duration("ns"))),
        "gateway": pa.array([{"at": 1, "hops": [2]}], pa.struct([
            ("at", pa.timestamp("ns")), ("hops", pa.list_(pa.duration("ns"))),
        ])),
    })  # fmt: skip
    extra = json.loads(Got(parquet(tmp_path, table)).s[0]["extra"])
    assert extra == {"gateway": {"at": "1970-01-01 00:00:00.000000001", "hops": ["2"]}, "waits": ["1"]}


def test_parquet_mark_that_is_no_text(tmp_path: Path) -> None:
    """A Parquet file whose ``record`` is no column of texts is nobody's, whatever its other columns."""
    rows = {"req_id": ["q"], "step": [0]}
    for marks, known in (([{"level": "INFO"}], 0), ([["s"]], 0), ([7], 0), (["s"], 90), ([None], 90)):
        path = parquet(tmp_path, pa.table({**rows, "record": marks}))
        assert READER.sniff(head_of(BundleFile("unknown.bin", path))) == known
    path = parquet(tmp_path, pa.table({**rows, "record": pa.array(["s"]).dictionary_encode()}))
    assert READER.sniff(head_of(BundleFile("unknown.bin", path))) == 90
    assert [r["step"] for r in Got(path).s] == [0]


def test_damaged_parquet(tmp_path: Path) -> None:
    """A Parquet file cut at the end is known as one, and refused in one line or left to no reader."""
    path = parquet(tmp_path, pa.table({"req_id": ["q"] * 1000, "step": list(range(1000))}))
    assert READER.sniff(head_of(BundleFile("unknown.bin", path))) == 60
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert READER.sniff(head_of(BundleFile("unknown.bin", path))) == 0
    with pytest.raises(SourceUnreadable, match="Parquet: "):
        Got(path)


def test_containers_give_one_store(tmp_path: Path) -> None:
    """The same lines plain, gzip and zstd give the same store."""
    data = (SAMPLES / "unknown-fields.jsonl").read_bytes()
    stores = []
    for name, text in (
        ("plain", data),
        ("gz", gzip.compress(data)),
        ("zst", zstandard.ZstdCompressor().compress(data)),
    ):
        place = tmp_path / name
        place.mkdir()
        (place / "r").write_bytes(text)
        only = {"x_records", "s_records", "ignored", "rejects"}
        stores.append(ingested(place, tmp_path / f"{name}.duckdb", only=only))
    assert stores[0] == stores[1] == stores[2]


NUMBERS = ["0", "-0.0", "8", "0.1", "1e22", "5e-324", "123456789.123456789", "9007199254740993", "6.8e38", "2.5e-17"]


@pytest.mark.parametrize("space", ["", " "])
def test_plain_blocks_are_read_at_once(tmp_path: Path, space: str) -> None:
    """A block as recorders write it goes the fast way, with the very values of the careful way."""
    lines = [
        f'{{"record":{space}"s","req_id":"q{i}","step":{i},"rank":0,"margin":{n},"paging_on":true,"algo_id":{i}}}\n'
        for i, n in enumerate(NUMBERS)
    ]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(lines))
    assert bulk(path.read_bytes()) is not None
    assert Got(path).s == Got(path, fast=False).s
    assert [r["margin"] for r in Got(path).s] == [float(n) for n in NUMBERS]


NOT_PLAIN = [
    '"req_id":12,"foo" :1',
    '"req_id":12,"foo":1',
    '"req_id":12,"step":0,"step":1',
    '"req_id":"q","step":"0"',
    '"req_id":"q","step":0.0',
    '"req_id":"q","step":0,"gpu_ms":1e999',
    '"req_id":"q","step":0,"gpu_ms":1e13',
    '"req_id":"q","step":0,"ts_ns":9223372036854775807',
    '"req_id":"q","step":-1',
    '"req_id":"q","step":0,"rank":2147483648',
    '"req_id":"","step":0',
    '"req_id":"q"',
    '"replica":"a","iteration":1',
    '"req_id":"q","step":0,"replica":["a"]',
    '"req_id":"q","step":0,"replica":{}',
    '"req_id":"q","step":0,"algo_id":true',
    '"req_id":"q","step":0,"algo_id":1.5',
    '"req_id":"q","step":0,"record":"x"',
    '"req_id":"q","step":0,"replica":null',
    '"req_id":":q","step":0',
    '"req_id":"q","step":0,"paging_on":1',
    '"req_id":"q","step":0,"paging_on":"true"',
    '"req_id":"q","step":true',
    '"req_id":"q","step":0,"gpu_ms":true',
    '"req_id":"q","step":0,"gpu_ms":"1"',
    '"req_id":"q","step":0,"replica":true',
    '"req_id":"\\u00e9","step":0',
    '"req_id":"q","step":00',
    '"req_id":"q","step":0}{"record":"s"',
    '"req_id":"q","step":0,',
]  # fmt: skip


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_what_is_not_plain_goes_the_careful_way(tmp_path: Path, line: str) -> None:
    """One line that differs sends its block the careful way; rows and rejects are the careful way's."""
    good = '{"record":"s","req_id":"q","step":5,"replica":"a","algo_id":"t"}\n'
    path = tmp_path / "r.jsonl"
    path.write_text(good + '{"record":"s",' + line + "}\n" + good)
    assert bulk(path.read_bytes()) is None
    fast, careful = Got(path), Got(path, fast=False)
    assert (fast.rows, fast.rejects, fast.facts) == (careful.rows, careful.rejects, careful.facts)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"step": 0}, "s"),
        ({"iteration": 0}, "s"),
        ({"raw_prompt_sha256": "0a"}, "x"),
        ({"effective_text_sha256": "0a", "step": 0}, "x"),
        ({"record": "s", "raw_prompt_sha256": "0a"}, "s"),
        ({"record": "y", "step": 0}, None),
        ({"record": 7, "step": 0}, None),
        ({"req_id": "q"}, None),
    ],
)
def test_which_record_it_is(record: dict[str, Any], kind: str | None) -> None:
    """By its mark, else by a field that one kind alone has."""
    assert kind_of(record) == kind


def test_parts_that_are_longer_than_their_whole_are_told(tmp_path: Path, opened: Callable[..., Incident]) -> None:
    """gpu_ms without collectives, and comm_ms without waiting, break the contract: the audit says whose and where."""
    place = tmp_path / "b"
    place.mkdir()
    head = {"record": "s", "replica": "a"}
    times = [  # rank, gpu, comm, sync: rank 0 keeps to it, also at the edge; rank 1 breaks it twice, rank 2 once
        (0, 5.0, 5.0, 5.0), (0, 6.0, 1.0, None), (0, None, 9.0, 9.0), (1, 4.0, 3.0, 1.0), (1, 4.0, 4.5, 1.0),
        (1, 4.0, 7.0, 1.0), (2, 9.0, 2.0, 3.25),
    ]  # fmt: skip
    counted: Counter[int] = Counter()
    with (place / "r.jsonl").open("w") as file:
        for rank, gpu, comm, sync in times:
            row = {"rank": rank, "iteration": counted[rank], "gpu_ms": gpu, "comm_ms": comm, "sync_ms": sync}
            counted[rank] += 1
            file.write(json.dumps(head | row) + "\n")
    told = {n["code"]: n["message"] for n in opened(place).audit().losses}
    assert set(told) == {"comm_ms-beyond-gpu_ms", "sync_ms-beyond-comm_ms"}
    beyond = (
        "replica a: comm_ms is more than gpu_ms in 2 of 6 records, most on rank 1 in iteration 2 (7.000 of 4.000 ms)"
    )
    assert told["comm_ms-beyond-gpu_ms"].startswith(beyond)
    beyond = (
        "replica a: sync_ms is more than comm_ms in 1 of 6 records, most on rank 2 in iteration 0 (3.250 of 2.000 ms)"
    )
    assert told["sync_ms-beyond-comm_ms"].startswith(beyond)
