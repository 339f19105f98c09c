"""What holds for any log: no byte raises, counts add up, other processes change nothing."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postmortem.ingest.reader import Source
from postmortem.ingest.readers import nccl_inspector, nccl_log
from tests.ingest.nccl.collect import INSPECTOR_SAMPLES, SAMPLES, collect, read_bytes

READING = sys.modules["postmortem.ingest.readers.nccl_log.read"]  # the package's ``read`` is the function
LOGS = sorted(SAMPLES.glob("*.log"))
FILES = [(p, nccl_log.READER) for p in LOGS] + [
    (p, nccl_inspector.READER) for p in sorted(INSPECTOR_SAMPLES.glob("*.jsonl"))
]
# Texts without containers, whose parts and year would join across two logs put one behind the other.
PLAIN = [p for p in LOGS if p.stem not in {"cri-partial-lines", "docker-json", "bad-bytes-crlf-no-final-newline"}]


@pytest.mark.slow  # a minute; the cuts at every 64th stand in test_every_reader
@pytest.mark.parametrize(("path", "reader"), FILES, ids=lambda v: getattr(v, "stem", ""))
def test_cut_anywhere(path: Path, reader: Any, tmp_path: Path) -> None:
    """A file cut at any byte raises nothing and loses no line."""
    data = path.read_bytes()
    for end in range(len(data)):
        assert read_bytes(tmp_path, data[:end], reader).balances()


@pytest.mark.slow
@pytest.mark.parametrize(("path", "reader"), FILES, ids=lambda v: getattr(v, "stem", ""))
def test_flipped_bits(path: Path, reader: Any, tmp_path: Path) -> None:
    """Flipped bits and repeated digits raise nothing and lose no line (100 seeded mutations a file)."""
    dice = random.Random(path.name)
    for _ in range(100):
        data = bytearray(path.read_bytes())
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(data))
            if dice.random() < 0.3:
                data[at:at] = b"9" * dice.randint(1, 30)
            else:
                data[at] ^= 1 << dice.randrange(8)
        assert read_bytes(tmp_path, bytes(data), reader).balances()


@pytest.mark.slow
@settings(max_examples=60)
@given(first=st.sampled_from(PLAIN), second=st.sampled_from(PLAIN))
def test_two_logs_in_one(first: Path, second: Path) -> None:
    """Two logs one behind the other give the sum of their counts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two = (read_bytes(folder, p.read_bytes()) for p in (first, second))
        both = read_bytes(folder, first.read_bytes() + second.read_bytes())
    assert both.kinds() == one.kinds() + two.kinds()
    assert both.facts.lines == (one.facts.lines or 0) + (two.facts.lines or 0)
    assert len(both.rejects) == len(one.rejects) + len(two.rejects)
    assert len(both.rows("nccl_calls")) == len(one.rows("nccl_calls")) + len(two.rows("nccl_calls"))


def _process(pid: int, ops: list[tuple[int, int, bool]]) -> list[str]:
    """A process's log: calls, broken by destroying and making a communicator at the same address."""
    lines = []
    made = 0
    head = f"n1:{pid}:{pid} [0] NCCL INFO"
    for address, count, again in ops:
        if again:
            made += 1
            whose = f"rank 0 nranks 2 cudaDev 0 nvmlDev 0 busId 10 commId {made:#x}"
            lines += [
                f"{head} comm {address:#x} rank 0 nranks 2 cudaDev 0 busId 10 - Destroy COMPLETE",
                f"{head} ncclCommInitRank comm {address:#x} {whose} - Init COMPLETE",
            ]
        lines.append(
            f"{head} AllReduce: opCount 0 sendbuff 0x1 recvbuff 0x1 count {count} datatype 7 op 0 root 0"
            f" comm {address:#x} [nranks=2] stream 0x5"
        )
    return lines


OPS = st.lists(st.tuples(st.sampled_from([0x10, 0x20]), st.integers(1, 9), st.booleans()), max_size=12)


def _told(folder: Path, lines: list[str]) -> dict[int, list[tuple[Any, ...]]]:
    calls: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in read_bytes(folder, "".join(f"{line}\n" for line in lines).encode()).rows("nccl_calls"):
        key = row["comm_key"].split("@")[0]
        calls[row["pid"]].append((row["comm"], key, row["rank"], row["count"], row["call_no"]))
    return calls


@pytest.mark.slow
@settings(max_examples=60)
@given(one=OPS, two=OPS, dice=st.randoms(use_true_random=False))
def test_interleaving_changes_no_counter(one: list[Any], two: list[Any], dice: random.Random) -> None:
    """Whole lines of two processes in any order leave each process's calls as they are alone."""
    logs = {1: _process(1, one), 2: _process(2, two)}
    turns = [pid for pid, lines in logs.items() for _ in lines]
    dice.shuffle(turns)
    waiting = {pid: iter(lines) for pid, lines in logs.items()}
    mixed = [next(waiting[pid]) for pid in turns]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = {pid: calls for lines in logs.values() for pid, calls in _told(folder, lines).items()}
        assert _told(folder, mixed) == alone


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.sampled_from([b"", b"x" * 5, b"y" * 63, b"z" * 64, b"u" * 200, b"h1:1:2 [0] NCCL INFO v" * 9])),
    limit=st.integers(1, 64),
    broken=st.booleans(),
)
def test_a_line_without_end_is_not_held(lines: list[bytes], limit: int, broken: bool, tmp_path_factory: Any) -> None:
    """However the file is read in pieces: the lines up to the bound in order, of each longer one its beginning."""
    data = b"\n".join(lines) + b"\n" * broken
    path = tmp_path_factory.mktemp("long") / "n.log"
    path.write_bytes(data)
    wanted = [(b, len(b) <= limit) for b in data.splitlines(keepends=True)]
    found: list[tuple[bytes, bool]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(READING, "CHUNK", limit)
        patch.setattr(READING, "LONGEST", limit)
        patch.setattr(READING, "SHOWN", 1)
        for piece, whole in READING.chunks(Source("n.log", path)):
            assert len(piece) <= 2 * limit
            found += [(line, True) for line in piece.splitlines(keepends=True)] if whole else [(piece, False)]
        got = collect(path)
    assert found == [(b if whole else b[:1], whole) for b, whole in wanted]
    assert got.facts.lines == len(wanted)
    assert got.balances()
    assert [r.place for r in got.rejects if "longer than" in r.reason] == [
        n for n, (_, whole) in enumerate(wanted, 1) if not whole
    ]


@pytest.mark.parametrize(
    "words",
    ["[a](", "[PG 1 Rank 0] Timeout at NCCL work: 1 last enqueued work: 1,",
     "[PG ID 0 PG GUID 0(a Rank 1] last enqueued",
     "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(OpType=A, "],
)  # fmt: skip
def test_a_line_of_many_beginnings_takes_as_long_as_it_is(words: str, tmp_path: Path) -> None:
    """A line eight times as long takes no more than sixteen times as long; it took 64 times and more."""
    path = tmp_path / "n.log"

    def seconds(size: int) -> float:
        path.write_text("last enqueued: " + words * (size // len(words)) + "\n")
        tries = []
        for _ in range(3):
            begun = time.process_time()
            assert collect(path).balances()
            tries.append(time.process_time() - begun)
        return min(tries)

    seconds(1 << 10)  # what is made once
    assert seconds(1 << 18) < 16 * seconds(1 << 15) + 0.5
