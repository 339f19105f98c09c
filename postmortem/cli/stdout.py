"""The only writer of stdout: data, as bytes, to the terminal, a pipe or a file (``-o``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from postmortem.base.errors import OutputError
from postmortem.base.whole import write_whole


def write(data: bytes, path: str | None = None) -> None:
    """Write an answer whole; to ``path`` under a temporary name first. Raises OutputError, BrokenPipeError."""
    if path is None:
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as e:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to be written
            if isinstance(e, BrokenPipeError):
                raise
            raise OutputError("stdout", e.strerror or str(e), "look for space where it goes") from e
        return
    target = Path(path)
    try:
        write_whole(target, data)
    except OSError as e:
        raise OutputError(str(target), e.strerror or str(e), "choose another place with -o") from e


def write_json(document: dict[str, Any]) -> None:
    """Write one JSON document, indented."""
    import msgspec

    write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def width() -> int:
    """Columns of the terminal: 80 where there is none, or COLUMNS says otherwise."""
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def terminal() -> bool:
    """Whether stdout is a terminal: what is written there is looked at, and may steer it."""
    return sys.stdout.isatty()


def colour() -> bool:
    """Whether stdout takes colour: a terminal, and NO_COLOR is not set."""
    return terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
