"""The truth of a recording, on hand-made ones."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from sample_traces.lab import __main__ as command
from sample_traces.lab import incident as incident_module
from sample_traces.lab.config import Fault, Run
from sample_traces.lab.incident import Order, Outcome, calm, calm_before, truth_toml
from sample_traces.lab.launch import RankFailed, Recording
from sample_traces.lab.plans import Course, first_difference
from sample_traces.lab.scheduler import LatencyGuard
from sample_traces.lab.truth import Flip, Incident, _acts, _needless_cuts, _not_cut, span

MS = 1_000_000
RUN = Run("b", users=26, seconds=4.0, fault=Fault("quant_stall", 1, 1.0, 2.0, 0.5))


def recording(times, waits, run=RUN):
    """Iterations of the given durations, ms, of which rank 0 spends ``waits`` waiting for rank 1; really scheduled."""
    guard = LatencyGuard(run.scheduler, 10.0)
    now, table, before = 0, [], None
    for n, (ms, wait) in enumerate(zip(times, waits, strict=True)):
        if before is not None:  # a decision comes one iteration after the times that made it
            guard.observe(before)
        before = ms
        table.append(
            {
                "n": n,
                "ns": now,
                "limit": guard.limit,
                "members": list(range(min(guard.limit, run.users))),
                "gpu_ms": [ms, ms],
                "arrivals": [[0, int(wait * MS)]],
            }
        )
        now += int(ms * MS)
    return Recording(run, Path(), {"start_ns": 0, "target_ms": 10.0, "iterations": table})


def test_a_cut_for_waiting_is_the_faults():
    """Iterations half waiting for the faulty rank: without the waiting there is no cut."""
    made = recording([10.0] * 100 + [16.0] * 60 + [10.0] * 200, [0.0] * 100 + [6.0] * 60 + [0.0] * 200)
    cuts = _needless_cuts(made, span(made))
    assert [anyway for _, anyway in cuts] == [False]
    assert _not_cut(cuts, cuts[0][0] + 5, must=True)
    assert not _not_cut(cuts, cuts[0][0] - 1, must=True)  # nothing had been cut by then


def test_a_cut_for_noise_is_not_the_faults():
    """The same iterations, slow on both ranks alike: the cut would have come anyway."""
    made = recording([10.0] * 100 + [16.0] * 60 + [10.0] * 200, [0.0] * 360)
    cuts = _needless_cuts(made, span(made))
    assert [anyway for _, anyway in cuts] == [True]
    assert not _not_cut(cuts, 300, must=True)


def test_a_cut_for_a_surge_is_the_surges():
    """A larger batch takes longer by its shape class alone: as long as the usual one would, there is no cut."""
    run = replace(RUN, fault=Fault("load_surge", None, 1.0, 2.0, 0.5))
    made = recording([10.0] * 100 + [16.0] * 60 + [10.0] * 200, [0.0] * 360, run)
    for entry in made.iterations[100:160]:
        if entry["limit"] >= 40:
            entry["members"] = list(range(40))
    cuts = _needless_cuts(made, span(made))
    assert [anyway for _, anyway in cuts] == [False]
    assert _not_cut(cuts, cuts[0][0] - 1, must=False)  # flips by the rise itself need no cut


def test_only_what_the_fault_did_is_swapped():
    """A missing workspace acts where the fallback ran, an isolation change while it is on, others until the end."""
    incident = Incident(100, 200, 300)
    assert _acts("workspace_fallback", incident, 150, (43, 17))
    assert not _acts("workspace_fallback", incident, 150, (42, 42))
    assert not _acts("isolation_change", incident, 250, (42, 42))
    assert _acts("quant_stall", incident, 250, (42, 42))
    assert not _acts("quant_stall", incident, 300, (42, 42))


def test_span_ends_with_the_backlog():
    """The incident lasts until the limit is back above the number of users."""
    made = recording([10.0] * 100 + [16.0] * 60 + [10.0] * 200, [0.0] * 100 + [6.0] * 60 + [0.0] * 200)
    incident = span(made)
    assert (incident.on_ns, incident.off_ns) == (1000 * MS, 2000 * MS)
    ended = next(i for i in made.iterations if i["ns"] == incident.end_ns)
    assert ended["limit"] >= RUN.users
    assert incident.end_ns > incident.off_ns


def test_calm_is_without_cut():
    """A run with a cut is not calm; until the fault it may have been."""
    assert calm(recording([10.0] * 300, [0.0] * 300))
    late = recording([10.0] * 150 + [18.0] * 30, [0.0] * 180)
    assert not calm(late)
    assert calm_before(late)
    assert not calm_before(recording([18.0] * 60 + [10.0] * 100, [0.0] * 160))


def test_first_difference():
    """Only what both answered is compared."""
    assert first_difference(Course(1, tokens=[1, 2, 3]), Course(1, tokens=[1, 2])) is None
    assert first_difference(Course(1, tokens=[1, 2, 3]), Course(1, tokens=[1, 5, 3])) == 1


def test_truth_is_toml():
    """The truth file is TOML that says what was found; what doesn't apply is left out."""
    made = recording([10.0] * 100, [0.0] * 100)
    flip = Flip("b-1", "a-1", 3, 7, 9, 0.25, 41, 410, True, True, False, None, False)
    order = Order("load_surge", None, 5, 0.55, 2, 4.0, profile=False)
    outcome = Outcome(order, made, made, [flip], {"compared": 12}, {"a": 1, "b": 2}, Incident(1, 2, 3))
    told = tomllib.loads(truth_toml(outcome))
    assert told["fault"] == "load_surge"
    assert "rank" not in told
    assert told["flips"] == 1
    assert told["proven"] == 0
    assert told["flip"][0]["req_id"] == "b-1"
    assert told["flip"][0]["made_by_b_tactics"] is False
    assert "not_cut_without_wait" not in told["flip"][0]


@pytest.mark.parametrize("words", [["--fault", "nonsense"], ["--rank", "5"], []])
def test_usage(words, tmp_path, monkeypatch):
    """Wrong words end with exit code 2 before anything is recorded."""
    output = ["-o", str(tmp_path / "out")] if words else []
    monkeypatch.setattr("sys.argv", ["lab", *words, *output])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert not (tmp_path / "out").exists()


def test_a_noisy_run_is_made_again(monkeypatch):
    """What isn't calm is recorded again, a profiler's failure too, four times at most; the tries are counted."""
    noisy = recording([18.0] * 60, [0.0] * 60)
    quiet = recording([10.0] * 60, [0.0] * 60)
    outcomes = [noisy, RankFailed("tripped"), quiet]

    def record(*_args, **_keys):
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(incident_module, "record", record)
    assert incident_module._until(calm, RUN, Path(), profile=True) == (quiet, 3)
    outcomes[:] = [noisy] * 4
    with pytest.raises(incident_module.NotCalm):
        incident_module._until(calm, RUN, Path(), profile=True)
    assert outcomes == []
