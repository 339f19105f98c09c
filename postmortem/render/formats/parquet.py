"""Parquet: the columns with their own types, for further work."""

from __future__ import annotations

from io import BytesIO

import polars as pl

from postmortem.render.format import Format, Look


def write(frame: pl.DataFrame, _look: Look) -> bytes:
    """The frame as one Parquet file."""
    out = BytesIO()
    frame.write_parquet(out, compression="zstd")
    return out.getvalue()


FORMAT = Format("parquet", "columns with their types, binary", binary=True, make=write)
