"""Bundles: folders and archives alike, limits on archives, bad files among good ones."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from builders import straggler, write_bundle

from postmortem.base.errors import NothingRecognised, PostmortemError
from postmortem.ingest import archive
from postmortem.ingest.bundle import open_files
from postmortem.ingest.load import ingest
from tests.ingest.stores import ingested, rows

RECORD = b'{"record":"s","req_id":"a-0","step":0}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two replicas, with a bundle.toml and a note that no reader knows."""
    place = write_bundle(tmp_path_factory.mktemp("bundle") / "b", *straggler())
    (place / "notes").mkdir()
    (place / "notes" / "who.txt").write_text("on call: nobody\n")
    (place / "bundle.toml").write_text('[incident]\ntitle = "t"\n[[source]]\npath = "a.jsonl"\nreplica = "a"\n')
    return place


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of such members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for info, data in members:
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """A tar header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def packed(folder: Path, target: Path) -> Path:
    """The folder as an archive of the kind that the target's name says."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as z:
            for p in files:
                z.write(p, p.relative_to(folder).as_posix())
        return target
    data = tar_of([(member(p.relative_to(folder).as_posix()), p.read_bytes()) for p in files])
    if target.suffix == ".gz":
        data = gzip.compress(data)
    elif target.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("name", ["b.zip", "b.tar", "b.tar.gz", "b.tar.zst", "no-name-at-all"])
def test_archive_gives_the_folders_store(folder: Path, tmp_path: Path, name: str) -> None:
    """A bundle gives the same store as a folder and as an archive of any kind, whatever its name."""
    found = ingested(packed(folder, tmp_path / name), tmp_path / "archive.duckdb")
    assert found == ingested(folder, tmp_path / "folder.duckdb")
    assert [r[2] for r in found["sources"]] == ["records", "records", "bundle_toml", "unrecognised"]


def left_out(path: Path) -> dict[str, str]:
    """What was left out of a bundle, and why."""
    with open_files(path) as bundle:
        assert [f.name for f in bundle.files] == ["good.jsonl"]
        return dict(bundle.left_out)


def test_tar_members_that_are_no_files(tmp_path: Path) -> None:
    """Paths that leave the archive, links and devices are left out, said, and nothing is written elsewhere."""
    outside = tmp_path / "outside"
    path = tmp_path / "b.tar"
    path.write_bytes(
        tar_of([
            (member("good.jsonl"), RECORD),
            (member("../outside"), b"x"),
            (member("a/../../outside"), b"x"),
            (member(str(outside)), b"x"),
            (member("C:\\outside"), b"x"),
            (member("soft", tarfile.SYMTYPE, "/etc/passwd"), b""),
            (member("hard", tarfile.LNKTYPE, "good.jsonl"), b""),
            (member("fifo-\udcff", tarfile.FIFOTYPE), b""),
            (member("disk", tarfile.BLKTYPE), b""),
            (member("soft/below"), b"x"),
        ])
    )  # fmt: skip
    with open_files(path) as bundle:
        assert [f.name for f in bundle.files] == ["good.jsonl", "soft/below"]  # the link was never made
        why = dict(bundle.left_out)
    leaves, link, special = "its path leaves the archive", "a link", "no regular file"
    assert why == {
        "../outside": leaves, "a/../../outside": leaves, str(outside): leaves, "C:\\outside": leaves,
        "soft": link, "hard": link, "fifo-\N{REPLACEMENT CHARACTER}": special, "disk": special,
    }  # fmt: skip
    assert not outside.exists()


def test_zip_members_that_are_no_files(tmp_path: Path) -> None:
    """The same for a zip, where a link is a mode of the member."""
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("good.jsonl", RECORD)
        z.writestr("../outside", "x")
        z.writestr("folder\\..\\..\\outside", "x")
        with z.open(zipfile.ZipInfo(""), "w") as nameless:
            nameless.write(b"x")
        for name, mode in (("soft", stat.S_IFLNK), ("fifo", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            z.writestr(info, "/etc/passwd")
    leaves = "its path leaves the archive"
    assert sorted(left_out(path).values()) == ["a link", leaves, leaves, leaves, "no regular file"]
    assert not (tmp_path / "outside").exists()


def test_names_that_collide(tmp_path: Path) -> None:
    """A name that stands twice is read as it stood last; a file where a folder is gets left out; both are said."""
    path = tmp_path / "b.tar"
    long = "n" * 300
    texts = {"good.jsonl/x": b"x", long: b"x"}
    pairs = [("good.jsonl", b"{}"), ("good.jsonl", RECORD), *texts.items()]
    path.write_bytes(tar_of([(member(name), data) for name, data in pairs]))
    with open_files(path) as bundle:
        assert [f.path.read_bytes() for f in bundle.files] == [RECORD]
        assert [name for name, _ in bundle.left_out] == ["good.jsonl", "good.jsonl/x", long]


def test_links_in_a_folder(tmp_path: Path) -> None:
    """Links to files and folders and special files in a folder are left out and said."""
    place = tmp_path / "b"
    place.mkdir()
    (place / "good.jsonl").write_bytes(RECORD)
    (place / "file").symlink_to("/etc/passwd")
    (place / "folder").symlink_to("/etc")
    (place / "dangling").symlink_to("nowhere")
    os.mkfifo(place / "fifo")
    assert left_out(place) == {"file": "a link", "folder": "a link", "dangling": "a link", "fifo": "no regular file"}


def test_deeper_than_anybody_goes(tmp_path: Path) -> None:
    """Thousands of folders within folders exhaust no stack, in a folder, a tar or a zip: they are left out and said."""
    deep = "d/" * 1_500 + "f"
    (tmp_path / "b.tar").write_bytes(tar_of([(member("good.jsonl"), RECORD), (member(deep), RECORD)]))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as z:
        z.writestr("good.jsonl", RECORD)
        z.writestr(deep, RECORD)
    for name in ("b.tar", "b.zip"):
        assert left_out(tmp_path / name) == {deep: "more than 100 folders deep"}
    place = tmp_path / "b"
    place.mkdir()
    (place / "good.jsonl").write_bytes(RECORD)
    here = Path.cwd()
    try:
        os.chdir(place)
        for _ in range(1_200):
            os.mkdir("d")  # noqa: PTH102  a path this long is none to pathlib
            os.chdir("d")
    finally:
        os.chdir(here)
    assert left_out(place) == {"d/" * 100 + "d": "more than 100 folders deep"}
    subprocess.run(["rm", "-r", str(place)], check=True)  # pytest's own removal would run out of stack


def test_frames_to_be_skipped(folder: Path, tmp_path: Path) -> None:
    """pzstd puts a frame to be skipped before each of its own."""
    plain = packed(folder, tmp_path / "b.tar").read_bytes()
    skip = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"size"
    half = len(plain) // 2
    path = tmp_path / "b.tar.zst"
    path.write_bytes(
        b"".join(skip + zstandard.ZstdCompressor().compress(part) for part in (plain[:half], plain[half:]))
    )
    with open_files(path) as bundle:
        assert [f.name for f in bundle.files] == ["a.jsonl", "b.jsonl", "bundle.toml", "notes/who.txt"]
    place = tmp_path / "b"
    place.mkdir()
    (place / "r.jsonl.zst").write_bytes(skip + zstandard.ZstdCompressor().compress(RECORD) + skip)
    ingest(place, tmp_path / "s.duckdb")
    assert rows(tmp_path / "s.duckdb", "FROM sources SELECT kind, rows, rejected") == [("records", 1, 0)]


def test_archives_in_a_bundle(tmp_path: Path) -> None:
    """An archive among the files is not read as one text, whose first lines and ranks would be lost; it is said."""
    place = tmp_path / "b"
    place.mkdir()
    inner = tar_of([(member("a.jsonl"), RECORD), (member("b.jsonl"), RECORD)])
    (place / "good.jsonl").write_bytes(RECORD)
    (place / "inner.tar").write_bytes(inner)
    (place / "inner.tar.gz").write_bytes(gzip.compress(inner))
    with zipfile.ZipFile(place / "inner.zip", "w") as z:
        z.writestr("a.jsonl", RECORD)
    ingest(place, tmp_path / "s.duckdb")
    said = "an archive within the bundle, not looked into; unpack it in its place"
    assert rows(tmp_path / "s.duckdb", "FROM sources SELECT path, kind, rows, error ORDER BY path") == [
        ("good.jsonl", "records", 1, None), ("inner.tar", "archive", 0, said), ("inner.tar.gz", "archive", 0, said),
        ("inner.zip", "archive", 0, said),
    ]  # fmt: skip


def refusal(path: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(PostmortemError) as e, open_files(path):
        pass
    assert "\n" not in str(e.value)
    return str(e.value)


def bomb(path: Path, size: int) -> Path:
    """A zip of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("zeros", bytes(size))
    return path


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, too many bytes and too great a ratio are each refused with their limit."""
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as z:
        for i in range(6):
            z.writestr(f"{i}/", "")
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    assert "holds more than 5 files" in refusal(path)
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 1 << 10)
    assert "250 times its size" in refusal(bomb(path, 1 << 20))
    monkeypatch.setattr(archive, "MAX_RATIO", 1 << 20)
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 16)
    assert "unpacks to more than 0 GiB" in refusal(bomb(path, 1 << 20))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data)])
def test_bomb_in_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any) -> None:
    """A tar header that is itself a bomb meets the limit before it fills the memory."""
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 1 << 10)
    header = member("long", tarfile.GNUTYPE_LONGNAME)
    header.size = 64 << 20
    path = tmp_path / "b.tar.gz"
    path.write_bytes(pack(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size)))
    assert "250 times its size" in refusal(path)


def test_encrypted_zip(folder: Path, tmp_path: Path) -> None:
    """An encrypted member is named."""
    path = packed(folder, tmp_path / "b.zip")
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)
    assert "a.jsonl in it is encrypted; unpack it yourself" in refusal(path)


@pytest.mark.parametrize("name", ["b.zip", "b.tar", "b.tar.gz", "b.tar.zst"])
def test_truncated_archive(folder: Path, tmp_path: Path, name: str) -> None:
    """An archive cut anywhere is refused: half of the evidence is no answer."""
    data = packed(folder, tmp_path / name).read_bytes()
    path = tmp_path / "cut"
    end = len(data) if name != "b.tar" else data.rindex(b"nobody")  # the zeros after the last member hold nothing
    for step in range(64):
        path.write_bytes(data[: end * step // 64])
        assert refusal(path)


def test_tar_cut_between_members(tmp_path: Path) -> None:
    """A tar cut just before a header is not taken for one that ends there."""
    data = tar_of([(member("a.jsonl"), RECORD), (member("b.jsonl"), RECORD)])
    path = tmp_path / "b.tar"
    path.write_bytes(data[:1024])
    assert "it ends early" in refusal(path)


def test_tar_that_ends_with_a_zip(folder: Path, tmp_path: Path) -> None:
    """A tar is told by its beginning, also where its last member is a zip."""
    inner = packed(folder, tmp_path / "inner.zip").read_bytes()
    path = tmp_path / "b.tar"
    path.write_bytes(tar_of([(member("good.jsonl"), RECORD), (member("inner.zip"), inner)]))
    with open_files(path) as bundle:
        assert [f.name for f in bundle.files] == ["good.jsonl", "inner.zip"]


def test_no_bundle(tmp_path: Path) -> None:
    """Missing, empty, special and foreign paths each have their reason."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty).endswith("empty: holds no file; name the folder with the traces")
    assert "No such file" in refusal(tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    assert "is neither a folder nor a readable archive" in refusal(tmp_path / "text")
    os.mkfifo(tmp_path / "fifo")
    assert "is neither a folder nor a file" in refusal(tmp_path / "fifo")
    (empty / "link").symlink_to("nowhere")
    assert "holds no file that can be read: link is a link" in refusal(empty)
    (empty / "who.txt").write_text("hello")
    with pytest.raises(NothingRecognised, match="it holds 1 file, and no known trace"):
        ingest(empty, tmp_path / "s.duckdb")
    assert not (tmp_path / "s.duckdb").exists()


def test_temporary_folder_is_left_clean(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unpacked is gone at the end, and after a refusal."""
    path = packed(folder, tmp_path / "b.tar.gz")
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with open_files(path) as bundle:
        assert len(bundle.files) == 4
        assert list(place.iterdir())
    path.write_bytes(path.read_bytes()[:2000])
    refusal(path)
    assert list(place.iterdir()) == []


def test_one_bad_file_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that vanishes, an empty one and a damaged packed one are noted; the others are read."""
    place = tmp_path / "b"
    place.mkdir()
    for name in ("good.jsonl", "gone.jsonl"):
        (place / name).write_bytes(RECORD)
    (place / "empty.jsonl").touch()
    (place / "bad.gz").write_bytes(b"\x1f\x8b\x08\x00garbage")
    (place / "bad.zst").write_bytes(b"\x28\xb5\x2f\xfdgarbage garbage")
    (place / "report.nsys-rep").write_bytes(b"NVIDIA Tegra Profiler Report\0\0")
    os.link(place / "good.jsonl", os.fsencode(place) + b"/bad-\xff-name.jsonl")
    from postmortem.ingest import load

    def vanishing(path: Path) -> str:
        if path.name == "gone.jsonl":
            path.unlink()
        return sha256_of(path)

    sha256_of = load.sha256_of
    monkeypatch.setattr(load, "sha256_of", vanishing)
    ingest(place, tmp_path / "s.duckdb")
    errors = dict(rows(tmp_path / "s.duckdb", "FROM sources SELECT path, error"))
    assert errors["good.jsonl"] is None
    assert errors["bad-�-name.jsonl"] is None
    assert errors["gone.jsonl"] == "No such file or directory"
    assert errors["empty.jsonl"] == "is empty"
    assert "damaged" in errors["bad.gz"]
    assert "damaged" in errors["bad.zst"]
    assert "nsys export --type sqlite" in errors["report.nsys-rep"]
