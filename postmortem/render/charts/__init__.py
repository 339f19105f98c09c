"""The charts: one file a chart, each with ``CHART``."""

from __future__ import annotations

import sys

from postmortem.base.errors import UsageError
from postmortem.base.rooms import names, room, rooms
from postmortem.render.chart import Chart


def charts() -> dict[str, Chart]:
    """All charts by name."""
    return rooms(sys.modules[__name__], "CHART", Chart)


def chart_named(name: str) -> Chart:
    """The chart of that name. Raises UsageError with the names that there are."""
    known = names(sys.modules[__name__])
    if name not in known:
        raise UsageError(f"chart {name}", "is not known", f"try one of: {', '.join(known)}")
    return room(sys.modules[__name__], name, "CHART", Chart)
