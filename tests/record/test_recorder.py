"""The recorder: everything is written or counted, and nothing gets into the server's way."""

import gc
import json
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from postmortem.record import Recorder, text
from postmortem.record.nvtx_ranges import Ranges


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_fields_and_marks(tmp_path):
    """A record bears its mark, the recorder's replica and rank, and the caller's fields but those that are None."""
    with Recorder(tmp_path, replica="b", rank=3, background=False) as rec:
        rec.x(req_id="r-1", effective_tokens=7, trunc_reason=None)
        rec.s(iteration=4, gpu_ms=1.5)
        rec.s(req_id="r-1", step=0, rank=None)
    assert lines(tmp_path / "x_rank3.jsonl")[0] == {
        "record": "x",
        "replica": "b",
        "req_id": "r-1",
        "effective_tokens": 7,
    }
    s = lines(tmp_path / "s_rank3.jsonl")
    assert s[0] == {"record": "s", "replica": "b", "rank": 3, "iteration": 4, "gpu_ms": 1.5}
    assert s[1] == {"record": "s", "replica": "b", "req_id": "r-1", "step": 0}


def test_account_at_the_end(tmp_path):
    """The last line says how many records were written, dropped and failed, and from when to when."""
    with Recorder(tmp_path, replica="a", background=False) as rec:
        for step in range(5):
            rec.s(req_id="r", step=step)
    account = lines(tmp_path / "s.jsonl")[-1]
    assert account["record"] == "recorder"
    assert (account["written"], account["dropped"], account["errors"]) == (5, 0, 0)
    assert account["replica"] == "a"
    assert account["rank"] is None
    assert account["started_ns"] <= account["ended_ns"]


def test_full_queue_drops_and_counts(tmp_path):
    """What finds the queue full is dropped, counted, and recorded at the next flush already."""
    rec = Recorder(tmp_path, background=False, queue_size=10)
    for step in range(25):
        rec.s(req_id="r", step=step)
    rec.flush()
    told = lines(tmp_path / "s.jsonl")
    assert [r["step"] for r in told[:-1]] == list(range(10))
    assert told[-1]["dropped"] == 15
    assert told[-1]["ended_ns"] is None
    rec.close()
    rec.s(req_id="late", step=0)
    assert rec.dropped == 16


def test_written_plus_dropped_is_all(tmp_path):
    """With several threads and the background writer, every record is written or counted as dropped."""
    rec = Recorder(tmp_path, queue_size=50, flush_every_s=0.001)
    threads = [threading.Thread(target=lambda: [rec.s(req_id="r", step=i) for i in range(2000)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rec.close()
    told = [r for r in lines(tmp_path / "s.jsonl") if r["record"] == "s"]
    assert len(told) == rec.written
    assert rec.written + rec.dropped == 6000
    assert rec.errors == 0


def test_never_raises_on_bad_values(tmp_path):
    """A value that is no JSON costs its own record, counted as an error, and nobody else's."""
    with Recorder(tmp_path, background=False) as rec:
        rec.s(req_id="bad", step=object())
        rec.s(req_id="lone surrogate \ud800", step=1)
        rec.s(req_id="good", step=np.int64(2), margin=np.float32(0.5), gpu_ms=float("nan"))
    told = lines(tmp_path / "s.jsonl")
    assert told[0] == {"record": "s", "req_id": "good", "step": 2, "margin": 0.5, "gpu_ms": None}
    assert told[-1]["errors"] == 2


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_no_time_to_wait_is_refused(tmp_path, seconds):
    """At the start, as a wrong rank is: the writing thread would die of it amid the run, or never rest."""
    with pytest.raises(ValueError, match="flush_every_s"):
        Recorder(tmp_path, flush_every_s=seconds)


def test_never_raises_without_a_place_to_write(tmp_path):
    """Where the folder cannot be made, every record counts as an error and the server goes on."""
    (tmp_path / "file").write_text("in the way")
    with Recorder(tmp_path / "file", background=False) as rec:
        rec.s(req_id="r", step=0)
        rec.flush()
    assert rec.written == 0
    assert rec.errors >= 1


class Treacherous:
    """Looks like a number of an array library, and isn't."""

    def item(self):
        raise LookupError("no such thing")


def test_never_raises_whatever_a_value_does(tmp_path):
    """Even a value whose own code fails while it is written costs its record alone."""
    with Recorder(tmp_path, background=False) as rec:
        rec.s(req_id="r", step=Treacherous())
        rec.flush()
        rec.s(req_id="r", step=1)
    assert [r["step"] for r in lines(tmp_path / "s.jsonl") if r["record"] == "s"] == [1]
    assert rec.errors == 1


class Interrupted:
    """Where Ctrl-C falls into a server's own flush()."""

    def __int__(self):
        raise KeyboardInterrupt


def test_interrupted_flush_loses_one_record_and_counts_it(tmp_path):
    """Ctrl-C amid flush() gets to the server; the records before and after are written, the one at hand is counted."""
    with Recorder(tmp_path, background=False) as rec:
        for step in (0, Interrupted(), 2):
            rec.s(req_id="r", step=step)
        with pytest.raises(KeyboardInterrupt):
            rec.flush()
    assert [r["step"] for r in lines(tmp_path / "s.jsonl") if r["record"] == "s"] == [0, 2]
    assert (rec.written, rec.errors) == (2, 1)


def test_closes_itself_at_the_end(tmp_path):
    """A server that ends without closing its recorder loses nothing."""
    code = f"""
from postmortem.record import Recorder
rec = Recorder({str(tmp_path)!r}, flush_every_s=60)
rec.s(req_id="r", step=0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert [r["record"] for r in lines(tmp_path / "s.jsonl")] == ["s", "recorder"]


def test_brings_nothing_along():
    """Importing the recorder loads none of the packages that the analysis needs."""
    code = """
import sys
import postmortem.record
heavy = {"numpy", "polars", "duckdb", "pyarrow", "altair", "msgspec", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_server_exceptions_pass_through(tmp_path):
    """An exception of the server inside a range or the recorder's block is neither swallowed nor changed."""
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, background=False) as rec, rec.range("iteration", n=1):
        1 / 0  # noqa: B018
    assert (tmp_path / "s.jsonl").exists()


@pytest.mark.parametrize(
    ("kind", "keys", "wanted"),
    [
        ("iteration", {"n": 1234, "batch": 32}, "iteration n=1234 batch=32"),
        ("fallback", {"op": "gemm", "from": 42, "to": 17, "why": "no workspace"},
         "fallback op=gemm from=42 to=17 why=no_workspace"),
        ("isolation", {"mode": ""}, "isolation mode=_"),
        ("kv_evict", {}, "kv_evict"),
        ("kv_evict", {"pools": [1, 2]}, "kv_evict pools=[1,_2]"),
    ],
)  # fmt: skip
def test_range_text(kind, keys, wanted):
    """A range's text is ``kind key=value …``, each value one word."""
    assert text(kind, keys) == wanted


class Listener:
    """Stands in for the ``nvtx`` package and notes what it is told."""

    def __init__(self, broken=False):
        self.told = []
        self.broken = broken

    def __getattr__(self, name):
        def told(*args, **keys):
            if self.broken:
                raise OSError("the profiler went away")
            self.told.append((name, *args, keys.get("domain")))
            return len(self.told)

        return told


def test_ranges_reach_the_domain():
    """Ranges, pins and marks go to the domain ``postmortem`` in the order that they happened."""
    ranges = Ranges(on=False)
    ranges._nvtx = listener = Listener()
    pin = ranges.begin("isr_pin", {"mb": 4})
    with ranges.range("iteration", {"n": 1}):
        ranges.mark("schedule", {"n": 2})
    ranges.end(pin)
    assert [t[:2] for t in listener.told] == [
        ("start_range", "isr_pin mb=4"),
        ("push_range", "iteration n=1"),
        ("mark", "schedule n=2"),
        ("pop_range", "postmortem"),
        ("end_range", 1),
    ]
    assert {t[-1] for t in listener.told[:3]} == {"postmortem"}


def test_broken_profiler_is_counted(tmp_path):
    """A profiler's library that fails costs nothing but a count."""
    rec = Recorder(tmp_path, background=False, ranges=False)
    rec._ranges._nvtx = Listener(broken=True)
    with rec.range("iteration", n=1):
        rec.mark("schedule", n=2)
        rec.end(rec.begin("isr_pin", mb=1))
    rec.close()
    assert lines(tmp_path / "s.jsonl")[-1]["errors"] == 3


def test_without_nvtx(tmp_path, monkeypatch):
    """Without the nvtx package ranges are nothing, and the account says so."""
    monkeypatch.setitem(__import__("sys").modules, "nvtx", None)
    with Recorder(tmp_path, background=False, ranges=True) as rec, rec.range("iteration", n=1):
        rec.s(req_id="r", step=0)
    assert lines(tmp_path / "s.jsonl")[-1]["nvtx"] == "nvtx cannot be imported: ModuleNotFoundError"


@pytest.mark.parametrize("unknown", [np.float32("nan"), np.float16("inf"), np.array(float("-inf")), np.array([np.nan])])
def test_array_nan_is_unknown(tmp_path, unknown):
    """A number of an array library that is not finite is unknown, as Python's own is; its record stays."""
    with Recorder(tmp_path, background=False) as rec:
        rec.s(req_id="r", margin=unknown, gpu_ms=float("nan"), step=np.int64(3))
    assert lines(tmp_path / "s.jsonl")[0] == {"record": "s", "req_id": "r", "margin": None, "gpu_ms": None, "step": 3}
    assert rec.errors == 0


def child(code, *args):
    """What a Python process of its own prints; forks and limits stay out of the tests' process."""
    told = subprocess.run([sys.executable, "-c", code, *map(str, args)], check=True, timeout=60, stdout=subprocess.PIPE)
    return told.stdout.decode()


def test_full_disk_is_accounted_for(tmp_path):
    """Where the disk is full for a while, each record is in the file or counted as lost, and no half line stays."""
    code = """
import resource, sys
from postmortem.record import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))  # 10 kB: amid the second drain
rec = Recorder(sys.argv[1], background=False, ranges=False)
for step in range(100):
    rec.s(req_id="r", step=step, pad="x" * 100)
    if step == 89:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if step % 50 == 49 or step == 70:
        rec.flush()
rec.close()
print(rec.written, rec.dropped, rec.errors)
"""
    told = [int(word) for word in child(code, tmp_path).split()]
    found = lines(tmp_path / "s.jsonl")  # raises where a half line stayed
    steps = [r["step"] for r in found if r["record"] == "s"]
    assert told == [len(steps), 0, 100 - len(steps)]
    assert [found[-1][key] for key in ("written", "dropped", "errors")] == told
    assert steps[:50] == list(range(50))  # there was room for them
    assert 50 < len([step for step in steps if step <= 70]) < 71  # and for some of the next drain
    assert steps[-29:] == list(range(71, 100))  # there was room again


def test_failed_account_is_told_again(tmp_path):
    """A count that found the disk full is recorded as soon as there is room, in the file it was meant for."""
    full = tmp_path / "s.jsonl"
    full.symlink_to("/dev/full")
    rec = Recorder(tmp_path, background=False)
    rec.s(req_id="r", step=0)
    rec.x(req_id="r")
    rec.flush()
    full.unlink()
    rec.flush()
    assert [(r["written"], r["errors"], r["ended_ns"]) for r in lines(full)] == [(1, 1, None)]
    rec.close()
    assert [r["record"] for r in lines(tmp_path / "x.jsonl")] == ["x"]


def test_other_process_is_not_cut_back(tmp_path):
    """What another process appended after a write that came short stays whole."""
    with Recorder(tmp_path, background=False) as rec:
        rec.s(req_id="r", step=0)
        rec.flush()
        file = rec._files["s"]

        class Short:
            """Takes half of what it is given; another process writes at once."""

            def write(self, block):
                done = file.write(block[: len(block) // 2])
                with (tmp_path / "s.jsonl").open("a") as other:
                    other.write('{"record":"s","req_id":"other"}\n')
                return done

            def __getattr__(self, name):
                return getattr(file, name)

        rec._files["s"] = Short()
        rec.s(req_id="r", step=1)
        rec.flush()
        rec.s(req_id="r", step=2)
    told = (tmp_path / "s.jsonl").read_text().splitlines()
    assert told[1].endswith('{"record":"s","req_id":"other"}')
    assert (rec.written, rec.errors) == (2, 1)
    assert [json.loads(line)["record"] for line in told[2:]] == ["recorder", "s", "recorder"]


def test_cut_last_line_costs_itself_alone(tmp_path):
    """Where a killed process left half a line, the next one's first record begins a line of its own."""
    cut = '{"record":"s","req_id":"old","step":0}\n{"record":"s","req_id":"old","st'
    (tmp_path / "s.jsonl").write_text(cut)
    for step in range(2):  # the second finds whole lines, and adds no blank one
        with Recorder(tmp_path, background=False) as rec:
            rec.s(req_id="new", step=step)
    told = (tmp_path / "s.jsonl").read_text().removeprefix(cut + "\n").splitlines()
    assert [json.loads(line)["record"] for line in told] == ["s", "recorder", "s", "recorder"]


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("after", ["os._exit(0)", "sys.exit(0)", "None"])
def test_signal_amid_a_flush(tmp_path, after, background):
    """A handler that closes while the server itself flushes hangs nowhere; the flush it interrupted writes the rest."""
    code = f"""
import os, signal, sys, time
from postmortem.record import Recorder
rec = Recorder(sys.argv[1], background={background}, flush_every_s=0.5, ranges=False)
def stop(*_):
    rec.s(req_id="handler", step=0)
    rec.close()
    if {after!r} != "os._exit(0)":
        {after}
signal.signal(signal.SIGTERM, stop)
signal.alarm(20)  # seconds; where it hangs it dies of it
write = rec._write
def once(kind, some):
    rec._write = write
    time.sleep(1)  # the recorder's own thread would flush, too, and finds it being done
    signal.raise_signal(signal.SIGTERM)
    return write(kind, some)
rec._write = once
rec.s(req_id="server", step=0)
rec.flush()
if {after!r} == "os._exit(0)":
    os._exit(0)  # the flush alone has ended it
"""
    child(code, tmp_path)
    told = lines(tmp_path / "s.jsonl")
    assert [r["record"] for r in told[-1:]] == ["recorder"]
    assert told[-1]["written"] + told[-1]["dropped"] + told[-1]["errors"] == 2
    assert told[-1]["ended_ns"] is not None


def test_signal_amid_a_count(tmp_path):
    """A handler that closes while the server counts a dropped record does not wait for itself through the writer."""
    code = """
import signal, sys, time
from postmortem.record import Recorder
rec = Recorder(sys.argv[1], flush_every_s=0.01, ranges=False)
signal.signal(signal.SIGTERM, lambda *_: rec.close())
signal.alarm(20)  # seconds; where it hangs it dies of it
with rec._count:
    rec.s(req_id="refused", step=-1)  # something for the writer to count
    time.sleep(1)  # the writer comes to it meanwhile
    signal.raise_signal(signal.SIGTERM)
print(rec.errors)
"""
    assert child(code, tmp_path) == "1\n"


def test_interrupted_close_is_made_good(tmp_path):
    """A second Ctrl-C amid close() loses nothing: what is left is written at the next close, or when Python ends."""
    rec = Recorder(tmp_path, flush_every_s=60)
    rec.s(req_id="r", step=0)
    thread, rec._thread = rec._thread, Interrupting()
    with pytest.raises(KeyboardInterrupt):
        rec.close()
    rec._thread = thread
    rec.close()
    assert [r["record"] for r in lines(tmp_path / "s.jsonl")] == ["s", "recorder"]


class Interrupting:
    """A thread that is waited for when Ctrl-C comes."""

    def join(self):
        raise KeyboardInterrupt


def test_removed_file_is_begun_anew(tmp_path):
    """Where somebody removed the file to make room, later records are not written into nothing; a moved one is kept."""
    rec = Recorder(tmp_path, background=False)
    for step, then in enumerate((lambda f: f.rename(tmp_path / "s.jsonl.1"), lambda f: None, None)):
        rec.s(req_id="r", step=step)
        rec.flush()
        if then:
            then(tmp_path / "s.jsonl")
    assert [r["step"] for r in lines(tmp_path / "s.jsonl.1")] == [0, 1, 2]
    (tmp_path / "s.jsonl.1").unlink()
    rec.s(req_id="r", step=3)
    rec.close()
    assert [r.get("step") for r in lines(tmp_path / "s.jsonl")] == [3, None]


def test_a_record_is_what_its_values_were_at_the_call(tmp_path):
    """Buffers, lists and objects that the server uses again change no record that waits to be written."""
    margins, events, config = np.zeros(1), ["policy_inject:v3"], {"stop": ["a"]}
    with Recorder(tmp_path, background=False) as rec:
        rec.x(req_id="r", shaping_events=events, decode_cfg_applied=config)
        for step in range(3):
            margins[0] = step / 4
            rec.s(req_id="r", step=step, margin=margins.reshape(()))
        events.append("tool_schema:v2")
        config["stop"].append("b")
    assert [r["margin"] for r in lines(tmp_path / "s.jsonl")[:3]] == [0, 0.25, 0.5]
    told = lines(tmp_path / "x.jsonl")[0]
    assert (told["shaping_events"], told["decode_cfg_applied"]) == (["policy_inject:v3"], {"stop": ["a"]})


class Unsayable:
    """A value whose own text fails, as a tensor's does once its device is lost."""

    def __str__(self):
        raise RuntimeError("the device is lost")


def test_range_of_an_unsayable_value_is_counted():
    """A range whose text cannot be made is left out and counted; the block runs."""
    ranges = Ranges(on=False)
    ranges._nvtx = listener = Listener()
    with ranges.range("iteration", {"n": Unsayable()}):
        pass
    assert (ranges.errors, listener.told) == (1, [])


FORK = """
import json, os, signal, sys, time
from pathlib import Path
from postmortem.record import Recorder

def fork(what):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # seconds; a child that hangs dies of it
        what()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
    return pid
"""


def test_fork_while_the_writer_is_at_work(tmp_path):
    """A child that was forked while another thread held the recorder's locks records and closes as ever."""
    code = """
rec = Recorder(sys.argv[1], ranges=False)
rec._io.acquire()
rec._count.acquire()

def work():
    rec.s(req_id="child", step=0)
    rec.flush()
    rec.close()

print(fork(work))
rec._count.release()
rec._io.release()
rec.s(req_id="parent", step=0)
rec.close()
"""
    pid = int(child(FORK + code, tmp_path))
    for name, who in ((f"s_pid{pid}.jsonl", "child"), ("s.jsonl", "parent")):
        told = lines(tmp_path / name)
        assert [(r["record"], r.get("req_id"), r.get("written")) for r in told] == [
            ("s", who, None),
            ("recorder", None, 1),
        ]


def test_children_write_files_of_their_own(tmp_path):
    """What was queued or written at the fork is the parent's; children write and count what is theirs."""
    code = """
rec = Recorder(sys.argv[1], rank=5, flush_every_s=60, queue_size=10, ranges=False)
rec.s(req_id="parent", step=0)
rec.flush()
for step in range(1, 13):
    rec.s(req_id="parent", step=step)

def work():
    for step in range(11):
        rec.s(req_id="child", step=step)
    print(os.getpid(), fork(lambda: (rec.x(req_id="grandchild"), rec.close())), flush=True)
    rec.close()

fork(work)
fork(rec.close)  # has nothing to tell
rec.close()
"""
    one, two = child(FORK + code, tmp_path).split()
    told = {path.name: lines(path) for path in tmp_path.iterdir()}
    assert {name: [r["req_id"] for r in some if r["record"] != "recorder"] for name, some in told.items()} == {
        "s_rank5.jsonl": ["parent"] * 11,
        f"s_rank5_pid{one}.jsonl": ["child"] * 10,
        f"x_rank5_pid{two}.jsonl": ["grandchild"],
    }
    accounts = [some[-1] for _, some in sorted(told.items(), key=lambda item: (item[0][0], len(item[0])))]
    assert [(a["written"], a["dropped"], a["rank"]) for a in accounts] == [(11, 2, 5), (10, 1, 5), (1, 0, 5)]
    assert len({a["started_ns"] for a in accounts}) == 3


def test_child_that_ends_at_once_loses_only_the_last_moment(tmp_path):
    """A child's records are written in the background too: os._exit takes along only those since the last time."""
    code = """
rec = Recorder(sys.argv[1], flush_every_s=0.01, ranges=False)

def work():
    rec.s(req_id="child", step=0)
    path = Path(sys.argv[1], f"s_pid{os.getpid()}.jsonl")
    while not path.exists() or not path.stat().st_size:
        time.sleep(0.01)

print(fork(work))
"""
    pid = int(child(FORK + code, tmp_path))
    assert [r["req_id"] for r in lines(tmp_path / f"s_pid{pid}.jsonl")] == ["child"]


def test_child_closes_itself_at_the_end(tmp_path):
    """A child that ends by itself loses nothing; one without a thread that flushed nothing, neither."""
    code = """
rec = Recorder(sys.argv[1], flush_every_s=60, ranges=False)
quiet = Recorder(Path(sys.argv[1], "quiet"), background=False, ranges=False)
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    rec.s(req_id="child", step=0)
    quiet.s(req_id="child", step=0)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print(pid)
"""
    pid = int(child(FORK + code, tmp_path))
    for place in (tmp_path, tmp_path / "quiet"):
        assert [r["record"] for r in lines(place / f"s_pid{pid}.jsonl")] == ["s", "recorder"]


def test_fork_keeps_no_recorder_alive(tmp_path):
    """What forks must look after does not keep a closed recorder in memory."""
    rec = Recorder(tmp_path, background=False)
    rec.close()
    gone = weakref.ref(rec)
    del rec
    gc.collect()
    assert gone() is None


def test_no_thread_is_to_be_had(tmp_path, monkeypatch):
    """Where no thread can be started, the server goes on; what is queued is written at the end."""

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with Recorder(tmp_path) as rec:
        rec.s(req_id="r", step=0)
    assert (rec.written, rec.dropped, rec.errors) == (1, 0, 1)
