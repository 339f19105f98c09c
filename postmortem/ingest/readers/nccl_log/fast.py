"""Whole columns of calls and choices at once: the lines that make a long log long.

Only lines that consist of one complete call (or one choice of algorithm), word for word from
their first to their last, are taken here; all others go line by line. Both ways give the same
rows (upper-case hex alone, which NCCL never prints, counts as a number only here).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from postmortem.ingest.readers.nccl_log.rows import pointer

# What stands before and after the parts of a call that differ from line to line. There are few
# different ones in a log, and each is read once, strictly, as grammar.py has it.
_BEFORE = re.compile(
    r"(?!(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d )([\w.-]+):(\d{1,18}):(\d{1,18}) \[(-?\d{1,9})\] NCCL INFO (\w+)",
    re.ASCII,
)
_PTR = r"(0x[0-9a-f]{1,16}|\(nil\))"
_AFTER = re.compile(
    r"(\d{1,9}) op (\d{1,10}) root (-?\d{1,9}) comm " + _PTR + r" \[nranks=(\d{1,9})\] stream " + _PTR + r"\r?\n?",
    re.ASCII,
)
_CHOSEN = re.compile(
    r"([A-Z_0-9]*[A-Z_][A-Z_0-9]*) proto ([A-Z_0-9]*[A-Z_][A-Z_0-9]*)"
    r" channel\{Lo\.\.Hi\}=\{(\d{1,9})\.\.(\d{1,9})\}\r?\n?",
    re.ASCII,
)

_CALL_MARK, _CHOICE_MARK = ": opCount ", " Bytes -> Algo "
# The words between, and those of them that never change.
_BETWEEN = 7
_ENDS = ("datatype", "op", "root", "comm", "nranks", "stream")
_FIXED = {1: "sendbuff", 3: "recvbuff", 5: "count"}

_HEAD = {
    "line": pl.Int64, "who": pl.String, "host": pl.String, "pid": pl.Int64, "tid": pl.Int64,
    "dev": pl.Int32, "func": pl.String,
}  # fmt: skip
NO_CALLS = pl.DataFrame(
    schema={
        **_HEAD, "op_count": pl.UInt64, "count": pl.UInt64, "datatype": pl.Int64, "op": pl.Int64,
        "root": pl.Int64, "comm": pl.UInt64, "nranks": pl.Int64, "stream": pl.UInt64,
    }
)  # fmt: skip
NO_CHOICES = pl.DataFrame(
    schema={
        **_HEAD, "bytes": pl.UInt64, "algo": pl.String, "proto": pl.String, "msg": pl.String,
        "channel_lo": pl.Int32, "channel_hi": pl.Int32,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """Lines of a part of the file: calls and choices as columns, the others as text with their numbers."""

    lines: int
    calls: pl.DataFrame
    choices: pl.DataFrame
    others: list[tuple[int, str]]


def split(data: bytes, first_line: int) -> Stretch:
    """Sort the lines of ``data`` (whole lines, the last perhaps without newline) into columns and others."""
    if _CALL_MARK.encode() not in data and _CHOICE_MARK.encode() not in data:
        texts = data.decode("utf-8", "replace").split("\n")
        if not texts[-1]:
            texts.pop()
        return Stretch(len(texts), NO_CALLS, NO_CHOICES, list(enumerate(texts, first_line)))
    if not data.isascii():
        data = data.decode("utf-8", "replace").encode()
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    offsets = np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])
    column = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    text = pl.Series("text", pl.from_arrow(column))
    other = np.ones(len(ends), dtype=np.bool_)
    signed = b"+" in data
    calls = _calls(text, signed)
    other[calls["line"].to_numpy()] = False
    rest = np.flatnonzero(other)
    choices = _choices(text.gather(rest), signed)
    choices = choices.with_columns(line=pl.Series(rest[choices["line"].to_numpy()], dtype=pl.Int64))
    other[choices["line"].to_numpy()] = False
    others = [
        (first_line + int(i), data[offsets[i] : offsets[i + 1]].removesuffix(b"\n").decode("utf-8", "replace"))
        for i in np.flatnonzero(other)
    ]
    shift = pl.col("line") + first_line
    return Stretch(len(ends), calls.with_columns(shift), choices.with_columns(shift), others)


def _marked(text: pl.Series, mark: str, signed: bool) -> pl.DataFrame:
    """The lines that hold ``mark``, and no sign that would pass as part of a number: line, before, after.

    ``signed``: whether any line holds a sign. What follows a mark is read strictly, and so no second one passes.
    """
    halves = text.str.splitn(mark, 2).struct.rename_fields(["before", "after"]).struct.unnest()
    holds = halves["after"].is_not_null()
    if signed:
        holds &= ~text.str.contains("+", literal=True)
    return halves.with_columns(line=pl.int_range(len(text), dtype=pl.Int64, eager=True)).filter(holds)


def _befores(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """host, process, thread, device and function of each different beginning."""
    found = [(text, m) for text in rows[column].unique() if (m := _BEFORE.fullmatch(text))]
    return pl.DataFrame(
        {
            column: [t for t, _ in found],
            "who": [":".join(m.group(1, 2, 3)) for _, m in found],
            "host": [m[1] for _, m in found],
            "pid": [int(m[2]) for _, m in found],
            "tid": [int(m[3]) for _, m in found],
            "dev": [int(m[4]) for _, m in found],
            "func": [m[5] for _, m in found],
        },
        schema={column: pl.String, **{name: kind for name, kind in _HEAD.items() if name != "line"}},
    )


def _afters(rows: pl.DataFrame) -> pl.DataFrame:
    """datatype, op, root, comm, nranks and stream of each different end."""
    found = [(text, m) for text in rows["tail"].unique() if text is not None and (m := _AFTER.fullmatch(text))]
    return pl.DataFrame(
        {
            "tail": [t for t, _ in found],
            "datatype": [int(m[1]) for _, m in found],
            "op": [int(m[2]) for _, m in found],
            "root": [int(m[3]) for _, m in found],
            "comm": [pointer(m[4]) for _, m in found],
            "nranks": [int(m[5]) for _, m in found],
            "stream": [pointer(m[6]) for _, m in found],
        },
        schema={"tail": pl.String, **{name: NO_CALLS.schema[name] for name in _ENDS}},
    )  # fmt: skip


def _is_pointer(field: str) -> pl.Expr:
    text = pl.col(field)
    digits = text.str.slice(2).str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    return (text.str.starts_with("0x") & digits.is_not_null()) | (text == "(nil)")


def _calls(text: pl.Series, signed: bool) -> pl.DataFrame:
    rows = _marked(text, _CALL_MARK, signed)
    if rows.is_empty():
        return NO_CALLS
    ends = rows["after"].str.split_exact(" datatype ", 2).struct.rename_fields(["mid", "tail", "more"]).struct.unnest()
    words = ends["mid"].str.split_exact(" ", _BETWEEN).struct.unnest()
    fits = pl.col(f"field_{_BETWEEN}").is_null() & ends["more"].is_null()
    for place, word in _FIXED.items():
        fits &= pl.col(f"field_{place}") == word
    rows = pl.concat([rows, ends.select("tail"), words.with_columns(fits=fits)], how="horizontal")
    rows = rows.filter(pl.col("fits") & _is_pointer("field_2") & _is_pointer("field_4"))
    rows = rows.join(_befores(rows, "before"), on="before", how="inner", maintain_order="left")
    rows = rows.join(_afters(rows), on="tail", how="inner", maintain_order="left").with_columns(
        op_count=pl.col("field_0").str.to_integer(base=16, dtype=pl.UInt64, strict=False),
        count=pl.col("field_6").cast(pl.UInt64, strict=False),
    )
    return rows.select(NO_CALLS.columns).filter(pl.col("op_count").is_not_null(), pl.col("count").is_not_null())


def _choices(text: pl.Series, signed: bool) -> pl.DataFrame:
    rows = _marked(text, _CHOICE_MARK, signed)
    if rows.is_empty():
        return NO_CHOICES
    found = [(end, m) for end in rows["after"].unique() if (m := _CHOSEN.fullmatch(end))]
    chosen = pl.DataFrame(
        {
            "after": [e for e, _ in found],
            "algo": [m[1] for _, m in found],
            "proto": [m[2] for _, m in found],
            "channel_lo": [int(m[3]) for _, m in found],
            "channel_hi": [int(m[4]) for _, m in found],
        },
        schema={"after": pl.String, **{n: NO_CHOICES.schema[n] for n in ("algo", "proto", "channel_lo", "channel_hi")}},
    )  # fmt: skip
    head = rows["before"].str.split_exact(": ", 2).struct.rename_fields(["head", "size", "more"]).struct.unnest()
    rows = rows.with_columns(head).filter(pl.col("more").is_null())
    rows = rows.join(_befores(rows, "head"), on="head", how="inner", maintain_order="left")
    rows = rows.join(chosen, on="after", how="inner", maintain_order="left").with_columns(
        bytes=pl.col("size").cast(pl.UInt64, strict=False),
        msg=pl.format("{}: {}{}{}", "func", "size", pl.lit(_CHOICE_MARK), pl.col("after").str.strip_chars_end("\r\n")),
    )
    return rows.select(NO_CHOICES.columns).filter(pl.col("bytes").is_not_null())
