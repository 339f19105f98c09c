"""What is true of a recorded incident: who flipped, and who provably because of the fault.

Four checks a flip:
1. served under the same load without the fault, the request agrees with the reference up to that step;
2. replaying b's plan with a's tactics inside the incident removes the flip;
3. replaying a's plan with b's tactics inside the incident makes the very same flip;
4. without the time spent waiting for the faulty rank (or, in a surge, without the larger batch), the scheduler
   would not have cut the batch: the host's own noise cuts too, and such flips are not the fault's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sample_traces.lab import workload
from sample_traces.lab.config import Run
from sample_traces.lab.launch import Recording
from sample_traces.lab.numerics import FALLBACK, bucket
from sample_traces.lab.plans import Course, courses, first_difference
from sample_traces.lab.rank import REQUESTS
from sample_traces.lab.records import req_id
from sample_traces.lab.replay import Answer, Job, Replayer
from sample_traces.lab.scheduler import LatencyGuard

WAITED_FOR = ("quant_stall", "kv_eviction", "memory_evaporation", "slow_rank")  # check 4 speaks of these


@dataclass(frozen=True)
class Flip:
    """One request whose answer differs from the reference's."""

    req_id: str
    reference: str
    step: int
    token_id: int
    reference_token_id: int
    margin: float  # of b's choice over its runner-up, in logits
    iteration: int
    ts_ns: int
    agrees_without_fault: bool
    removed_by_a_tactics: bool
    made_by_b_tactics: bool
    not_cut_without_wait: bool | None  # None: the fault makes nobody wait
    proven: bool


@dataclass(frozen=True)
class Incident:
    """When the fault worked, on replica b; ns."""

    on_ns: int
    off_ns: int
    end_ns: int  # the backlog is gone too


def span(b: Recording) -> Incident:
    """From switching on until the limit is back above the number of users."""
    start, fault = b.raw["start_ns"], b.run.fault
    on, off = start + int(fault.on_s * 1e9), start + int(fault.off_s * 1e9)
    for entry in b.iterations:
        if entry["ns"] >= off and entry["limit"] >= b.run.users and len(entry["members"]) <= b.run.users:
            return Incident(on, off, entry["ns"])
    return Incident(on, off, b.iterations[-1]["ns"] + 1)


def requests_of(run: Run) -> dict[int, workload.Request]:
    """The list that both replicas serve, by index."""
    return {r.index: r for r in workload.make(run.seed, REQUESTS, run.model.vocab)}


def flips(a: Recording, b: Recording, without: Recording | None) -> tuple[list[Flip], dict[str, Any]]:
    """All flips with their checks, and what was found on the way."""
    requests = requests_of(a.run)
    drifted = _drifted(b)
    lengths = {index: len(r.tokens) for index, r in requests.items()}
    in_a, in_b = courses(a, lengths), courses(b, {i: lengths[i] + drifted.get(i, 0) for i in lengths})
    in_c = courses(without, lengths) if without else {}
    both = sorted(i for i in in_a.keys() & in_b.keys() if i not in drifted)
    found = [(i, step) for i in both if (step := first_difference(in_a[i], in_b[i])) is not None]
    incident = span(b)
    kind = b.run.fault.kind
    waits = kind in WAITED_FOR and b.run.tp > 1  # a single rank keeps nobody waiting
    cuts = _needless_cuts(b, incident) if waits or kind == "load_surge" else None
    swaps = _replays(b.run, requests, in_a, in_b, [i for i, _ in found], incident)
    made = []
    for index, step in found:
        mine, theirs = in_b[index], in_a[index]
        at = mine.prompt - 1 + step
        one = in_c.get(index)
        agrees = one is not None and len(one.tokens) > step and one.tokens[: step + 1] == theirs.tokens[: step + 1]
        with_a, with_b = swaps[index]
        removed = list(with_a.tokens[: step + 1]) == theirs.tokens[: step + 1]
        remade = list(with_b.tokens[: step + 1]) == mine.tokens[: step + 1]
        unforced = None if cuts is None else _not_cut(cuts, mine.iterations[at], must=waits)
        faulty = b.run.fault.kind != "none"
        made.append(
            Flip(
                req_id=req_id(b.run.replica, index),
                reference=req_id(a.run.replica, index),
                step=step,
                token_id=mine.tokens[step],
                reference_token_id=theirs.tokens[step],
                margin=mine.margins[step],
                iteration=mine.iterations[at],
                ts_ns=mine.starts_ns[at],
                agrees_without_fault=agrees,
                removed_by_a_tactics=removed,
                made_by_b_tactics=remade,
                not_cut_without_wait=unforced,
                proven=faulty and agrees and removed and remade and unforced is not False,
            )
        )
    facts = {"compared": len(both), "drifted": sorted(drifted), "replayed_exactly": 2 * len(found)}
    return made, facts


def _drifted(b: Recording) -> dict[int, int]:
    """Requests that replica b saw otherwise, and by how many tokens longer."""
    fault = b.run.fault
    if fault.kind != "request_drift":
        return {}
    requests = requests_of(b.run)
    said: dict[int, int] = b.raw.get("drifted", {})
    return {
        int(index): len(workload.drift(requests[int(index)]).tokens) - len(requests[int(index)].tokens)
        for index in said
    }


def _acts(kind: str, incident: Incident, ns: int, algos: tuple[int, ...]) -> bool:
    """Whether a position ran under the fault: what only the host's noise did must stay outside."""
    if kind == "workspace_fallback":
        return incident.on_ns <= ns < incident.end_ns and FALLBACK.algo_id in algos
    if kind == "isolation_change":
        return incident.on_ns <= ns < incident.off_ns
    return incident.on_ns <= ns < incident.end_ns


def _replays(
    run_b: Run,
    requests: dict[int, workload.Request],
    in_a: dict[int, Course],
    in_b: dict[int, Course],
    wanted: list[int],
    incident: Incident,
) -> dict[int, tuple[Answer, Answer]]:
    """For each flipped request: b's plan with a's tactics inside the incident, and a's plan with b's."""
    jobs = []
    for index in wanted:
        mine, theirs = in_b[index], in_a[index]
        prompt = tuple(requests[index].tokens)
        length = min(len(mine.algos), len(theirs.algos))
        inside = [_acts(run_b.fault.kind, incident, mine.starts_ns[p], mine.algos[p]) for p in range(length)]
        plan_a, plan_b = theirs.algos[:length], mine.algos[:length]
        jobs += [
            Job(prompt, tuple(plan_a)),
            Job(prompt, tuple(plan_b)),
            Job(prompt, tuple(x if i else y for x, y, i in zip(plan_a, plan_b, inside, strict=True))),
            Job(prompt, tuple(y if i else x for x, y, i in zip(plan_a, plan_b, inside, strict=True))),
        ]
    answers = Replayer(run_b.model, run_b.tp).run(jobs)
    swaps = {}
    for number, index in enumerate(wanted):
        as_a, as_b, with_a, with_b = answers[4 * number : 4 * number + 4]
        for name, course, answer in (("a", in_a[index], as_a), ("b", in_b[index], as_b)):
            if list(answer.tokens) != course.tokens[: len(answer.tokens)]:
                raise RuntimeError(f"request {index}: the replay of replica {name} is not exact")
        swaps[index] = (with_a, with_b)
    return swaps


def _needless_cuts(b: Recording, incident: Incident) -> list[tuple[int, bool]]:
    """Each cut since the fault began: its iteration, and whether it would have come without the waiting."""
    target = b.raw["target_ms"]
    table = b.iterations
    heights = np.array([bucket(len(i["members"])) for i in table])
    times = np.array(
        [np.mean(i["gpu_ms"]) - _waited_for(i["arrivals"], b.run.fault.rank, incident, i["ns"]) for i in table]
    )
    usual = bucket(b.run.users)
    level = np.median(times[heights == usual])
    for height in set(heights.tolist()) - {usual}:  # a smaller batch is quicker: count it as if it were whole
        times[heights == height] *= level / np.median(times[heights == height])
    guard = LatencyGuard(replace(b.run.scheduler, cut_to=b.run.scheduler.limit), target)  # only its average counts
    cuts = []
    above = []
    for ms in times.tolist():
        guard.observe(ms)
        above.append(guard.average > guard.rules.cut_above)
    for number in range(1, len(table)):
        if table[number]["limit"] < table[number - 1]["limit"] and table[number]["ns"] >= incident.on_ns:
            recent = above[max(0, number - 2) : number + 1]  # a decision comes up to two iterations after its times
            cuts.append((table[number]["n"], any(recent)))
    return cuts


def _waited_for(arrivals: list[list[int]], rank: int | None, incident: Incident, ns: int) -> float:
    """ms of one iteration that all others stood waiting for this rank alone, while the fault was on."""
    if rank is None or not incident.on_ns <= ns < incident.off_ns + int(1e9):  # a second: the last work that it began
        return 0.0
    table = np.array(arrivals)
    others = np.delete(table, rank, axis=1).max(axis=1)
    return float(np.maximum(0, table[:, rank] - others).sum() / 1e6)


def _not_cut(cuts: list[tuple[int, bool]], iteration: int, *, must: bool) -> bool:
    """Whether each cut by then came only because of the fault; ``must``: there has to be one."""
    before = [anyway for n, anyway in cuts if n <= iteration]
    return not any(before) and (bool(before) or not must)
