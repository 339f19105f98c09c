"""The output formats of rows: one file a format, each with ``FORMAT``."""

from __future__ import annotations

import sys

from postmortem.base.errors import UsageError
from postmortem.base.rooms import names, room
from postmortem.render.format import Format


def format_names() -> list[str]:
    """The names of all formats, sorted."""
    return names(sys.modules[__name__])


def format_named(name: str) -> Format:
    """The format of that name. Raises UsageError with the names that there are."""
    known = format_names()
    if name not in known:
        raise UsageError(f"format {name}", "is not known", f"try one of: {', '.join(known)}")
    return room(sys.modules[__name__], name, "FORMAT", Format)
