"""Registered strings: ids of ``StringIds`` into names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from postmortem.ingest.readers.nsys_sqlite.evidence import Database
from postmortem.ingest.readers.nsys_sqlite.rows import Column, Ledger, rows


class Strings:
    """The strings of one export by id.

    Blocks of process arguments and environments are stored as one string with NUL bytes
    between; unless they may be kept, what follows the first NUL stays here.
    """

    def __init__(self, db: Database, ledger: Ledger, *, keep_environment: bool) -> None:
        batches = list(rows(db, "StringIds", [Column("id", required=True), Column("value", "text")], ledger))
        ids = np.concatenate([b.column("id").to_numpy() for b in batches]) if batches else np.empty(0, np.int64)
        values = pa.chunked_array([b.column("value") for b in batches], pa.string()).combine_chunks()
        order = np.argsort(ids, kind="stable")
        self._ledger = ledger
        self._ids = ids[order]
        self._values = tidied(values.take(pa.array(order)), keep_environment=keep_environment)

    def names(self, ids: pa.Array) -> pa.Array:
        """The strings of these ids (a dictionary where all are known); NULL where the id is NULL or unknown."""
        encoded = ids.dictionary_encode()
        unique = encoded.dictionary.to_numpy(zero_copy_only=False).astype(np.int64)
        if len(self._ids) == 0:
            found = np.zeros(len(unique), bool)
            at = np.zeros(len(unique), np.int64)
        else:
            at = np.minimum(np.searchsorted(self._ids, unique), len(self._ids) - 1)
            found = self._ids[at] == unique
        names = self._values.take(pa.array(at, mask=~found))
        if not found.all():
            unknown = pa.array(np.flatnonzero(~found))
            self._ledger.dangling += int(pc.sum(pc.is_in(encoded.indices, unknown.cast(pa.int32()))).as_py() or 0)
            return names.take(encoded.indices)
        return pa.DictionaryArray.from_arrays(encoded.indices, names)


def tidied(values: pa.Array, *, keep_environment: bool) -> pa.Array:
    """Texts without NUL bytes; of a block of arguments only the first, unless kept."""
    blocks = pc.match_substring(values, "\0")
    if not pc.any(blocks).as_py():
        return values
    if keep_environment:
        return pc.replace_substring(values, "\0", " ")
    first = pc.replace_substring_regex(values, pattern="(?s)\0.*", replacement=" <left out>")
    return pc.if_else(pc.fill_null(blocks, fill_value=False), first, values)
