"""From a rich renderable to text of a given width, the same on every machine."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, RenderableType

from postmortem.render.format import Look


def written(thing: RenderableType, look: Look) -> str:
    """The renderable as text; no colour codes unless the look asks for them."""
    out = StringIO()
    console = Console(
        file=out,
        width=look.width,
        force_terminal=look.colour,
        color_system="standard" if look.colour else None,
        no_color=not look.colour,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(thing)
    text = out.getvalue()
    if look.colour:
        return text
    return "".join(line.rstrip() + "\n" for line in text.splitlines())
