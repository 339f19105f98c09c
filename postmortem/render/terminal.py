"""From a rich renderable to text of a given width, the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Literal, TypeAlias

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

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


#: Columns between two of a table.
GAP = 2


#: A column's kind: figures stand at the right and are never folded, a term is never folded, text is, between words.
Kind: TypeAlias = Literal["figure", "term", "text"]


def rows_text(columns: Mapping[str, Kind], rows: Sequence[Sequence[Text]], look: Look) -> str:
    """Rows as a table in which no figure and no word is broken; where that would be too wide, one block a row."""
    names = list(columns)
    filled = list(zip(*rows, strict=True))
    least = [
        max(_longest(name), *(_longest(c.plain) if kind == "text" else cell_len(c.plain) for c in cells))
        for (name, kind), cells in zip(columns.items(), filled, strict=True)
    ]
    most = [max(cell_len(name), *(cell_len(c.plain) for c in cells)) for name, cells in zip(names, filled, strict=True)]
    for gap in (GAP, 1):
        room = look.width - gap * (len(least) - 1) - sum(least)
        if room >= 0:
            break
    else:
        return blocks(names, rows, look)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold", show_edge=False)
    for (name, kind), width in zip(columns.items(), _shared(room, least, most), strict=True):
        table.add_column(name, justify="right" if kind == "figure" else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*row)
    return written(table, look)


def _shared(room: int, least: list[int], most: list[int]) -> list[int]:
    """Widths of columns: what there is beyond the least goes to those that lack the least first, so most stay whole."""
    widths = list(least)
    for n in sorted(range(len(widths)), key=lambda n: most[n] - least[n]):
        more = min(most[n] - least[n], room)
        widths[n], room = widths[n] + more, room - more
    return widths


def _longest(text: str) -> int:
    """Columns of its longest word."""
    return max((cell_len(word) for word in text.split()), default=0)


def blocks(names: Sequence[str], rows: Sequence[Sequence[Text]], look: Look) -> str:
    """One block of ``name value`` a row, its number above it."""
    label = max(cell_len(name) for name in names)
    parts = []
    for number, row in enumerate(rows, 1):
        grid = Table.grid(padding=(0, GAP))
        grid.add_column(min_width=label, style="bold")
        grid.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            grid.add_row(Text(name), value)
        heading = f"row {number} of {len(rows)} "
        rule = Text(heading + "─" * max(0, look.width - cell_len(heading)), style="dim")
        parts += [written(rule, look), written(grid, look)]
    return "".join(parts)
