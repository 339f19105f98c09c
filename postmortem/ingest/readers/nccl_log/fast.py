"""Whole columns of calls and choices at once: the lines that make a long log long.

Only lines that consist of one complete call (or one choice of algorithm), from their first to
their last character, are taken here; all others go line by line. Both ways give the same rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

_HEAD = r"^[A-Za-z0-9_.-]+:\d{1,18}:\d{1,18} \[-?\d{1,9}\] NCCL INFO "
_PTR = r"(?:0x[0-9a-f]{1,16}|\(nil\))"
# The strict patterns of grammar.py for a call and for the commonest choice, with nothing around them.
CALL = (
    _HEAD + r"[A-Za-z0-9_]+: opCount [0-9a-f]{1,16} sendbuff " + _PTR + " recvbuff " + _PTR
    + r" count \d{1,19} datatype \d{1,9} op \d{1,9} root -?\d{1,9} comm " + _PTR
    + r" \[nranks=\d{1,9}\] stream " + _PTR + r"\r?\n?$"
)  # fmt: skip
CHOICE = (
    _HEAD + r"[A-Za-z0-9_]+: \d{1,19} Bytes -> Algo [A-Z_0-9]*[A-Z_][A-Z_0-9]* proto [A-Z_0-9]*[A-Z_][A-Z_0-9]*"
    r" channel\{Lo\.\.Hi\}=\{\d{1,9}\.\.\d{1,9}\}\r?\n?$"
)
# A clock time is no process (records.py says the same).
_CLOCK = re.compile(r"(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d$", re.ASCII)

_CALL_PARTS = 24  # words of a call's line
_CHOICE_PARTS = 13  # words of a choice's line


@dataclass(frozen=True)
class Stretch:
    """Lines of a part of the file: calls and choices as columns, the others as text with their numbers."""

    lines: int
    calls: pl.DataFrame
    choices: pl.DataFrame
    others: list[tuple[int, str]]


def split(data: bytes, first_line: int) -> Stretch:
    """Sort the lines of ``data`` (whole lines, the last perhaps without newline) into columns and others."""
    if not data.isascii():
        data = data.decode("utf-8", "replace").encode()
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    offsets = np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])
    column = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    text = pl.Series("text", pl.from_arrow(column))
    is_call = _fulfils(text, ": opCount ", CALL)
    is_choice = _fulfils(text, " Bytes -> Algo ", CHOICE)
    rest = np.flatnonzero(~(is_call | is_choice))
    others = [
        (first_line + int(i), data[offsets[i] : offsets[i + 1]].removesuffix(b"\n").decode("utf-8", "replace"))
        for i in rest
    ]
    lines = pl.Series("line", np.arange(first_line, first_line + len(ends), dtype=np.int64))
    return Stretch(len(ends), _calls(text, lines, is_call), _choices(text, lines, is_choice), others)


def _fulfils(text: pl.Series, mark: str, pattern: str) -> npt.NDArray[np.bool_]:
    """Which lines hold ``mark`` and, whole, ``pattern``."""
    out = np.zeros(len(text), dtype=np.bool_)
    marked = np.flatnonzero(text.str.contains(mark, literal=True).to_numpy())
    if len(marked):
        some = text.gather(marked)
        heads = some.str.slice(0, 30).str.split_exact(" ", 1).struct.field("field_0").unique()
        # Times, not processes: rare enough that all go the slow way then.
        if not any(_CLOCK.match(head) for head in heads):
            out[marked[some.str.contains(pattern).to_numpy()]] = True
    return out


def _words(text: pl.Series, lines: pl.Series, which: npt.NDArray[np.bool_], count: int) -> pl.DataFrame:
    chosen = np.flatnonzero(which)
    words = text.gather(chosen).str.split_exact(" ", count - 1).struct.unnest()
    return words.with_columns(line=lines.gather(chosen))


def _head() -> list[pl.Expr]:
    """Host, process, thread and device; the host may hold no colon."""
    head = pl.col("field_0").str.split_exact(":", 2)
    return [
        pl.col("line"),
        pl.col("field_0").alias("who"),
        head.struct.field("field_0").alias("host"),
        head.struct.field("field_1").cast(pl.Int64).alias("pid"),
        head.struct.field("field_2").cast(pl.Int64).alias("tid"),
        pl.col("field_1").str.strip_chars("[]").cast(pl.Int32).alias("dev"),
        pl.col("field_4").str.head(-1).alias("func"),
    ]


def _pointer(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars_end("\r\n").replace("(nil)", "0x0")
    return text.str.slice(2).str.to_integer(base=16, dtype=pl.UInt64)


def _calls(text: pl.Series, lines: pl.Series, which: npt.NDArray[np.bool_]) -> pl.DataFrame:
    return _words(text, lines, which, _CALL_PARTS).select(
        *_head(),
        op_count=pl.col("field_6").str.to_integer(base=16, dtype=pl.UInt64),
        count=pl.col("field_12").cast(pl.UInt64),
        datatype=pl.col("field_14").cast(pl.Int64),
        op=pl.col("field_16").cast(pl.Int64),
        root=pl.col("field_18").cast(pl.Int64),
        comm=_pointer("field_20"),
        nranks=pl.col("field_21").str.slice(8).str.strip_chars_end("]").cast(pl.Int64),
        stream=_pointer("field_23"),
    )


def _choices(text: pl.Series, lines: pl.Series, which: npt.NDArray[np.bool_]) -> pl.DataFrame:
    channels = pl.col("field_12").str.extract_groups(r"\{(\d+)\.\.(\d+)\}")
    return _words(text, lines, which, _CHOICE_PARTS).select(
        *_head(),
        bytes=pl.col("field_5").cast(pl.UInt64),
        algo=pl.col("field_9"),
        proto=pl.col("field_11"),
        msg=pl.concat_str([pl.col(f"field_{i}") for i in range(4, _CHOICE_PARTS)], separator=" ").str.strip_chars_end(),
        channel_lo=channels.struct[0].cast(pl.Int32),
        channel_hi=channels.struct[1].cast(pl.Int32),
    )


_NOTHING = pl.Series("text", [], dtype=pl.String)
_NO_LINES = pl.Series("line", [], dtype=pl.Int64)
NO_CALLS = _calls(_NOTHING, _NO_LINES, np.zeros(0, dtype=np.bool_))
NO_CHOICES = _choices(_NOTHING, _NO_LINES, np.zeros(0, dtype=np.bool_))
