"""The charts: one file a chart, each with ``CHART``."""

from __future__ import annotations

import sys

from postmortem.base.rooms import room, rooms
from postmortem.render.chart import Chart


def charts() -> dict[str, Chart]:
    """All charts by name."""
    return rooms(sys.modules[__name__], "CHART", Chart)


def chart_named(name: str) -> Chart:
    """The chart of that name."""
    return room(sys.modules[__name__], name, "CHART", Chart)
