"""The report's sections: one file a section, each with ``SECTION`` and a template of its name."""

from __future__ import annotations

import sys

from postmortem.base.rooms import rooms
from postmortem.render.section import Section


def sections() -> list[Section]:
    """All sections in the order of the page."""
    return sorted(rooms(sys.modules[__name__], "SECTION", Section).values(), key=lambda s: (s.order, s.name))
