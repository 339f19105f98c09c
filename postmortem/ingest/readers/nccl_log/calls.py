"""Calls: which communicator each belongs to, the how-manieth of its rank it is, what was chosen for it.

Our own counter stands in for opCount, which has been no sequence number since NCCL 2.8.
"""

from __future__ import annotations

from typing import Any

from postmortem.ingest.readers.nccl_log.comms import Communicator, Communicators, Process, local_key
from postmortem.ingest.readers.nccl_log.grammar import DATATYPE_BYTES

# Host, process id and thread id. The device that a line names is the one current in the thread, and
# differs between a call and its TUNING line where one thread drives several GPUs.
Thread = tuple[str | None, int | None, int | None]

PEER_TO_PEER = frozenset({"Send", "Recv"})
# Collectives whose TUNING size is that of all ranks' parts together.
_ALL_RANKS = frozenset({"AllGather", "ReduceScatter"})


def tuning_bytes(func: str, count: int, datatype: int, nranks: int) -> int | None:
    """The size in bytes that NCCL's TUNING line gives for a call; None for a datatype not known."""
    if not 0 <= datatype < len(DATATYPE_BYTES):
        return None
    return count * DATATYPE_BYTES[datatype] * (nranks if func in _ALL_RANKS else 1)


class Calls:
    """Counters and the latest calls of each thread, over the whole file."""

    def __init__(self, communicators: Communicators) -> None:
        self._communicators = communicators
        self._counts: dict[tuple[Any, ...], int] = {}
        self._latest: dict[tuple[Thread, str | None, int], tuple[str | None, int | None]] = {}

    def number(
        self, process: Process, place: int, address: int, func: str, root: int
    ) -> tuple[Communicator | None, str, int]:
        """The communicator of a call, its key, and the call's own number there (from 1)."""
        found = self._communicators.at(process, address, place)
        owner: Any = found.number if found is not None else (process, address)
        which = (owner, func, root) if func in PEER_TO_PEER else (owner,)
        k = self._counts[which] = self._counts.get(which, 0) + 1
        return found, found.name if found is not None else local_key(process, address), k

    def made(self, thread: Thread, func: str, size: int | None, key: str, k: int, known: bool) -> None:
        """Remember a call for the TUNING line that may follow it in the same thread.

        known: whether the caller is known to be rank 0, which alone prints its choices. Where it
        is not and another communicator's call of that size waits, which of them is meant stays open.
        """
        if size is None:
            return
        waiting = self._latest.get((thread, func, size))
        if not known and waiting is not None and waiting[0] != key:
            self._latest[thread, func, size] = (None, None)
        else:
            self._latest[thread, func, size] = (key, k)

    def chosen_for(self, thread: Thread, func: str | None, size: int) -> tuple[str | None, int | None]:
        """The call that a TUNING line of this thread is about, where one fits."""
        return self._latest.pop((thread, func, size), (None, None))
