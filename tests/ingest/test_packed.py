"""Packed files that are cut or damaged, and texts whose own lines begin late."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
import zstandard

from postmortem.ingest.reader import HEAD_BYTES
from tests.ingest.stores import ingested, rows

SAMPLES = Path(__file__).parents[2] / "sample_traces" / "formats"
LOG = "".join(
    f"node1:10:11 [0] NCCL INFO AllReduce: opCount {n:x} sendbuff 0x7f00 recvbuff 0x7f01 count {n * 7919 % 4096}"
    " datatype 7 op 0 root 0 comm 0x55aa [nranks=8] stream 0x5500\n"
    for n in range(2_000)
).encode()
EVENTS = "".join(
    (SAMPLES / "nccl_inspector" / "plain-v4.0.jsonl").read_text().strip().replace("\n", "") + "\n" for _ in range(400)
).encode()
CSV = (SAMPLES / "ncu" / "long.csv").read_bytes()
CSV += "".join(
    f'"{n}","99","server","node7","softmax(float *)","1","7","(32, 1, 1)","(8, 1, 1)","0","9.0",'
    f'"Memory Workload Analysis","L2 Hits","sector","{n * 7919 % 4096}","","",""\n'
    for n in range(1, 1_000)
).encode()
TEXTS = {"nccl.log": LOG, "inspector.jsonl": EVENTS, "ncu.csv": CSV}
NOISE = b"".join(b"INFO 11-02 10:00:%02d engine.py:1] running %d requests\n" % (n % 60, n) for n in range(2_500))
RECORD = b'{"record":"s","req_id":"p","step":0}\n'
LEAVE = {"seconds", "path", "bytes", "sha256", "message"}


def zst(data: bytes) -> bytes:
    """One frame of many blocks, so that a cut one still gives its beginning."""
    packer = zstandard.ZstdCompressor().compressobj()
    out = b"".join(
        packer.compress(data[at : at + 5_000]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for at in range(0, len(data), 5_000)
    )
    return out + packer.flush()


def given_by(cut: bytes, packed: str) -> bytes:
    """What the libraries themselves give of a cut file."""
    if packed == "gz":
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(cut)
    return zstandard.ZstdDecompressor().decompressobj().decompress(cut)


def bundle(folder: Path, name: str, data: bytes) -> Path:
    """A bundle of one file."""
    folder.mkdir()
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_cut_file_gives_what_lies_before_the_cut(tmp_path: Path, name: str, packed: str) -> None:
    """A packed text that ends early gives the store of its beginning, and a note that it is cut."""
    whole = gzip.compress(TEXTS[name]) if packed == "gz" else zst(TEXTS[name])
    for share in (0.5, 0.9):
        cut = whole[: int(len(whole) * share)]
        beginning = given_by(cut, packed)
        assert 1_000 < len(beginning) < len(TEXTS[name])
        stores = tmp_path / f"{share}"
        got = ingested(bundle(tmp_path / f"packed{share}", name, cut), stores, leave=LEAVE)
        notes = rows(stores, "FROM notes SELECT code, message WHERE severity = 'data_loss' AND code = 'packed-damaged'")
        assert len(notes) == 1
        assert "ends early" in notes[0][1]
        plain = ingested(bundle(tmp_path / f"plain{share}", name, beginning), tmp_path / "plain.duckdb", leave=LEAVE)
        got["notes"] = [n for n in got["notes"] if "packed-damaged" not in n]
        assert got == plain


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("name", TEXTS)
def test_appended_parts_are_read(tmp_path: Path, name: str, packed: str) -> None:
    """A file that was packed in several goes is read to its end, and nothing is said of damage."""
    data = TEXTS[name]
    pack = gzip.compress if packed == "gz" else zst
    two = pack(data[: len(data) // 3]) + pack(data[len(data) // 3 :])
    got = ingested(bundle(tmp_path / "two", name, two), tmp_path / "two.duckdb", leave=LEAVE)
    assert got == ingested(bundle(tmp_path / "one", name, data), tmp_path / "one.duckdb", leave=LEAVE)


def test_padding_between_gzip_members(tmp_path: Path) -> None:
    """What follows a stretch of zeros, however long, is read."""
    members = [gzip.compress(b'{"record":"s","req_id":"q","step":%d}\n' % n) for n in range(2)]
    folder = bundle(tmp_path / "b", "r.jsonl.gz", members[0] + bytes(200_000) + members[1] + bytes(200_000))
    store = tmp_path / "s.duckdb"
    ingested(folder, store)
    assert rows(store, "FROM s_records SELECT step") == [(0,), (1,)]
    assert rows(store, "FROM notes") == []


def docker(data: bytes) -> bytes:
    """The lines as a container's log holds them."""
    return b"".join(
        json.dumps({"log": line.decode() + "\n", "stream": "stdout", "time": "2026-11-02T10:00:00Z"}).encode() + b"\n"
        for line in data.splitlines()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("nccl_log", NOISE + LOG[: LOG.index(b"\n") + 1]),
        ("nccl_log", NOISE + LOG),
        ("nccl_log", gzip.compress(NOISE * 40 + LOG)),
        ("nccl_log", docker(NOISE + LOG)),
        ("ncu", NOISE + (SAMPLES / "ncu" / "long.csv").read_bytes()),
        ("records", NOISE + RECORD),
        ("records", NOISE[: NOISE.index(b"INFO", 5_000)] + RECORD),
        ("nccl_log", NOISE + RECORD + LOG),
        ("unrecognised", NOISE + b'{"step":1,"loss":2.5}\n'),
        ("unrecognised", NOISE),
        ("unrecognised", b'{\n"log": [\n' + b'"a",\n' * 20_000 + json.dumps(LOG[:2_000].decode()).encode() + b"]}"),
        ("unrecognised", b"\1\0" * HEAD_BYTES + LOG),
        ("nccl_log", b"\0" * (5 << 20) + LOG),
        ("nccl_log", b'{"level":"info","msg":"starts"}\n' + NOISE + LOG),
    ],
    ids=[
        "one line", "many", "packed, after 5 MB", "container", "ncu", "a record",
        "a record in the first 64 KiB", "records beside NCCL's", "another program's step", "none",
        "JSON that quotes a log", "binary", "cut by copytruncate", "one line of JSON first",
    ],
)  # fmt: skip
def test_a_text_is_looked_through_to_its_end(tmp_path: Path, kind: str, data: bytes) -> None:
    """A log whose own lines begin after the first 64 KiB is what it is; other files that quote one are not."""
    assert len(NOISE) > HEAD_BYTES
    folder = bundle(tmp_path / "b", "server.txt", data)
    (folder / "s.jsonl").write_text('{"record":"s","req_id":"q","step":0}\n')
    store = tmp_path / "s.duckdb"
    ingested(folder, store)
    assert rows(store, "FROM sources SELECT kind WHERE path = 'server.txt'") == [(kind,)]
    if kind == "nccl_log":
        plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        balance = rows(store, "FROM sources SELECT lines, parsed, ignored, rejected WHERE path = 'server.txt'")
        calls = plain.count(b"opCount")
        assert balance == [(plain.count(b"\n"), calls, plain.count(b"\n") - calls, 0)]
