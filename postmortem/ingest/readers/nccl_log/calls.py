"""Calls: which communicator each belongs to, the how-manieth of its rank it is, what was chosen for it.

Our own counter stands in for opCount, which has been no sequence number since NCCL 2.8. Calls are
gathered for a stretch of the file, in any order, and numbered together at its end: by then every
communicator that the stretch makes or destroys is known with its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from postmortem.ingest.readers.nccl_log.comms import Communicators, Process, local_key
from postmortem.ingest.readers.nccl_log.grammar import DATATYPE_BYTES

PEER_TO_PEER = ("Send", "Recv")
# Collectives whose TUNING size was that of all ranks' parts together, while the line had numbers (up to 2.23). The
# lines with names have the size of one part.
ALL_RANKS = ("AllGather", "ReduceScatter")
_KNOWN_TYPES = len(DATATYPE_BYTES)

# A call, as far as numbering needs it. thread: number of (host, pid, tid); process: of (host, pid).
CALL = {
    "place": pl.Int64, "process": pl.Int64, "thread": pl.Int64, "comm": pl.UInt64, "func": pl.String,
    "root": pl.Int64, "count": pl.UInt64, "datatype": pl.Int64, "nranks": pl.Int64,
}  # fmt: skip
CHOICE = {"place": pl.Int64, "thread": pl.Int64, "func": pl.String, "size": pl.UInt64, "of_all": pl.Boolean}

# The latest call of each thread, collective and size: what a TUNING line may be about.
_LATEST = {
    "place": pl.Int64, "thread": pl.Int64, "func": pl.String, "size": pl.UInt64, "of_all": pl.Boolean,
    "owner": pl.Int64, "call_no": pl.Int64, "first_owner": pl.Int64, "doubtful": pl.Boolean, "taken": pl.Boolean,
}  # fmt: skip
_BY = ["thread", "func", "size", "of_all"]


@dataclass
class Numbers:
    """Numbers given to things in the order of their first appearance."""

    known: dict[Any, int] = field(default_factory=dict)

    def of(self, thing: Any) -> int:
        """The thing's number."""
        return self.known.setdefault(thing, len(self.known))


class Calls:
    """Numbers calls over the whole file, stretch by stretch."""

    def __init__(self, communicators: Communicators) -> None:
        self.processes = Numbers()
        self.threads = Numbers()
        self._communicators = communicators
        # Owners: a communicator's number, or -1 - n for the n-th pointer that no communicator explains.
        self._strangers = Numbers()
        self._stranger_keys: list[str] = []
        self._counts = pl.DataFrame(schema={"owner": pl.Int64, "kind": pl.String, "base": pl.Int64})
        self._latest = pl.DataFrame(schema=_LATEST)

    def number(self, calls: pl.DataFrame) -> pl.DataFrame:
        """``calls`` (columns of CALL, in the file's order) with owner and call_no beside."""
        owner = self._owners(calls)
        peer = pl.col("func").is_in(PEER_TO_PEER)
        kind = pl.when(peer).then(pl.col("func") + pl.col("root").cast(pl.String)).otherwise(pl.lit(""))
        told = calls.with_columns(owner=owner, kind=kind)
        told = told.with_columns(nth=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("owner", "kind"))
        told = told.join(self._counts, on=["owner", "kind"], how="left", maintain_order="left")
        told = told.with_columns(call_no=pl.col("nth") + pl.col("base").fill_null(0))
        grown = told.group_by("owner", "kind").agg(base=pl.col("call_no").max())
        self._counts = pl.concat([self._counts, grown]).group_by("owner", "kind").agg(pl.col("base").max())
        return told

    def choose(self, calls: pl.DataFrame, choices: pl.DataFrame) -> pl.DataFrame:
        """``choices`` (columns of CHOICE, in the file's order) with owner and call_no of the call that fits.

        Only rank 0 prints its choices. Where ranks are unknown and one thread makes calls of one size
        on several communicators, it stays open which of them is meant. A call has one choice.
        """
        owners = calls["owner"].unique().to_list()
        unknown = [o for o in owners if self.rank_of(o) is None]
        printing = unknown + [o for o in owners if self.rank_of(o) == 0]
        known = calls.filter(pl.col("owner").is_in(printing), pl.col("datatype").is_between(0, _KNOWN_TYPES - 1))
        width = pl.col("datatype").replace_strict(dict(enumerate(DATATYPE_BYTES)), return_dtype=pl.UInt64)
        # Counts beyond 2^40 are no calls but broken digits; as sizes they would run over.
        known = known.filter(pl.col("count") < 1 << 40, pl.col("nranks") < 1 << 20).with_columns(
            size=pl.col("count") * width, of_all=pl.lit(False), guessed=pl.col("owner").is_in(unknown)
        )
        together = known.filter(pl.col("func").is_in(ALL_RANKS)).with_columns(
            size=pl.col("size") * pl.col("nranks").cast(pl.UInt64), of_all=pl.lit(True)
        )
        fresh = pl.concat([known, together]).sort("place", maintain_order=True).select(
            "place", "thread", "func", "size", "of_all", "owner", "call_no",
            first_owner=pl.lit(None, pl.Int64), doubtful=pl.lit(None, pl.Boolean),
            taken=pl.lit(False), guessed=pl.col("guessed"),
        )  # fmt: skip
        seen = pl.concat([self._latest.with_columns(guessed=pl.lit(True)), fresh])
        seen = seen.with_columns(first_owner=pl.col("first_owner").fill_null(pl.col("owner")).first().over(_BY))
        other = pl.col("guessed") & (pl.col("owner") != pl.col("first_owner"))
        seen = seen.with_columns(doubtful=(pl.col("doubtful").fill_null(value=False) | other).cum_max().over(_BY))
        seen = seen.drop("guessed")
        found = choices.join_asof(
            seen.rename({"place": "call_place"}), left_on="place", right_on="call_place", by=_BY,
            strategy="backward", coalesce=False, check_sortedness=False,
        )  # fmt: skip
        first = pl.int_range(pl.len()).over("call_place", *_BY) == 0
        fits = first & ~pl.col("taken") & ~pl.col("doubtful") & pl.col("call_place").is_not_null()
        found = found.with_columns(owner=pl.when(fits).then("owner"), call_no=pl.when(fits).then("call_no"))
        used = found.filter(pl.col("call_place").is_not_null()).select("call_place", *_BY, used=True).unique()
        last = seen.group_by(_BY, maintain_order=True).last().rename({"place": "call_place"})
        last = last.join(used, on=["call_place", *_BY], how="left", maintain_order="left")
        last = last.with_columns(taken=pl.col("taken") | pl.col("used").fill_null(value=False))
        self._latest = last.rename({"call_place": "place"}).select(list(_LATEST)).sort("place")
        return found.select(*CHOICE, "owner", "call_no")

    def key_of(self, owner: int) -> str:
        """The comm_key of an owner."""
        return self._communicators.all[owner].name if owner >= 0 else self._stranger_keys[-1 - owner]

    def rank_of(self, owner: int) -> int | None:
        """The rank of an owner; None where it is not known."""
        return self._communicators.all[owner].rank if owner >= 0 else None

    def _owners(self, calls: pl.DataFrame) -> pl.Series:
        """The owner of each call, by process, pointer and place."""
        owners = np.empty(len(calls), dtype=np.int64)
        places = calls["place"].to_numpy()
        processes = list(self.processes.known)
        groups = calls.select("process", "comm").with_row_index().group_by("process", "comm").agg("index")
        for number, address, index in groups.iter_rows():
            rows = np.asarray(index, dtype=np.int64)
            process: Process = processes[number]
            where, means = self._communicators.changes(process, address)
            stranger = self._stranger(process, address)
            if not where:
                owners[rows] = stranger
                continue
            at = np.searchsorted(np.asarray(where), places[rows], side="right") - 1
            found = np.asarray(means)[np.maximum(at, 0)]
            owners[rows] = np.where((at < 0) | (found < 0), stranger, found)
        return pl.Series(owners)

    def _stranger(self, process: Process, address: int) -> int:
        number = self._strangers.of((process, address))
        if number == len(self._stranger_keys):
            self._stranger_keys.append(local_key(process, address))
        return -1 - number
