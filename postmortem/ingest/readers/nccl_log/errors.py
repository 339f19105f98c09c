"""Warnings, retries and unwinding: who the peer is, and which of them came first.

One broken link makes every outstanding request of its queue pair fail with *flush* (status 5),
and each failure climbs the call stack line by line. The first is the cause; the rest follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

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

    _seen: set[tuple[str | None, int | None]] = field(default_factory=set)
    _peers: set[tuple[str | None, int | None, str | None]] = field(default_factory=set)

    def hear(self, process: tuple[str | None, int | None], message: str) -> None:
        """A record that is no error: it may tell that another process bears this number from here on."""
        if process in self._seen and _BORN.match(message):
            self._seen.remove(process)
            self._peers = {known for known in self._peers if known[:2] != process}

    def read(self, kind: str, process: tuple[str | None, int | None], message: str, result: int | None) -> Trouble:
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

    def _first(
        self, kind: str, process: tuple[str | None, int | None], peer: str | None, status: int | None, message: str
    ) -> bool:
        if kind in {"error_unwind", "socket_retry"} or HARMLESS.search(message):
            return False
        if kind == "ib_completion":
            if status == FLUSH:
                return False
            which = (*process, peer)
            new = which not in self._peers
            self._peers.add(which)
            self._seen.add(process)
            return new
        if process in self._seen:
            return False
        self._seen.add(process)
        return True


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(match[1]) if match else None
