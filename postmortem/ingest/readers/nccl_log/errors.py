"""Warnings, retries and unwinding: who the peer is, and which of them came first.

One broken link makes every outstanding request of its queue pair fail with *flush* (status 5),
and each failure climbs the call stack line by line. The first is the cause; the rest follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.comms import Process

FLUSH = 5  # IBV_WC_WR_FLUSH_ERR: the queue was torn down, something else went wrong before

_PEER = re.compile(r"(?:peer|remote peer|Connect to|connect to) (?P<host>[^\s<>]+)<(?P<port>\d{1,5})>")
_RANK_PEER = re.compile(r"\btag \d+ peer (?P<host>[^\s<>]+)<(?P<port>\d{1,5})>")
_STATUS = re.compile(r"(?:with error |status=|with status=)(?:[A-Z_]+\()?(\d{1,9})")
_VENDOR = re.compile(r"vendor[ _]err[ =](\d{1,9})")
_RETCODE = re.compile(r"retcode (\d{1,9})")
_HCA = re.compile(r"\bhca ([\w.+-]+)|NET/IB ?: ([\w.+-]+:\d+) ")

# What NCCL says once a process, at its beginning: a container that was started anew gives the same process ids again.
_BORN = re.compile(r"(?:Bootstrap ?: Using|cudaDriverVersion) ")

# Warnings that say nothing went wrong with the job: a second process on the host finds the
# RAS service's port taken.
HARMLESS = re.compile(r"Call to bind failed: Address already in use")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an error's message says; None where it does not say."""

    peer: str | None
    port: int | None
    status: int | None
    vendor: int | None
    result: int | None
    hca: str | None
    first_cause: bool


@dataclass(slots=True)
class Troubles:
    """Tells first causes from what follows them, process by process."""

    # What each process said since its last communicator came up, and what it had said before.
    _seen: dict[Process, set[str]] = field(default_factory=dict)
    _outlived: dict[Process, set[str]] = field(default_factory=dict)
    _peers: set[tuple[Process, str | None]] = field(default_factory=set)

    def hear(self, process: Process, message: str) -> None:
        """A record that is no error: it may tell that another process bears this number from here on."""
        if (process in self._seen or process in self._outlived) and _BORN.match(message):
            self._forget(process)
            self._outlived.pop(process, None)

    def came_up(self, process: Process) -> None:
        """A communicator of the process is complete: what follows does not follow from what was said before it."""
        if process in self._seen:
            self._outlived.setdefault(process, set()).update(self._forget(process))

    def _forget(self, process: Process) -> set[str]:
        self._peers = {known for known in self._peers if known[0] != process}
        return self._seen.pop(process, set())

    def read(self, kind: str, process: Process, message: str, result: int | None) -> Trouble:
        """The parts of one error, in the order of the file."""
        peer = _PEER.search(message) or _RANK_PEER.search(message)
        status = _number(_STATUS, message)
        hca = _HCA.search(message)
        if result is None:
            result = _number(_RETCODE, message)
        return Trouble(
            peer["host"] if peer else None,
            int(peer["port"]) if peer else None,
            status if kind == "ib_completion" else None,
            _number(_VENDOR, message),
            result,
            (hca[1] or hca[2]) if hca else None,
            self._first(kind, process, peer["host"] if peer else None, status, message),
        )

    def _first(self, kind: str, process: Process, peer: str | None, status: int | None, message: str) -> bool:
        if kind in {"error_unwind", "socket_retry"} or HARMLESS.search(message):
            return False
        if kind == "ib_completion":
            if status == FLUSH:
                return False
            new = (process, peer) not in self._peers
            self._peers.add((process, peer))
            self._seen.setdefault(process, set()).add(message)
            return new
        if message in self._outlived.get(process, ()):
            return False
        new = process not in self._seen
        self._seen.setdefault(process, set()).add(message)
        return new


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(match[1]) if match else None
