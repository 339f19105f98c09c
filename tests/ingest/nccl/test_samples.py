"""Small samples, each named after its oddity."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from postmortem.ingest.reader import Head
from postmortem.ingest.readers import nccl_inspector, nccl_log
from tests.ingest.nccl.collect import SAMPLES, collect, columns, read_bytes, sample

LOGS = sorted(SAMPLES.glob("*.log"))


@pytest.mark.parametrize("path", LOGS, ids=lambda p: p.stem)
def test_log_is_claimed_by_content(path: Path, tmp_path: Path) -> None:
    """A log is recognised under any name, gives the same under any name, and the Inspector's reader leaves it."""
    data = path.read_bytes()
    assert nccl_log.READER.sniff(Head("unknown.bin", data, path)) > 0
    assert nccl_inspector.READER.sniff(Head(path.name, data, path)) == 0
    assert read_bytes(tmp_path, data) == collect(path)


def test_a_line_that_is_one_word(tmp_path: Path) -> None:
    """A serving log may hold a prompt's hex in one line: what is no record there is passed over once, not from each
    of its characters on."""
    data = b"INFO using NCCL for all-reduce\n" + b"a1" * 100_000 + b"\n"
    start = time.process_time()
    assert nccl_log.READER.sniff(Head("server.log", data, tmp_path)) == 0
    assert time.process_time() - start < 1  # it takes a hundredth of that; from each character on, ten seconds


def test_a_line_of_thousands_of_parts(tmp_path: Path) -> None:
    """A progress bar without a line break comes from a container in thousands of parts: they are joined once."""
    part = b"2026-11-02T10:00:00.1Z stdout P " + b"12%|#  | " * 60 + b"\n"
    data = b"2026-11-02T10:00:00.1Z stderr F " + NETWORK + part * 20_000 + part.replace(b" P ", b" F ")
    start = time.process_time()
    got = read_bytes(tmp_path, data)
    assert time.process_time() - start < 5  # it takes one; with a copy at every part, twenty
    assert got.balances()
    assert got.ignored == {"other programs' text": 20_001}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"record": "s", "req_id": "a", "step": 0, "note": "n1:1:1 [0] NCCL INFO Using network IB"}\n',
        b'{"a": 1}\n{"b": "n1:1:1 [0] NCCL INFO Using network IB"}\n',
        b'{"record": "x", "req_id": "a", "raw_prompt_sha256": "00"}\n',
        b"SQLite format 3\0 n1:1:1 [0] NCCL INFO Using network IB\n",
        b"set NCCL_DEBUG=INFO and read the NCCL INFO lines\n",
        b"10:45:19 [0] INFO step 3\n",
    ],
)
def test_others_are_left_alone(data: bytes) -> None:
    """Records of other kinds that quote a log, databases and prose are no NCCL log and no dump."""
    head = Head("nccl.log", data, Path("nccl.log"))
    assert (nccl_log.READER.sniff(head), nccl_inspector.READER.sniff(head)) == (0, 0)


NETWORK = b"n1:1:1 [0] NCCL INFO Using network IB\n"


@pytest.mark.parametrize(
    ("first", "sure"),
    [
        (b'{"level":"info","msg":"starts"}\n', 70),
        (b'{"level":"info","msg":"starts"}\n{"log":"x\\n","stream":"stdout","time":""}\n', 70),
        (b"\0" * 3_000, 95),
        (b'{"level":"info",\n"msg":"starts"}\n', 0),
        (b'[{"level":"info"},\n', 0),
    ],
    ids=["JSON line", "JSON line, container", "NULs", "JSON document", "JSON list"],
)
def test_what_may_stand_first(tmp_path: Path, first: bytes, sure: int) -> None:
    """A line of JSON or NULs (a file cut under its writer) before a log hide it not; a JSON document may quote one."""
    path = tmp_path / "server.log"
    path.write_bytes(first + NETWORK)
    assert nccl_log.READER.sniff(Head("server.log", first + NETWORK, path)) == sure
    if sure:
        assert columns(collect(path).rows("nccl_records"), "host", "line") == [("n1", first.count(b"\n") + 1)]


def test_address_used_again() -> None:
    """An address given to a second communicator means the second one from there on; both count from 1."""
    got = sample("address-used-again.log")
    assert columns(got.rows("nccl_calls"), "comm_key", "rank", "call_no") == [("0xa1", 0, 1), ("0xb2", 1, 1)]


def test_init_wordings() -> None:
    """Every version's wording gives rank, device and ids; a split's key follows from its parent's."""
    got = sample("all-versions-init.log")
    assert columns(got.rows("nccl_communicators"), "host", "rank", "nranks", "cuda_dev", "nvml_dev", "bus_id") == [
        ("n4", 17, 64, 0, 0, None),
        ("n8", 1, 2, 1, None, "b000"),
        ("n18", 1, 4, 1, 3, "61000"),
        ("n23", 0, 2, 0, 0, "1e0"),
        ("n23", 0, 1, 0, 0, "1e0"),
        ("n29", 0, 1, 0, 0, "2000"),
        ("n28", 0, 1, 0, None, "2000"),
    ]
    keys = [r["comm_key"] for r in got.rows("nccl_communicators")]
    assert keys[1] == "n8:10:0x7f145c002250@2"
    assert keys[3:5] == ["0x1ce724326e09a7e5", "0x1ce724326e09a7e5/split1/color7/n1"]
    assert got.kinds() == {"init_complete": 3, "init_start": 3, "destroy_abort": 1}


ROOT = "ncclCommInitRank comm 0x1000 rank 0 nranks 2 cudaDev 0 nvmlDev 0 busId 1000 commId 0xabc"
SPLIT = "ncclCommSplit comm {} rank {} nranks 2 cudaDev 0 nvmlDev 0 busId 1000 parent 0x1000 color 5 key 0 commId 0xdef"
OLD_SPLIT = "comm {} rank {} nranks 2 cudaDev 0 nvmlDev 0 busId 1000 commId 0xdef"


@pytest.mark.parametrize("split", [SPLIT, OLD_SPLIT], ids=["2.21", "2.18, which prints no parent"])
def test_two_splits_of_one_color(tmp_path: Path, split: str) -> None:
    """NCCL 2.18 to 2.22 make a split's commId of its parent and color alone: the second split is another one."""
    head = "n1:100:200 [0] NCCL INFO "
    made = [ROOT, split.format("0x3000", 0), split.format("0x4000", 1)]  # the second split turned the ranks round
    log = "".join(f"{head}{one} - Init {how}\n" for one in made for how in ("START", "COMPLETE"))
    got = read_bytes(tmp_path, log.encode())
    assert columns(got.rows("nccl_communicators"), "comm_key", "rank", "start_line", "complete_line") == [
        ("0xabc", 0, 1, 2),
        ("0xdef", 0, 3, 4),
        ("0xdef/split2", 1, 5, 6),
    ]
    torn = log.replace(
        f"{made[2]} - Init START", "comm 0x4000 rank 1 nranks 2 nNodes 1 localRanks 2 localRank 1 MNNVL 0"
    )
    keys = [r["comm_key"] for r in read_bytes(tmp_path, torn.encode()).rows("nccl_communicators")]
    assert keys == ["0xabc", "0xdef", "0xdef/split2"]


def test_split_of_a_process_with_two_ranks(tmp_path: Path) -> None:
    """2.23 prints neither commId nor count of a split: two ranks of one process count by their own parents."""
    log = "".join(
        f"n1:100:20{r} [{r}] NCCL INFO ncclCommInitRank comm 0x{r + 1}000 rank {r} nranks 2 cudaDev {r} nvmlDev {r}"
        f" busId {r + 1}000 commId 0xabc - Init COMPLETE\n"
        f"n1:100:20{r} [{r}] NCCL INFO ncclCommSplit comm 0x{r + 3}000 rank {r} nranks 2 cudaDev {r} nvmlDev {r}"
        f" busId {r + 1}000 parent 0x{r + 1}000 color 0 key {r}- Init START\n"
        for r in (0, 1)
    )
    got = read_bytes(tmp_path, log.encode())
    assert {r["comm_key"] for r in got.rows("nccl_communicators")} == {"0xabc", "0xabc/split1/color0/n2"}


def test_colours() -> None:
    """Colours go, also where their escape byte was lost."""
    got = sample("ansi-colours-escape-lost.log")
    assert got.kinds() == {"network": 2, "coll": 1}
    assert got.rows("nccl_calls")[0]["stream"] == 0x55000010


def test_bars_and_quotes() -> None:
    """Quotes and bars hide no record, with or without its process."""
    got = sample("bar-and-quote-prefix.log")
    assert got.kinds() == {"connected": 2, "channels_total": 1}
    assert got.ignored == {"blank": 1}


def test_cri_partial_lines() -> None:
    """Parts of a line are joined by stream; times are the container's, in UTC."""
    got = sample("cri-partial-lines.log")
    assert columns(got.rows("nccl_records"), "kind", "line", "t_ns", "time_from", "time_local") == [
        ("coll", 1, 1793613600000000001, "container", False),
        ("network", 4, 1793610001500000000, "container", False),
    ]
    assert (got.facts.parsed, got.ignored) == (3, {"other programs' text": 1})


def test_docker_json() -> None:
    """Docker's JSON lines are unwrapped and joined; a cut one is a reject."""
    got = sample("docker-json.log")
    assert got.kinds() == {"network": 1, "coll": 1}
    assert [r.place for r in got.rejects] == [5]
    assert got.facts.parsed == 3


def test_docker_json_of_half_a_character(tmp_path: Path) -> None:
    """A container's line with half a character, which no column holds, is a reject; those around it are read."""
    line = '{"log":"n1:1:1 [0] NCCL INFO Using network IB%s\\n","stream":"stdout","time":""}\n'
    got = read_bytes(tmp_path, (line % "" + line % "\\ud800" + line % "").encode())
    assert columns(got.rows("nccl_records"), "line") == [(1,), (3,)]
    assert [r.place for r in got.rejects] == [2]


def test_launcher_prefixes() -> None:
    """Launchers that name a rank give it; a worker's number on its node is no rank."""
    got = sample("launcher-prefixes.log")
    rows = got.rows("nccl_records")
    assert [r["prefix_rank"] for r in rows] == [3, 4, None, None, 7, 8, None, 9]
    assert [r["pid"] for r in rows] == list(range(10, 18))
    assert {r["host"] for r in rows} == {"n1", "n2"}
    assert columns(rows[-1:], "t_ns", "time_from") == [(1793613600500000000, "launcher")]


@pytest.mark.parametrize(
    "label",
    [
        "{0}: ", "{0}.local: ", "10.0.0.{1}: ", "worker-{1}: ", "{0}  | ", "job_worker.{1}.x7k@vm   | ",
        "[pod/{0}/main] ", "[pod/{0}/main] 2026-11-02T10:00:00.5Z ", "Nov  2 10:00:00 {0} vllm[77]: ",
        "2026-11-02T10:00:00+0000 {0} python3[77]: ",
    ],
)  # fmt: skip
def test_labels_of_hosts(tmp_path: Path, label: str) -> None:
    """pdsh, docker compose, kubectl, journalctl name the host before the record: pods of one pid stay two processes."""
    hosts = ["alpha", "beta"]
    log = "".join(f"{label.format(h, n)}{h}:7:20 [0] net.cc:1 NCCL WARN {n} failed\n" for n, h in enumerate(hosts))
    got = read_bytes(tmp_path, log.encode())
    assert columns(got.rows("nccl_errors"), "host", "pid", "first_cause") == [(host, 7, True) for host in hosts]


@pytest.mark.parametrize(
    "prefix",
    ["[10:45:1{0}.123] ", "Mon Nov  2 10:00:0{0} 2026 ", "[worker-{0}] ", "E0602 11:17:52.55{0} ", "<stderr> "],
)
@pytest.mark.parametrize("wrap", ["{0}", "2026-11-02T10:00:00.5Z stderr F {0}"], ids=["plain", "CRI"])
def test_prefix_of_the_log(tmp_path: Path, prefix: str, wrap: str) -> None:
    """A prefix that no launcher known here writes (a time of NCCL's own format) hides no host: pods of one pid stay two
    processes, and are ranks of one communicator. Before one record among others it is as good as torn text.
    """
    lines = [f"{prefix.format(n)}{line}" for n in (1, 2) for line in (OWN.format(7), CALL.format(7, 1))]
    lines = [
        line.replace("n1:", f"pod{1 + n // 2}:").replace("rank 1", f"rank {n // 2}") for n, line in enumerate(lines)
    ]
    log = "".join(wrap.format(line) for line in lines)
    got = read_bytes(tmp_path, log.encode())
    assert columns(got.rows("nccl_communicators"), "host", "rank", "comm_key") == [
        ("pod1", 0, "0xabc"),
        ("pod2", 1, "0xabc"),
    ]
    assert columns(got.rows("nccl_calls"), "host", "rank", "call_no") == [("pod1", 0, 1), ("pod2", 1, 1)]
    got = read_bytes(tmp_path, (OWN.format(7) * 3 + lines[0] + lines[1]).encode())
    assert [r["host"] for r in got.rows("nccl_records")] == ["n1"] * 3 + [None] * 2


@pytest.mark.parametrize(
    "label", ["worker-1: ", "worker-1  | ", "[pod/worker-1/main] ", "Nov 12 10:00:00 worker-1 vllm[77]: "]
)
def test_label_alone_is_blank(tmp_path: Path, label: str) -> None:
    """The empty line before a warning is blank behind its host's name as well; the version behind it is read."""
    got = read_bytes(tmp_path, f"{label}NCCL version 2.18.3+cuda12.2\n{label}\n{label.rstrip()}\n".encode())
    assert (got.facts.version, got.ignored) == ("2.18.3+cuda12.2", {"blank": 2})


@pytest.mark.parametrize("torn", ["AllReduce: opCo", "Connected all ri"])
def test_torn_text_is_no_label(tmp_path: Path, torn: str) -> None:
    """A host glued to torn text stays unknown, whatever stands before."""
    got = read_bytes(tmp_path, f"{torn}n1:7:20 [0] NCCL INFO Using network IB\n".encode())
    assert columns(got.rows("nccl_records"), "host", "pid", "kind") == [(None, 7, "network")]


OWN = "n1:{0}:20 [0] NCCL INFO comm 0x55 rank 1 nranks 2 cudaDev 0 nvmlDev 0 busId 1000 commId 0xabc - Init COMPLETE\n"
CALL = (
    "n1:{0}:20 [0] NCCL INFO AllReduce: opCount 0 sendbuff 0x1 recvbuff 0x1 count 4 datatype 7 op 0 root 0 comm 0x55"
    " [nranks=2] stream 0x5\n"
)


@pytest.mark.parametrize(
    ("log", "rank", "rank_from"),
    [
        ("NCCL version 2.18.3+cuda12.2\n" + OWN, 1, "NCCL's largest communicator"),
        (OWN + OWN.replace("{0}", "8"), None, None),
        ("[rank5]: " + OWN, 5, "the launcher's prefix"),
        ("5: " + OWN + "5: " + OWN.replace("{0}", "8"), 5, "the launcher's prefix"),
        ("5: " + OWN + CALL, 5, "the launcher's prefix"),
        ("5: " + OWN + CALL.replace("{0}", "8"), None, None),
        ("5: " + OWN + "6: " + OWN, 1, "NCCL's largest communicator"),
    ],
    ids=[
        "version without process", "two processes", "prefix", "process started anew", "prefix lost on some lines",
        "another process without prefix", "prefixes that differ",
    ],
)  # fmt: skip
def test_rank_of_the_file(tmp_path: Path, log: str, rank: int | None, rank_from: str | None) -> None:
    """A file's rank is its launcher's where all prefixes agree, else one process's in its largest communicator."""
    facts = read_bytes(tmp_path, log.format(7).encode()).facts
    assert (facts.rank, facts.rank_from) == (rank, rank_from)


def test_reduction_that_a_process_made(tmp_path: Path) -> None:
    """NCCL mixes the communicator's address into the number of a reduction of one's own: any of 31 bits."""
    call = CALL.format(7).replace("op 0", "op 2147483647")
    got = read_bytes(tmp_path, f"{call}5: {call}".encode())
    assert columns(got.rows("nccl_calls"), "op", "call_no") == [("user2147483647", 1), ("user2147483647", 2)]
    assert got.notes == []


def test_clock_is_no_process() -> None:
    """A clock time before a bracket is no torn record."""
    got = sample("clock-is-no-process.log")
    assert got.rejects == []
    assert got.ignored == {"other programs' text": 2}


def test_own_times() -> None:
    """NCCL's own times are read to the digit and flagged as local."""
    got = sample("own-times-subseconds.log")
    base = 1790214643000000000
    assert columns(got.rows("nccl_records"), "t_ns", "time_from", "time_local") == [
        (base + 1_000_000, "nccl", True),
        (base + 1_000_002, "nccl", True),
        (base + 1_000_000_000, "nccl", True),
        (None, None, None),
    ]
    assert "nccl-local-time" in [n.code for n in got.notes]
    error = got.rows("nccl_errors")[0]
    assert (error["status"], error["vendor"], error["hca"], error["peer_port"]) == (12, 129, "mlx5_3", 4791)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-02T10:07:00.5Z stderr F {0}\n",
        '{{"log":"{0}\\n","stream":"stderr","time":"2026-11-02T10:00:01.5Z"}}\n',
        "[pod/p-1/main] 2026-11-02T09:59:59.5Z {0}\n",
    ],
    ids=["CRI", "docker", "kubectl"],
)
def test_zone_of_a_line(tmp_path: Path, line: str) -> None:
    """NCCL prints local digits, and the container's time beside them tells their zone: 18:00 there are 10:00 UTC."""
    record = "[2026-11-02 18:00:00] n1:1:2 [0] x.cc:1 NCCL WARN late"
    got = read_bytes(tmp_path, line.format(record).encode())
    assert columns(got.rows("nccl_errors"), "t_ns") == [(1793613600_000000000,)]
    assert columns(got.rows("nccl_records"), "time_from", "time_local") == [("nccl", False)]
    assert got.notes == []


def test_time_format_of_the_deployment(tmp_path: Path) -> None:
    """A time format that the deployment names is used; one that is not understood is an error."""
    path = tmp_path / "a.log"
    path.write_text("<02.11.2026 10h00m00,5> n1:1:1 [0] NCCL INFO Using network IB\n")
    got = collect(path, time_format="%d.%m.%Y %Hh%Mm%S,%1f")
    assert columns(got.rows("nccl_records"), "t_ns") == [(1793613600500000000,)]
    with pytest.raises(ValueError, match=r"logs\.time_format '%Q': %Q is not understood"):
        collect(path, time_format="%Q")
    for twice in ("%F %T %z %d", "%d %e"):
        with pytest.raises(ValueError, match=rf"logs\.time_format '{twice}': %d stands twice"):
            collect(path, time_format=twice)


def test_torn() -> None:
    """A torn record gives nothing to its neighbour; what has no message, or no beginning, is told."""
    got = sample("torn-two-processes.log")
    assert columns(got.rows("nccl_communicators"), "rank", "pid", "comm_id") == [(1, 1, "0x7b6d")]
    assert columns(got.rows("nccl_records"), "line", "host", "level", "kind", "torn") == [
        (1, "n1", "INFO", "network", False),
        (2, "n1", "INFO", "other", True),
        (2, "n1", "INFO", "init_complete", False),
        (4, "n1", None, "other", True),
        (4, "n1", "INFO", "connected", False),
    ]
    assert [r.place for r in got.rejects] == [3, 5]


WHOLE = {
    "x.cc:9 NCCL WARN [Proxy Service 1] Failed to execute operation Connect from rank 1, retcode 3": "warn_other",
    "x.cc:9 NCCL WARN comm 0x7fa8 has already been destroyed": "warn_other",
    "x.cc:9 NCCL WARN socketPollConnect: connect to 10.0.0.1<4000> returned Connection refused,"
    " exceeded error retry count after 35 attempts": "socket_fail",
    "x.cc:9 NCCL WARN socketPollConnect: Connect to 10.0.0.1<4000> returned 111(Connection refused)"
    " errno 115(Operation now in progress)": "socket_fail",
    "NCCL INFO Channel 00 :    0   1": "channel_order",
    "NCCL INFO Ring 00 :    0 127": "channel_order",
    "NCCL INFO comm 0x7fa8 rank 0 nranks 2 - COMPLETE": "init_complete",
}
CUT = ["NCCL INFO Channel 00 : 0", "NCCL INFO comm 0x7fa8 rank 0 nranks", "x.cc:9 NCCL WARN Connect to 10.0"]


@pytest.mark.parametrize("text", [*WHOLE, *CUT])
def test_whole_or_cut(tmp_path: Path, text: str) -> None:
    """A whole record of an old or rare wording is not told torn, and a cut one is."""
    got = read_bytes(tmp_path, f"n1:1:2 [0] {text}\n".encode())
    if text in WHOLE:
        assert columns(got.rows("nccl_records"), "kind", "torn") == [(WHOLE[text], False)]
        assert got.notes == []
    else:
        assert columns(got.rows("nccl_records"), "torn") == [(True,)]


def test_oldest_communicator(tmp_path: Path) -> None:
    """The wording before 2.4 makes a communicator of rank and size."""
    got = read_bytes(tmp_path, b"n1:1:2 [0] NCCL INFO comm 0x7fa8 rank 0 nranks 2 - COMPLETE\n")
    assert columns(got.rows("nccl_communicators"), "comm", "rank", "nranks", "complete_line") == [(0x7FA8, 0, 2, 1)]


@pytest.mark.parametrize("more", ["", " (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable.)\x1b[0m"])
def test_ray_repeats(tmp_path: Path, more: str) -> None:
    """What Ray writes behind a line that it left out elsewhere belongs to no record."""
    tail = f"\x1b[32m [repeated 7x across cluster]{more}"
    texts = [ROOT + " - Init COMPLETE", "NCCL_IB_DISABLE set by environment to 1.", "Connected all rings"]
    got = read_bytes(tmp_path, "".join(f"(W pid=9) n1:1:2 [0] NCCL INFO {t}{tail}\n" for t in texts).encode())
    assert got.kinds() == {"init_complete": 1, "env_set": 1, "connected": 1}
    assert [r["msg"] for r in got.rows("nccl_records")] == texts
    assert columns(got.rows("nccl_settings"), "name", "value") == [("NCCL_IB_DISABLE", "1")]
    assert [(n.severity, n.code) for n in got.notes] == [("data_loss", "nccl-left-out")]
    assert read_bytes(tmp_path, f"(W pid=9) ready{tail}\n".encode()).notes == []


def test_first_cause() -> None:
    """Flushes, harmless warnings and later errors of a peer are no first cause; another peer is."""
    got = sample("flush-cascade.log")
    assert [r["line"] for r in got.rows("nccl_errors") if r["first_cause"]] == [3, 6]


@pytest.mark.parametrize("born", ["Bootstrap : Using eth0:10.0.0.1<0>", "cudaDriverVersion 12080"])
def test_first_cause_of_a_process_started_anew(tmp_path: Path, born: str) -> None:
    """A container started anew gives the same process id: its new process has a first cause, for the same peer too."""
    lost = "n1:7:7 [0] ib.cc:1 NCCL WARN NET/IB : Got completion from peer 10.0.0.2<9> with error 12, opcode 0, len 0"
    life = f"n1:7:7 [0] NCCL INFO {born}\n{lost}, vendor err 129\n{lost}, vendor err 129\n"
    got = read_bytes(tmp_path, (life * 2).encode())
    assert columns(got.rows("nccl_errors"), "line", "first_cause") == [(2, True), (3, False), (5, True), (6, False)]


def test_first_cause_after_a_communicator_came_up(tmp_path: Path) -> None:
    """What was warned of before a communicator came up led to nothing behind it, and does not when said again; what is
    warned of next does. Another process's communicator tells nothing.
    """
    path = "n1:7:8 [0] xml.cc:85 NCCL WARN Could not find real path of /sys/class/net"
    closed = "n1:7:9 [0] socket.cc:49 NCCL WARN socketProgress: Connection closed by remote peer n2<57557>"
    polled = "n1:7:9 [0] proxy.cc:1143 NCCL WARN Socket recv failed while polling for opId=0x5"
    ours, other = (f"n1:{pid}:8 [0] NCCL INFO {ROOT} - Init COMPLETE" for pid in (7, 9))
    lines = [path, other, polled, ours, path, closed, polled, ours, closed, polled]
    got = read_bytes(tmp_path, "\n".join(lines).encode())
    assert [r["line"] for r in got.rows("nccl_errors") if r["first_cause"]] == [1, 6]


def test_choices() -> None:
    """Variants, numbers and names of algorithms are read; the choice finds its call by thread and size."""
    got = sample("tuning-symmetric-and-copy-engine.log")
    assert columns(
        got.rows("nccl_tuning"), "variant", "bytes", "algo", "proto", "kernel", "predicted_us", "call_no"
    ) == [
        ("Symmetric", 128, None, None, "AllReduce_AGxLL_R", None, 1),
        ("Copy Engine", 4096, None, None, "cudaMemcpyBatchAsync", None, None),
        (None, 512, "RING", "SIMPLE", None, 12.5, None),
        (None, 256, "RING", "LL", None, None, None),
    ]


@pytest.mark.parametrize("func", ["AllGather", "ReduceScatter"])
@pytest.mark.parametrize(
    "choices",
    [["16 Bytes -> Algo RING proto LL channel{{Lo..Hi}}={{0..3}}"] * 2, ["32 Bytes -> Algo 1 proto 0 time 9.5"] * 2],
    ids=["2.24 on", "2.23"],
)
def test_choice_of_a_collective_in_parts(tmp_path: Path, func: str, choices: list[str]) -> None:
    """Four floats from each of two ranks: lines with names tell one part, 16 bytes, those with numbers both, 32."""
    call = CALL.replace("AllReduce", func)
    twice = call.replace("count 4", "count 8")  # 32 bytes a part: what 4 floats of both ranks make
    log = OWN.replace("rank 1", "rank 0") + call + f"n1:{{0}}:20 [0] NCCL INFO {func}: {choices[0]}\n" + twice
    log += call + f"n1:{{0}}:20 [0] NCCL INFO {func}: {choices[1]}\n"
    got = read_bytes(tmp_path, log.format(7).encode())
    assert columns(got.rows("nccl_tuning"), "comm_key", "call_no") == [("0xabc", 1), ("0xabc", 3)]


@pytest.mark.parametrize(
    ("said", "kernel", "channels", "threads"),
    [
        ("16 Bytes -> Algo RING proto LL channel{{Lo..Hi}}={{0..3}} cgaClusterSize 4", None, None, None),
        ("16 Bytes -> Kernel AGxLL_R nchannels 2 nthreads 512 nWorks 1 cgaClusterSize 8", "AGxLL_R", 2, 512),
    ],
)
def test_choice_with_its_cluster(
    tmp_path: Path, said: str, kernel: str | None, channels: int | None, threads: int | None
) -> None:
    """What newer versions write behind a choice makes it neither torn nor part of the kernel's name."""
    func = "AllReduce [Symmetric]" if kernel else "AllReduce"
    got = read_bytes(tmp_path, f"n1:7:20 [0] NCCL INFO {func}: {said.format()}\n".encode())
    assert columns(got.rows("nccl_tuning"), "kernel", "channels", "threads") == [(kernel, channels, threads)]
    assert got.notes == []


def test_send_and_recv_count_by_peer() -> None:
    """Send and Recv count by function and peer, collectives apart; opCount is hex; unknown codes are kept."""
    got = sample("send-recv-own-counters.log")
    assert columns(got.rows("nccl_calls"), "func", "root", "call_no", "op_count") == [
        ("Send", 1, 1, 0), ("Recv", 1, 1, 0), ("Send", 1, 2, 2), ("AllReduce", 0, 1, 0), ("Send", 0, 1, 255),
    ]  # fmt: skip
    assert columns(got.rows("nccl_calls")[-1:], "datatype", "op", "bytes") == [("type12", "user5", None)]


def test_bad_bytes() -> None:
    """Bytes that are no UTF-8, carriage returns and a cut last line lose no line."""
    got = sample("bad-bytes-crlf-no-final-newline.log")
    assert got.kinds() == {"connected": 1, "network": 1}
    assert got.facts.lines == 5
    assert [r.place for r in got.rejects] == [5]
