"""Logs of many ranks whose communicators, calls and choices are known by construction: one stream, or one a process."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postmortem.api import Incident
from tests.ingest.nccl.collect import Got, read_bytes

Opener = Callable[..., Incident]
SIZES = {7: 4, 9: 2, 6: 2}  # bytes of an element: float32, bfloat16, float16
WRAPS = (
    "{line}", "[1,{g}]<stdout>:{line}", "[rank{g}]:{line}", "{g}: {line}", "[pod/worker-{g}/main] {line}",
    "(W pid={pid}, ip=10.0.0.{g}) {line}", "2026-11-02T10:00:00.1Z {line}", "{host}: {line}",
)  # fmt: skip


@dataclass(eq=False)
class Comm:
    """A communicator: its ranks as places in the job, each one's address and number of calls."""

    name: int
    places: list[int]
    parent: Comm | None = None
    splits: int = 0
    address: dict[int, int] = field(default_factory=dict)
    calls: Counter[int] = field(default_factory=Counter)


class Job:
    """Ranks on two hosts whose processes have the same numbers, and what they print (NCCL 2.24 to 2.30)."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.per = self.dice.choice([1, 2, 3])
        self.word = self.dice.choice(["splitCount", "childCount"])
        self.lines: list[list[str]] = [[] for _ in range(2 * self.per)]
        self.used: list[set[int]] = [set() for _ in self.lines]
        self.comms: list[Comm] = []
        self.made = 0
        self.told_comms: list[tuple[str, int, int, int, int, int]] = []  # host, pid, address, rank, ranks, name
        self.told_calls: list[
            tuple[str, int, int, int, int, str, int]
        ] = []  # host, pid, name, rank, call_no, func, count
        self.told_choices: list[tuple[int, int, str]] = []  # name, call_no, algo
        for life in range(self.dice.choice([1, 1, 2])):
            self._live(life)

    def who(self, g: int) -> tuple[str, int, int]:
        """Host, process and device of a place."""
        return f"node{g // self.per}", 1000 + g % self.per, g % self.per

    def _say(self, g: int, message: str) -> None:
        host, pid, dev = self.who(g)
        self.lines[g].append(f"{host}:{pid}:{pid} [{dev}] NCCL INFO {message}")

    def _live(self, life: int) -> None:
        """From the start of all processes on; a second life gives the same numbers and addresses again."""
        self.comms.clear()
        for g in range(len(self.lines)):
            self.used[g].clear()
            if life:
                self._say(g, "Bootstrap: Using eth0:10.0.0.1<0>")
        self.make(list(range(len(self.lines))))
        for _ in range(self.dice.randrange(5, 20)):
            most = max(len(used) for used in self.used)
            what = self.dice.random()
            if what < 0.25 and most < 5:
                self.split(self.dice.choice(self.comms))
            elif what < 0.35:
                self.destroy()
            elif what < 0.4 and most < 5:
                self.make(sorted(self.dice.sample(range(len(self.lines)), self.dice.randrange(1, len(self.lines) + 1))))
            else:
                self.call(self.dice.choice(self.comms))

    def make(self, places: list[int], parent: Comm | None = None, color: int = 0) -> None:
        """A communicator of these places, in the order of their ranks: a split of ``parent``, or one of its own."""
        self.made += 1
        comm = Comm(self.made, places, parent)
        self.comms.append(comm)
        for rank, g in enumerate(places):
            host, pid, dev = self.who(g)
            address = self.dice.choice([a for a in range(0x1000, 0x7000, 0x1000) if a not in self.used[g]])
            self.used[g].add(address)
            comm.address[g] = address
            head = f"comm {address:#x} rank {rank} nranks {len(places)} cudaDev {dev} nvmlDev {dev} busId {16 + dev:x}0"
            if parent is None:
                head, gap = f"ncclCommInitRankConfig {head} commId {self.made:#x}", " "
            else:
                key = f"parent {parent.address[g]:#x} {self.word} {parent.splits} color {color} key {rank}"
                head, gap = f"ncclCommSplit {head} {key}", ""
            self._say(g, f"{f'[Rank {rank}] ' if self.word == 'childCount' else ''}{head}{gap}- Init START")
            self._say(g, f"{head} - Init COMPLETE")
            self.told_comms.append((host, pid, address, rank, len(places), self.made))

    def split(self, parent: Comm) -> None:
        """By one or two colors, the ranks turned round at times; who has no color is in none."""
        parent.splits += 1
        groups = defaultdict(list)
        colors = self.dice.choice([1, 2])
        for place, g in enumerate(parent.places):
            groups[place % colors].append(g)
        turn, left_out = self.dice.random() < 0.5, self.dice.random() < 0.3 and colors > 1
        for color, places in groups.items():
            if not (color and left_out):
                self.make(places[::-1] if turn else places, parent, color)

    def destroy(self) -> None:
        """A communicator that has no children here ends, and its addresses are free."""
        ends = [c for c in self.comms if c.parent is not None and all(other.parent is not c for other in self.comms)]
        if not ends:
            return
        comm = self.dice.choice(ends)
        self.comms.remove(comm)
        for rank, g in enumerate(comm.places):
            head = f"comm {comm.address[g]:#x} rank {rank} nranks {len(comm.places)}"
            self._say(g, f"{head} cudaDev 0 busId 10 - Destroy COMPLETE")
            self.used[g].discard(comm.address[g])

    def call(self, comm: Comm) -> None:
        """A collective on all its ranks; rank 0 prints its choice."""
        func, kind = self.dice.choice(["AllReduce", "AllGather", "Broadcast"]), self.dice.choice(list(SIZES))
        count, algo = self.dice.choice([64, 4096]), self.dice.choice(["RING", "TREE"])
        for rank, g in enumerate(comm.places):
            host, pid, _ = self.who(g)
            comm.calls[g] += 1
            self._say(
                g,
                f"{func}: opCount 0 sendbuff 0x7 recvbuff 0x7 count {count} datatype {kind} op 0 root 0"
                f" comm {comm.address[g]:#x} [nranks={len(comm.places)}] stream 0x5",
            )
            self.told_calls.append((host, pid, comm.name, rank, comm.calls[g], func, count))
            if rank == 0:
                size = count * SIZES[kind]
                self._say(g, f"{func}: {size} Bytes -> Algo {algo} proto LL channel{{Lo..Hi}}={{0..3}}")
                self.told_choices.append((comm.name, comm.calls[g], algo))

    def logs(self, together: bool) -> list[str]:
        """One stream of all, or a file a process, behind one launcher's prefix or in a container's parts."""
        wrap = self.dice.choice([*WRAPS, "cri", "docker"])
        files = []
        for places in [list(range(len(self.lines)))] if together else [[g] for g in range(len(self.lines))]:
            turns = [g for g in places for _ in self.lines[g]]
            self.dice.shuffle(turns)
            waiting = {g: iter(self.lines[g]) for g in places}
            files.append("".join(self._wrapped(wrap, g, next(waiting[g])) for g in turns))
        return files

    def torn(self, share: float) -> str:
        """One stream in which such a share of the lines is broken off anywhere, their ends up to three lines on."""
        turns = [g for g, lines in enumerate(self.lines) for _ in lines]
        self.dice.shuffle(turns)
        waiting = [iter(lines) for lines in self.lines]
        text, ends = "", list[tuple[int, str]]()
        for number, line in enumerate(next(waiting[g]) for g in turns):
            if self.dice.random() < share:
                at = self.dice.randrange(1, len(line))
                text += line[:at] + self.dice.choice(["", "", "\n"])
                ends.append((number + self.dice.randrange(1, 4), line[at:]))
            else:
                text += f"{line}\n"
            text += "".join(f"{end}\n" for when, end in ends if when <= number)
            ends = [(when, end) for when, end in ends if when > number]
        return text + "".join(f"{end}\n" for _, end in ends)

    def _wrapped(self, wrap: str, g: int, line: str) -> str:
        if wrap == "docker":
            return json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-11-02T10:00:00.1Z"}) + "\n"
        if wrap == "cri":
            at = self.dice.randrange(len(line))
            return f"2026-11-02T10:00:00.1Z stdout P {line[:at]}\n2026-11-02T10:00:00.1Z stdout F {line[at:]}\n"
        host, pid, _ = self.who(g)
        return wrap.format(line=line, g=g, host=host, pid=pid) + "\n"


def _names(got: list[Got], job: Job) -> dict[tuple[int, int], int]:
    """Which communicator each row of each file is, by process and address in the order of their making."""
    told = defaultdict(list)
    for host, pid, address, rank, ranks, name in job.told_comms:
        told[host, pid, address].append((rank, ranks, name))
    names = {}
    for number, one in enumerate(got):
        for row in one.rows("nccl_communicators"):
            rank, ranks, name = told[row["host"], row["pid"], row["comm"]].pop(0)
            assert (row["rank"], row["nranks"]) == (rank, ranks)
            names[number, row["comm_no"]] = name
    assert not any(told.values())
    return names


@pytest.mark.parametrize("together", [True, False], ids=["one stream", "a file a process"])
@pytest.mark.parametrize("seed", range(1000, 1008))
def test_communicators_calls_and_choices(seed: int, together: bool, tmp_path: Path) -> None:
    """Splits, addresses given again, restarts and equal process numbers on two hosts: every rank's row is of its own
    communicator, one key is one communicator's, every call is counted on it, every choice is of its call.
    """
    job = Job(seed)
    got = [read_bytes(tmp_path, log.encode()) for log in job.logs(together)]
    assert not any(one.rejects for one in got)
    names = _names(got, job)
    keys = {
        (row["comm_key"], names[n, row["comm_no"]])
        for n, one in enumerate(got)
        for row in one.rows("nccl_communicators")
    }
    assert len(keys) == len({key for key, _ in keys}) == job.made
    calls = [
        (r["host"], r["pid"], names[n, r["comm_no"]], r["rank"], r["call_no"], r["func"], r["count"])
        for n, one in enumerate(got)
        for r in one.rows("nccl_calls")
    ]
    assert sorted(calls) == sorted(job.told_calls)
    of = dict(keys)
    choices = [(of[r["comm_key"]], r["call_no"], r["algo"]) for one in got for r in one.rows("nccl_tuning")]
    assert sorted(choices) == sorted(job.told_choices)


@pytest.mark.parametrize("seed", range(1008, 1020))
def test_torn_calls_are_no_mismatch(seed: int, tmp_path: Path, opened: Opener) -> None:
    """All ranks called alike, and records of the log were torn: no first place is told at which they did not."""
    job = Job(seed)
    (tmp_path / "all.log").write_text(job.torn(0.03 * (1 + seed % 4)))
    found = opened(tmp_path).query("nccl_call_mismatches")
    assert not found["first_place"].fill_null(value=False).any()
