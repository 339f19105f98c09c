"""Record an incident: the same requests served calmly and with the fault; then work out what is true of it."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sample_traces.lab import nsys
from sample_traces.lab.config import Fault, Run
from sample_traces.lab.launch import RankFailed, Recording, gather, record
from sample_traces.lab.numerics import bucket
from sample_traces.lab.redact import leaks
from sample_traces.lab.truth import Flip, Incident, flips, span

TRIES = 4  # a machine that is noisy four times in a row is not one to record on now
CALM_USERS = 22  # both numbers of users lie well within the shape class of 17 to 32
LOADED_USERS = 26
ON, OFF = 0.5, 0.8  # of the run: a calm baseline first, the backlog afterwards


class NotCalm(RuntimeError):
    """The host was too noisy for a calm run."""


@dataclass(frozen=True)
class Order:
    """What to record."""

    fault: str
    rank: int | None
    seed: int
    intensity: float
    tp: int
    seconds: float
    profile: bool


@dataclass(frozen=True)
class Outcome:
    """What was recorded, and what is true of it."""

    order: Order
    a: Recording
    b: Recording
    flips: list[Flip]
    facts: dict[str, object]
    tries: dict[str, int]
    incident: Incident


def calm(recording: Recording) -> bool:
    """Whether the batch stayed in its shape class, with no cut."""
    height = bucket(recording.run.users)
    return recording.cuts == 0 and all(bucket(len(i["members"])) == height for i in recording.iterations)


def calm_before(recording: Recording) -> bool:
    """Whether it was calm until the fault was switched on."""
    on = recording.raw["start_ns"] + int(recording.run.fault.on_s * 1e9)
    before = [i for i in recording.iterations if i["ns"] < on]
    return calm(replace(recording, raw={**recording.raw, "iterations": before}))


def _until(good: Callable[[Recording], bool], run: Run, directory: Path, *, profile: bool) -> tuple[Recording, int]:
    for attempt in range(1, TRIES + 1):
        try:
            recording = record(run, directory, profile=profile)
        except RankFailed:
            if not profile or attempt == TRIES:  # two profilers that start at once now and then trip over each other
                raise
            continue
        if good(recording):
            return recording, attempt
    raise NotCalm(f"replica {run.replica}: not calm in {TRIES} tries; wait until the machine is idle")


def make(order: Order, target: Path) -> Outcome:
    """Record into ``target/bundle`` and ``target/truth.toml``."""
    if (target / "bundle").exists():
        raise FileExistsError(f"{target / 'bundle'} exists")
    profile = order.profile and nsys.installed()
    fault = Fault(order.fault, order.rank, ON * order.seconds, OFF * order.seconds, order.intensity)
    base = Run("a", tp=order.tp, seconds=order.seconds, users=CALM_USERS, seed=order.seed)
    loaded = replace(base, replica="b", users=LOADED_USERS)
    with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
        work = Path(scratch)
        a, tries_a = _until(calm, base, work / "a", profile=profile)
        tries = {"a": tries_a}
        without = None
        if order.fault == "none":
            b, tries["b"] = _until(lambda _: True, loaded, work / "b", profile=profile)
        else:
            b, tries["b"] = _until(calm_before, replace(loaded, fault=fault), work / "b", profile=profile)
            without, tries["without_fault"] = _until(calm, loaded, work / "c", profile=False)
        found, facts = flips(a, b, without)
        bundle = target / "bundle"
        bundle.mkdir(parents=True)
        try:
            for recording in (a, b):
                gather(recording, bundle, profile=profile)
            _check_secrets(bundle)
        except BaseException:
            shutil.rmtree(bundle)
            raise
        outcome = Outcome(order, a, b, found, facts, tries, span(b))
        (bundle / "bundle.toml").write_text(_bundle_toml(outcome), encoding="utf-8")
        (target / "truth.toml").write_text(truth_toml(outcome), encoding="utf-8")
    return outcome


def _check_secrets(bundle: Path) -> None:
    for export in bundle.glob("*/nsys/*.sqlite"):
        if names := leaks(export):
            raise RuntimeError(f"{export.name} still holds the values of {', '.join(names)}")


def _utc(ns: int) -> str:
    return datetime.datetime.fromtimestamp(ns / 1e9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _end_ns(recording: Recording) -> int:
    last = recording.iterations[-1]
    return int(last["ns"] + max(last["gpu_ms"]) * 1e6)


def _bundle_toml(outcome: Outcome) -> str:
    model = outcome.a.run.model
    return f"""[incident]
title = "Replica b and replica a answered the same requests"
start = {_utc(min(outcome.a.raw["start_ns"], outcome.b.raw["start_ns"]))}
end   = {_utc(max(_end_ns(outcome.a), _end_ns(outcome.b)))}

[deployment]
model = "lab decoder, random weights"
layers = {model.layers}
hidden_size = {model.hidden}
heads = {model.heads}
kv_heads = {model.heads}
head_dim = {model.head_dim}
kv_bytes = 4  # bfloat16 values, kept in 32 bits
tp = {outcome.order.tp}
dp = 1
pp = 1
"""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def truth_toml(outcome: Outcome) -> str:
    """All that is true of the incident; absent keys don't apply."""
    order, b = outcome.order, outcome.b
    faulty = order.fault != "none"
    table: dict[str, object] = {
        "schema": "lab.truth/1",
        "fault": order.fault,
        "replica": "b" if faulty else None,
        "rank": order.rank,
        "intensity": order.intensity if faulty else None,
        "seed": order.seed,
        "tp": order.tp,
        "on_ns": outcome.incident.on_ns if faulty else None,
        "off_ns": outcome.incident.off_ns if faulty else None,
        "end_ns": outcome.incident.end_ns if faulty else None,
        "tries_a": outcome.tries["a"],
        "tries_b": outcome.tries["b"],
        "tries_without_fault": outcome.tries.get("without_fault"),
        "target_ms_a": round(outcome.a.raw["target_ms"], 3),
        "target_ms_b": round(b.raw["target_ms"], 3),
        "cuts_b": b.cuts,
        "host_noise_cut": b.cuts > 0 if not faulty else None,
        **outcome.facts,
        "flips": len(outcome.flips),
        "proven": sum(flip.proven for flip in outcome.flips),
    }
    lines = [f"{key} = {_toml(value)}" for key, value in table.items() if value is not None]
    for flip in outcome.flips:
        lines += ["", "[[flip]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in vars(flip).items() if value is not None]
    return "\n".join(lines) + "\n"
