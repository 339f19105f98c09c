"""The only writer of stderr: errors, notes and progress; and the exit codes."""

from __future__ import annotations

import sys
import time
from enum import IntEnum

from postmortem.base.units import bytes_text


class Exit(IntEnum):
    """Exit codes of the command."""

    ANSWER = 0
    NO_ANSWER = 1
    USAGE = 2
    INTERRUPTED = 130


QUIET_S = 1.0  # what takes less needs no progress
EVERY_S = 0.2  # a line redrawn more often than this cannot be read


def error(text: str) -> None:
    """One line that names the thing, the reason and the remedy."""
    print(f"postmortem: {_plain(text)}", file=sys.stderr)


def note(text: str) -> None:
    """One line that is no error."""
    print(f"note: {_plain(text)}", file=sys.stderr)


def _plain(text: str) -> str:
    """Without control characters: a file's name must not steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class Progress:
    """How far it is, redrawn in place; only on a terminal, only after a second."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.drawn = self.started
        self.shown = False

    def __call__(self, name: str, rows: int, size: int) -> None:
        """Draw: the source, rows so far, its bytes."""
        self.draw(f"{_plain(name)[-40:]}  {rows:,} rows  {bytes_text(size)}")

    def draw(self, text: str) -> None:
        """Put ``text`` in the line's place, where it is time."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self.started < QUIET_S or now - self.drawn < EVERY_S:
            return
        self.drawn, self.shown = now, True
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Wipe the line."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.shown = False
