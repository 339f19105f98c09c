"""A table for people: figures right-aligned; where it is too wide, one block a row.

Nothing is cut: long text is folded, and characters that would steer the terminal are written
out.
"""

from __future__ import annotations

import polars as pl
from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from postmortem.render.format import Format, Look, is_figure, rows, text
from postmortem.render.terminal import GAP, blocks, written
from postmortem.render.words import visible

#: A text column may be folded to this width before the table is given up for blocks.
_NARROWEST = 12


def write(frame: pl.DataFrame, look: Look) -> bytes:
    """The rows as a table, or as blocks of ``column value`` where it would not fit."""
    if not frame.columns:
        return b"no columns\n"
    cells = [[visible(text(value)) for value in row.values()] for row in rows(frame)]
    if not cells:
        return written(Text(f"no rows ({', '.join(map(visible, frame.columns))})"), look).encode()
    figures = [is_figure(dtype) for dtype in frame.dtypes]
    names = [visible(name) for name in frame.columns]
    widths = [max(cell_len(name), *(cell_len(row[i]) for row in cells)) for i, name in enumerate(names)]
    least = [
        width if figure else max(cell_len(name), min(width, _NARROWEST))
        for width, figure, name in zip(widths, figures, names, strict=True)
    ]
    if sum(least) + GAP * (len(least) - 1) <= look.width:
        return written(_table(names, figures, widths, cells), look).encode()
    return blocks(names, [[Text(value) for value in row] for row in cells], look).encode()


def _table(names: list[str], figures: list[bool], widths: list[int], cells: list[list[str]]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for name, figure, width in zip(names, figures, widths, strict=True):
        table.add_column(
            Text(name, style="bold"),
            justify="right" if figure else "left",
            overflow="fold",
            no_wrap=figure,
            min_width=width if figure else None,
        )
    for row in cells:
        table.add_row(*(Text(value) for value in row))
    return table


FORMAT = Format("table", "for people to read", binary=False, make=write)
