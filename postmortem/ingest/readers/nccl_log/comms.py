"""Communicators: who is who across processes, and which one a pointer means at a given place.

A pointer is unique in one process until its communicator is destroyed; then NCCL may give the
same address to another. So a pointer is resolved by process and by its place in the file.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from postmortem.ingest.readers.nccl_log.rows import Rows, integer, pointer

Process = tuple[str | None, int | None]

# Places within a file are ordered as line * PIECES + piece; a line of more pieces than that
# would be longer than any that NCCL can write into one pipe.
PIECES = 1 << 16


@dataclass(slots=True)
class Communicator:
    """A communicator as one rank's process saw it (a row of nccl_communicators)."""

    number: int
    process: Process
    pointer: int
    name: str
    comm_id: str | None = None
    parent: int | None = None
    parent_key: str | None = None
    split_count: int | None = None
    color: int | None = None
    key: int | None = None
    rank: int | None = None
    nranks: int | None = None
    cuda_dev: int | None = None
    nvml_dev: int | None = None
    bus_id: str | None = None
    n_nodes: int | None = None
    local_ranks: int | None = None
    local_rank: int | None = None
    function: str | None = None
    start_line: int | None = None
    complete_line: int | None = None
    end_line: int | None = None
    end_how: str | None = None
    complete_ns: int | None = None
    init_s: float | None = None


@dataclass(slots=True)
class Communicators:
    """All communicators of a file, in the order of their appearance."""

    all: list[Communicator] = field(default_factory=list)
    versions: dict[Process, str] = field(default_factory=dict)
    version: str | None = None
    # For each pointer of a process: places where its meaning changes, and the meaning from there.
    _places: dict[tuple[Process, int], list[int]] = field(default_factory=dict)
    _means: dict[tuple[Process, int], list[int]] = field(default_factory=dict)
    # How often a process split a parent into a color: stands in for a split count not printed.
    _splits: dict[tuple[Process, int | str | None, int | None, str], int] = field(default_factory=dict)

    def say_version(self, process: Process, version: str) -> None:
        """A process printed NCCL's version."""
        self.versions.setdefault(process, version)
        if self.version is None:
            self.version = version

    def tell(self, kind: str, process: Process, place: int, parts: dict[str, str | None], t_ns: int | None) -> None:
        """A record about a communicator: its start, completion, layout or end."""
        address = pointer(parts.get("comm")) or 0
        line = place // PIECES
        current = self._open(process, address)
        rank = integer(parts.get("rank"))
        if current is not None and (
            kind == "init_start"
            or current.rank != rank
            or (kind == "init_complete" and current.complete_line is not None)
        ):
            current = None
        if current is None:
            current = self._new(process, address, place, parts)
        self._fill(current, place, parts)
        if kind == "init_start":
            current.start_line = line
        elif kind == "init_complete":
            current.complete_line = line
            current.complete_ns = t_ns
        elif kind == "destroy_abort":
            how = parts.get("end") or ""
            current.end_line, current.end_how = line, how
            if how in {"Destroy COMPLETE", "Abort COMPLETE"}:
                self._mean(process, address, place, -1)

    def took(self, process: Process, parts: dict[str, str | None]) -> None:
        """``Init timings``: the duration of the latest initialisation of that rank and size."""
        rank, nranks = integer(parts.get("rank")), integer(parts.get("nranks"))
        for one in reversed(self.all):
            if one.process == process and one.rank == rank and one.nranks == nranks:
                if one.init_s is None:
                    one.init_s = float(parts.get("total") or 0)
                return

    def at(self, process: Process, address: int, place: int) -> Communicator | None:
        """What a pointer means at a place of the file; None where that is not in the file."""
        places = self._places.get((process, address))
        if not places:
            return None
        index = bisect_right(places, place) - 1
        number = self._means[process, address][index] if index >= 0 else -1
        return self.all[number] if number >= 0 else None

    def changes(self, process: Process, address: int) -> tuple[list[int], list[int]]:
        """Where a pointer's meaning changes, and the communicator's number from there (-1: none)."""
        return self._places.get((process, address), []), self._means.get((process, address), [])

    def largest_ranks(self) -> set[int]:
        """The ranks that this file's processes have in their largest communicators."""
        known = [c for c in self.all if c.rank is not None and (c.nranks or 0) > 1]
        most = max((c.nranks or 0 for c in known), default=0)
        return {c.rank for c in known if c.nranks == most and c.rank is not None}

    def rows(self, rows: Rows) -> None:
        """Write all communicators into ``rows``."""
        for c in self.all:
            rows.add(
                "nccl_communicators", c.number, c.name, c.comm_id, c.process[0], c.process[1],
                c.pointer, c.parent, c.parent_key, c.split_count, c.color, c.key, c.rank, c.nranks,
                c.cuda_dev, c.nvml_dev, c.bus_id, c.n_nodes, c.local_ranks, c.local_rank, c.function,
                self.versions.get(c.process, self.version), c.start_line, c.complete_line, c.end_line,
                c.end_how, c.complete_ns, c.init_s,
            )  # fmt: skip

    def _open(self, process: Process, address: int) -> Communicator | None:
        means = self._means.get((process, address))
        return self.all[means[-1]] if means and means[-1] >= 0 else None

    def _mean(self, process: Process, address: int, place: int, number: int) -> None:
        self._places.setdefault((process, address), []).append(place)
        self._means.setdefault((process, address), []).append(number)

    def _new(self, process: Process, address: int, place: int, parts: dict[str, str | None]) -> Communicator:
        one = Communicator(len(self.all), process, address, f"{local_key(process, address)}@{place // PIECES}")
        self.all.append(one)
        self._mean(process, address, place, one.number)
        self._name(one, place, parts)
        return one

    def _name(self, one: Communicator, place: int, parts: dict[str, str | None]) -> None:
        """The key that other ranks' records of the same communicator have as well."""
        comm_id = parts.get("comm_id")
        parent = pointer(parts.get("parent"))
        if parent is not None:
            found = self.at(one.process, parent, place)
            one.parent, one.parent_key = parent, found.name if found else None
        color = integer(parts.get("color"))
        if comm_id is not None:
            # Up to 2.22 a split's commId is made of its parent and color alone, and 2.18 to 2.20 print no parent;
            # but a device is in a communicator once.
            count = 1
            if parent is not None or one.process[1] is not None:
                count = self._count(one.process, parts.get("bus_id") if parent is None else parent, color, comm_id)
            one.name = comm_id if count == 1 else f"{comm_id}/split{count}"
            return
        # The parent's own key must hold across ranks, else the child's cannot.
        if one.parent_key is None or not one.parent_key.startswith("0x"):
            return
        split = integer(parts.get("split_count"))
        if split is None:
            split = self._count(one.process, parent, color, one.parent_key)
        one.name = f"{one.parent_key}/split{split}/color{color}/n{parts.get('nranks')}"

    def _count(self, process: Process, parent: int | str | None, color: int | None, key: str) -> int:
        """How many communicators of this key the process has made of a parent (or on a device), this one with them.

        By pointer: two ranks of one process share all else. A rank that left one of several splits out counts too few.
        """
        which = (process, parent, color, key)
        self._splits[which] = self._splits.get(which, 0) + 1
        return self._splits[which]

    def _fill(self, one: Communicator, place: int, parts: dict[str, str | None]) -> None:
        for name in (
            "split_count", "color", "key", "rank", "nranks", "cuda_dev", "nvml_dev",
            "n_nodes", "local_ranks", "local_rank",
        ):  # fmt: skip
            if parts.get(name) is not None and getattr(one, name) is None:
                setattr(one, name, integer(parts[name]))
        for name in ("comm_id", "bus_id", "function"):
            if parts.get(name) is not None and getattr(one, name) is None:
                setattr(one, name, parts[name])
        if one.comm_id is not None and not one.name.startswith("0x"):
            self._name(one, place, parts)


def local_key(process: Process, address: int) -> str:
    """The key of a communicator that only its own process can tell: ``host:pid:0xpointer``."""
    host, pid = process
    return f"{host or '?'}:{'?' if pid is None else pid}:{address:#x}"
