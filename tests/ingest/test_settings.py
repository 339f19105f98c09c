"""bundle.toml: every key checked, every error one line, times exact."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from postmortem.base.errors import BundleUnreadable
from postmortem.ingest.bundle import READ, open_files, read_settings
from postmortem.ingest.files import BundleFile
from postmortem.ingest.load import ingest
from tests.ingest.stores import rows


def settings(tmp_path: Path, text: str, name: str = "bundle.toml") -> Any:
    """bundle.toml of such a text."""
    path = tmp_path / "bundle.toml"
    path.write_text(text, "utf-8")
    return read_settings(path, name)


def test_settings(tmp_path: Path) -> None:
    """Times become UTC epoch ns to the microsecond, scalars stay, sources are told from the file's folder."""
    got = settings(
        tmp_path,
        '[incident]\nstart = 2026-11-02T10:00:00.123456Z\nend = 2026-11-02T12:00:01+02:00\ntitle = "t"\n'
        '[deployment]\ntp = 8\nhbm_gbps = 3350.5\nmodels = ["a", "b"]\n'
        '[nvtx]\niteration = "step_(?P<n>\\\\d+)"\n[logs]\ntime_format = "%H:%M"\n'
        '[[source]]\npath = "nsys/r5.sqlite"\nreplica = "b"\nrank = 5\nclock_offset_ns = -9223372036854775808\n',
        "incident/bundle.toml",
    )
    # date -u -d 2026-11-02T10:00:00 +%s gives 1793613600
    assert got.values["incident.start_ns"] == 1_793_613_600_123_456_000
    assert got.values["incident.end_ns"] == 1_793_613_601_000_000_000
    assert got.values["deployment.tp"] == 8
    assert got.values["deployment.models"] == ["a", "b"]
    assert got.nvtx == {"iteration": "step_(?P<n>\\d+)"}
    assert got.time_format == "%H:%M"
    source = got.sources["incident/nsys/r5.sqlite"]
    assert (source.replica, source.rank, source.clock_offset_ns) == ("b", 5, -(2**63))


UNREAD = {
    "[basline]\nstart = 2026-11-02T10:00:00Z": ("basline.start", "did you mean baseline.start?"),
    "[incident]\ntitel = 'x'": ("incident.titel", "did you mean incident.title?"),
    "title = 'x'": ("title", "did you mean incident.title?"),
    "[regime]\nqueue_degraded_ms = 40": ("regime.queue_degraded_ms", "did you mean regimes.queue_degraded_ms?"),
    "[notes]\nby = 'me'": ("notes.by", "a setting that nothing reads"),
}


@pytest.mark.parametrize("text", UNREAD)
def test_what_nothing_reads_is_said(tmp_path: Path, text: str) -> None:
    """A misspelt section or key would do nothing, in silence."""
    (tmp_path / "bundle.toml").write_text(text, "utf-8")
    with open_files(tmp_path) as bundle:
        ((key, why),) = bundle.left_out
    assert key == f"{UNREAD[text][0]} of bundle.toml"
    assert why.endswith(UNREAD[text][1])


def test_every_setting_that_sql_reads_is_known() -> None:
    """Keys of the table bundle in queries stand in the list of what is read, and no other section does."""
    texts = [p.read_text("utf-8") for p in Path(__file__).parents[2].joinpath("queries").rglob("*.sql")]
    asked = {key for text in texts for key in re.findall(r"key = '([a-z_.]+)'", text)}
    assert {"baseline.start_ns", "regimes.queue_degraded_ms"} < asked
    known = {key.removesuffix("_ns") for key in asked if not key.startswith(("deployment.", "store."))}
    assert known <= READ


WRONG = {
    "a = ": "is not valid TOML",
    "a = 1\na = 2": "is not valid TOML",
    '[incident]\nstart = "2026-11-02T10:00:00Z"': "incident.start must be a time; write it as",
    "[incident]\nstart = 2026-11-02": "incident.start must be a time, not a date",
    "[incident]\nstart = 10:00:00": "incident.start must be a time",
    "[incident]\nstart = 2026-11-02T10:00:00": "incident.start has no time zone",
    '[incident]\nstart_ns = "x"\nend = 2026-11-02T10:00:00Z': "incident.start_ns must be a time",
    "[baseline]\nend_ns = [1]": "baseline.end_ns must be a time",
    '"incident.end_ns" = "x"': "incident.end_ns must be a time",
    "[baseline]\nend = 2400-01-01T00:00:00Z": "lies outside the years 1678 to 2262",
    "[incident]\nstart = 2026-11-02T10:00:00Z\nend = 2026-11-02T10:00:00Z": "incident.end is not after incident.start",
    "[deployment.more]\na = 1": "deployment.more must be a plain value",
    "[deployment]\ntp = 9223372036854775808": "deployment.tp is beyond 64 bits",
    "[deployment]\nhbm_gbps = nan": "deployment.hbm_gbps must be a finite number",
    "[logs]\ntime_format = 7": "logs.time_format must be a text",
    "nvtx = 1": "nvtx must be a table",
    '[nvtx]\na = "("': "nvtx.a is no regular expression",
    '[nvtx]\na = "x{99999999999}"': "nvtx.a is no regular expression",
    "[nvtx]\na = 1": "nvtx.a must be a regular expression in quotes",
    'source = "a"': "source must be [[source]] tables",
    "source = [1]": "source must be [[source]] tables",
    "[[source]]\nrank = 1": "a [[source]] is invalid",
    '[[source]]\npath = "a"\nrank = "1"': "a [[source]] is invalid",
    '[[source]]\npath = "a"\nrank = true': "a [[source]] is invalid",
    '[[source]]\npath = "a"\nrank = -1': "a [[source]] is invalid",
    '[[source]]\npath = "a"\nclock_offset_ns = 1.5': "a [[source]] is invalid",
    '[[source]]\npath = "a"\noffset_ns = 1': "a [[source]] is invalid",
    '[[source]]\npath = "a"\n[[source]]\npath = "./a"': "two [[source]] tables tell of ./a",
    "a = " + "[" * 5000: "is not valid TOML",
}


@pytest.mark.parametrize("text", WRONG, ids=list(WRONG.values()))
def test_wrong_settings(tmp_path: Path, text: str) -> None:
    """Each wrong bundle.toml has a reason of one line that names the key."""
    with pytest.raises(BundleUnreadable) as e:
        settings(tmp_path, text)
    assert WRONG[text] in str(e.value)
    assert "\n" not in str(e.value)


def test_settings_that_are_no_text(tmp_path: Path) -> None:
    """A bundle.toml of other bytes, or of more than a person writes, is refused."""
    path = tmp_path / "bundle.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BundleUnreadable, match="is not valid TOML"):
        read_settings(path, "bundle.toml")
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(BundleUnreadable, match="larger than 1 MiB"):
        read_settings(path, "bundle.toml")


def test_settings_of_a_windows_editor(tmp_path: Path) -> None:
    """A byte order mark and CRLF are no part of the text."""
    path = tmp_path / "bundle.toml"
    path.write_bytes(b'\xef\xbb\xbf[incident]\r\ntitle = "t"\r\n')
    assert read_settings(path, "bundle.toml").values == {"incident.title": "t"}


def test_clock_of_a_file_that_is_damaged_further_on(tmp_path: Path) -> None:
    """What was read of it comes onto the bundle's clock as well."""
    place = tmp_path / "b"
    place.mkdir()
    rows_each, path = 20_000, place / "r.parquet"  # a batch of the reader
    ids = [f"q{n}" for n in range(2 * rows_each)]
    table = pa.table({"req_id": ids, "step": [0] * len(ids), "ts_ns": list(range(len(ids)))})
    pq.write_table(table, path, row_group_size=rows_each)
    data = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    data[at : at + 2_000] = bytes(b ^ 0x5A for b in data[at : at + 2_000])
    path.write_bytes(data)
    (place / "bundle.toml").write_text('[[source]]\npath = "r.parquet"\nclock_offset_ns = 1000000000\n')
    ingest(place, store := tmp_path / "s.duckdb")
    assert rows(store, "FROM sources SELECT error IS NULL, rows WHERE path = 'r.parquet'") == [(False, rows_each)]
    assert rows(store, "FROM s_records SELECT min(ts_ns), max(ts_ns)") == [(10**9, 10**9 + rows_each - 1)]


def test_settings_named_as_the_stores_own(tmp_path: Path) -> None:
    """What a deployment tells of a store of its own does not pass for the version of ours."""
    place = tmp_path / "b"
    place.mkdir()
    (place / "r.jsonl").write_text('{"record":"s","req_id":"q","step":0}\n')
    (place / "bundle.toml").write_text('[store]\nschema = 1\n[derived]\nis_before = "x"\n')
    ingest(place, store := tmp_path / "s.duckdb")
    assert rows(store, "FROM bundle SELECT value WHERE key = 'store.schema' ORDER BY rowid")[1:] == [("1",)]


def test_nearest_settings_hold(tmp_path: Path) -> None:
    """Of several bundle.toml the one nearest the top holds; the others and unknown paths are said."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "bundle.toml").write_text('[incident]\ntitle = "deep"\n')
    (tmp_path / "bundle.toml").write_text('[incident]\ntitle = "top"\n[[source]]\npath = "typo.jsonl"\n')
    with open_files(tmp_path) as bundle:
        assert bundle.settings.values == {"incident.title": "top"}
        assert bundle.left_out == (
            ("a/bundle.toml", "a second bundle.toml beside bundle.toml"),
            ("typo.jsonl", "in bundle.toml but not in the bundle"),
        )
        assert BundleFile("bundle.toml", tmp_path / "bundle.toml") in bundle.files


def test_source_settings_reach_the_store(tmp_path: Path) -> None:
    """Replica, rank and clock offset of bundle.toml hold: times come onto the bundle's clock."""
    place = tmp_path / "b"
    place.mkdir()
    (place / "r.jsonl").write_text(
        '{"record":"s","req_id":"q","step":0,"ts_ns":1000}\n{"record":"s","req_id":"q","step":1,"ts_ns":4611686018427387903}\n'
        '{"record":"x","req_id":"q","admitted_ns":900}\n'
    )
    (place / "bundle.toml").write_text('[[source]]\npath = "r.jsonl"\nreplica = "b"\nrank = 5\nclock_offset_ns = 50\n')
    store = tmp_path / "s.duckdb"
    ingest(place, store)
    steps = rows(store, "FROM s_records SELECT replica, rank, ts_ns ORDER BY step")
    assert steps == [("b", None, 1050), ("b", None, None)]
    assert rows(store, "FROM x_records SELECT replica, admitted_ns") == [("b", 950)]
    source = "FROM sources SELECT rank, rank_from, replica_from, first_ns, last_ns WHERE kind = 'records'"
    assert rows(store, source) == [(5, "bundle.toml", "bundle.toml", 950, 1050)]


def test_a_clock_offset_holds_for_what_was_read_before_the_damage(tmp_path: Path) -> None:
    """Rows of a Parquet file whose second part is damaged come onto the bundle's clock as well."""
    place = tmp_path / "b"
    place.mkdir()
    steps = list(range(40_000))
    table = pa.table({"req_id": ["q"] * len(steps), "step": steps, "ts_ns": [1000 + n for n in steps]})
    pq.write_table(table, place / "r.parquet", row_group_size=20_000, use_dictionary=False)
    damaged = bytearray((place / "r.parquet").read_bytes())
    at = pq.ParquetFile(place / "r.parquet").metadata.row_group(1).column(1).data_page_offset
    damaged[at : at + 200] = b"\xff" * 200
    (place / "r.parquet").write_bytes(damaged)
    (place / "s.jsonl").write_text('{"record":"s","req_id":"z","step":0}\n')
    (place / "bundle.toml").write_text('[[source]]\npath = "r.parquet"\nclock_offset_ns = 50\n')
    store = tmp_path / "s.duckdb"
    ingest(place, store)
    assert rows(store, "FROM s_records SELECT count(*), min(ts_ns) WHERE req_id = 'q'") == [(20_000, 1050)]
    ((error, first),) = rows(store, "FROM sources SELECT error, first_ns WHERE path = 'r.parquet'")
    assert error.startswith("Parquet: ")
    assert first == 1050
