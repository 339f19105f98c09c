"""Many s records at once, where they are plain: exactly the rows that the careful way gives, or none.

A server's own recorder writes one kind of record, every field of its type, no nulls, no escapes.
Such a block is parsed by polars. Polars is less strict than the contract: it makes text of a number
where text belongs, and drops unknown and doubled keys in silence. So the parsed cells are held
against the bytes: without escapes or a space before a colon

* every key ends in ``":``, so a key that gave no cell, a null among them, makes those more than the cells (a text that
  begins with a colon makes them more, too: that block goes the careful way),
* every quote belongs to a key or a text, so a number that became text makes quotes too few.

A block that differs in anything goes the careful way, line by line.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postmortem.ingest.readers.records.blocks import MAX_LINE
from postmortem.ingest.readers.records.model import TACTICS, arrow_schema, limits

if TYPE_CHECKING:
    import polars as pl

# A recorder puts the mark first; json.dumps puts a space after the colon, compact writers do not.
PREFIXES = (b'{"record":"s"', b'{"record": "s"')
# With one of these in it a block is not told by counting quotes and colons, or has lists, of which
# polars would make texts. (A null is a key without a cell: that is told by counting.)
NOT_PLAIN = (b"\\", b"[")
SPACED = (b" :", b"\t:", b"\r:")  # looked for only where some colon does not follow a quote

STRIDE = 256 << 10  # characters counted at a time: they and the marks made of them stay in the processor's cache

_SCHEMA = arrow_schema("s")


def bulk(block: bytes) -> pl.DataFrame | None:
    """The block's s records as a frame with the columns of s_records but line, or None: read it carefully."""
    prefix = next((p for p in PREFIXES if block.startswith(p)), None)
    if prefix is None or not block.endswith(b"}\n"):
        return None
    if any(sign in block for sign in NOT_PLAIN):
        return None
    marks = _Marks.of(block)
    lines = len(marks.ends)
    # A raw line break in a JSON text is an error, so "}\n{" lies between records and nowhere else.
    if marks.braces != lines or not _begin_alike(block, marks.ends, prefix):
        return None
    if np.diff(marks.ends, prepend=-1).max() > MAX_LINE:
        return None
    frame = _parsed(block)
    if frame is None or frame.height != lines:
        return None
    if marks.keys != marks.colons and any(sign in block for sign in SPACED):
        return None
    filled = {name: frame.height - frame[name].null_count() for name in frame.columns}
    texts = sum(n for name, n in filled.items() if frame.schema[name].is_(frame.schema["record"]))
    cells = sum(filled.values())
    if marks.keys != cells or marks.quotes != 2 * (cells + texts):
        return None
    return _fitting(frame)


@dataclass(frozen=True)
class _Marks:
    """Where the lines of a block end, and how many braces open, quotes, colons, and quotes before a colon it has."""

    ends: npt.NDArray[np.int64]
    braces: int
    quotes: int
    colons: int
    keys: int

    @classmethod
    def of(cls, block: bytes) -> _Marks:
        characters = np.frombuffer(block, np.uint8)
        ends, sums = [], np.zeros(4, np.int64)
        is_it, quoted = np.empty(STRIDE, np.bool_), np.empty(STRIDE, np.bool_)
        after_quote = False  # whether the stride before ended with a quote
        for start in range(0, len(characters), STRIDE):
            part = characters[start : start + STRIDE]
            one, other = is_it[: len(part)], quoted[: len(part)]
            ends.append(np.flatnonzero(np.equal(part, ord("\n"), out=one)) + start)
            braces = np.count_nonzero(np.equal(part, ord("{"), out=one))
            quotes = np.count_nonzero(np.equal(part, ord('"'), out=other))
            colons = np.count_nonzero(np.equal(part, ord(":"), out=one))
            keys = int(after_quote and one[0])
            after_quote = bool(other[-1])
            keys += int(np.count_nonzero(np.logical_and(other[:-1], one[1:], out=other[:-1])))
            sums += np.array([braces, quotes, colons, keys])
        return cls(np.concatenate(ends), *sums.tolist())


def _begin_alike(block: bytes, ends: npt.NDArray[np.int64], prefix: bytes) -> bool:
    """Whether every line but the last is followed by the prefix, and ends with a brace."""
    characters = np.frombuffer(block, np.uint8)
    inner = ends[:-1]
    wanted = np.frombuffer(b"}\n" + prefix, np.uint8)
    if len(inner) and inner[-1] + len(wanted) - 1 > len(characters):
        return False
    return all(bool((characters[inner + (i - 1)] == sign).all()) for i, sign in enumerate(wanted))


def _parsed(block: bytes) -> pl.DataFrame | None:
    """The block by polars, its tactics as the first record has them: numbers or texts; None where it refuses."""
    import polars as pl

    types = {"int64": pl.Int64, "int32": pl.Int32, "double": pl.Float64, "bool": pl.Boolean, "string": pl.String}
    schema = {"record": pl.String()} | {
        f.name: types[str(f.type)]() for f in _SCHEMA if f.name not in {"line", "extra"}
    }
    first = block[: block.index(b"\n")]
    for name in TACTICS:
        value = first.partition(b'"%s":' % name.encode())[2][:2].lstrip()
        if value and not value.startswith(b'"'):
            schema[name] = pl.Int64()
    try:
        return pl.read_ndjson(io.BytesIO(block), schema=schema)
    except (pl.exceptions.PolarsError, OverflowError, UnicodeDecodeError):
        return None  # the careful way finds the line and the reason


def _fitting(frame: pl.DataFrame) -> pl.DataFrame | None:
    """The frame where every value is within the contract's limits, else None."""
    import polars as pl

    broken = [pl.col("record") != "s"]
    for name, (low, high, longest) in limits("s").items():
        column = pl.col(name)
        if longest:
            broken.append(column.str.len_bytes() < longest)
        elif low is not None:
            broken.append((column < low) | (column > high))
    broken += [~pl.col(name).is_finite() for name, kind in frame.schema.items() if kind == pl.Float64]
    request = pl.col("req_id").is_not_null()
    placed = pl.all_horizontal(pl.col("replica", "rank", "iteration").is_not_null())
    broken.append((request & pl.col("step").is_null()) | (~request & ~placed))
    if any(frame.select(b.any().alias(str(n)) for n, b in enumerate(broken)).row(0)):
        return None
    return frame.drop("record").with_columns(pl.col(TACTICS).cast(pl.String))


def batch_of(frames: list[pl.DataFrame], starts: list[int]) -> pa.Table:
    """Frames of bulk as one table of s_records; ``starts`` are the numbers of their first lines."""
    import polars as pl

    whole = pl.concat(
        f.with_columns(pl.int_range(start, start + f.height, dtype=pl.Int64).alias("line"))
        for f, start in zip(frames, starts, strict=True)
    )
    return whole.to_arrow()
