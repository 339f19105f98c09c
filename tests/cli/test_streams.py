"""stderr's progress and stdout's files."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import straggler, write_bundle

from postmortem.base.errors import OutputError
from postmortem.cli import stderr, stdout
from postmortem.cli.main import main


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Screen(io.StringIO):
    """stdout with its bytes, as a terminal or as a pipe."""

    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self.buffer = io.BytesIO()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_progress_after_a_second_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and bytes are drawn once a second has passed, not before, and wiped at the end."""
    now = [100.0]
    monkeypatch.setattr("postmortem.cli.stderr.time.monotonic", lambda: now[0])
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    progress = stderr.Progress()
    now[0] = 100.9
    progress("rank0.sqlite", 1_000, 5 << 20)
    assert screen.getvalue() == ""
    now[0] = 101.5
    progress("rank0.sqlite", 20_000, 5 << 20)
    assert "rank0.sqlite  20,000 rows  5.0 MiB" in screen.getvalue()
    progress.done()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets no progress, however long it takes."""
    now = [0.0]
    monkeypatch.setattr("postmortem.cli.stderr.time.monotonic", lambda: now[0])
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    progress = stderr.Progress()
    now[0] = 60.0
    progress("rank0.sqlite", 1, 1)
    progress.done()
    assert pipe.getvalue() == ""


def test_names_do_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters of a file's name are shown as signs, never sent."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    stderr.error("a\x1b[31mb\r\n: off")
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue().count("\n") == 1


def test_output_file_is_whole_or_absent(tmp_path: Path) -> None:
    """-o writes under a temporary name first; a place that cannot be written is an error with a remedy."""
    target = tmp_path / "rows.csv"
    stdout.write(b"a,b\n", str(target))
    assert target.read_bytes() == b"a,b\n"
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]
    with pytest.raises(OutputError, match="choose another place"):
        stdout.write(b"", str(tmp_path / "no" / "such" / "folder.csv"))


def test_output_to_what_is_no_file(tmp_path: Path) -> None:
    """-o writes to a pipe or a device, and through a link, and never puts a file in its place."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as aside:
        got = aside.submit(pipe.read_bytes)
        stdout.write(b"a,b\n", str(pipe))
        assert got.result(10) == b"a,b\n"
    assert pipe.is_fifo()
    link.symlink_to("rows.csv")
    for text in (b"a\n", b"b\n"):
        stdout.write(text, str(link))
        assert (tmp_path / "rows.csv").read_bytes() == text
    assert link.is_symlink()


def test_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and pipes turn colour off."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert stdout.colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not stdout.colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not stdout.colour()


def test_what_a_terminal_shows_does_not_steer_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as CSV keep their bytes in a pipe; a terminal gets control characters written out, and nothing binary."""
    calm, other = straggler()
    place = write_bundle(tmp_path / "bundle", calm, other) / "b.jsonl"
    place.write_text(place.read_text().replace('"b-1"', '"b-\\u001b[31m1"'))
    words = ["query", str(place.parent), "flips", "--store", str(tmp_path / "store.duckdb"), "--format"]
    for screen, said in ((Screen(), b"b-\\x1b[31m1"), (Screen(terminal=False), b"b-\x1b[31m1")):
        monkeypatch.setattr(sys, "stdout", screen)
        assert main([*words, "csv"]) == 0
        assert said in screen.buffer.getvalue()
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert main([*words, "parquet"]) == 2
    assert sys.stdout.buffer.getvalue() == b""  # type: ignore[attr-defined]
    assert "write a file with -o" in sys.stderr.getvalue()  # type: ignore[attr-defined]
