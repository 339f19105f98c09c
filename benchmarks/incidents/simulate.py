"""Write a simulated incident: a bundle of JSON Lines and, beside it, the truth.

    python -m benchmarks.incidents.simulate --seed 1000 -o DIR
    python -m benchmarks.incidents.simulate --scenario two_faults --seed 1000 -o DIR

A request is labelled only if its answer differs from its twin's on the calm replica with the fault, and does not
without it: same seed, same arrivals, same jitter.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.incidents.scenarios import Scenario, all_scenarios
from benchmarks.incidents.traces import write_traces
from benchmarks.incidents.world import Load, Run, World, run

NAMES = (("a", "b"), ("replica-0", "replica-1"), ("blue", "green"))


@dataclass(frozen=True)
class Label:
    """One request with its truth: where it first differs from its twin on the calm replica."""

    req_id: str
    reference: str
    step: int
    token_id: int
    reference_token_id: int


def scenario_of(seed: int, name: str | None = None) -> Scenario:
    """The scenario of a seed: by its place in the list, or the first of a name."""
    makers = all_scenarios()
    if name is None:
        return makers[seed % len(makers)](seed)
    for maker in makers:
        found = maker(seed)
        if found.name == name:
            return found
    raise SystemExit(f"{name} is no scenario; there are {', '.join(sorted({m(0).name for m in makers}))}")


def simulate(scenario: Scenario, folder: Path) -> list[Label]:
    """Write ``folder``/bundle and ``folder``/truth.json; returns the labelled requests."""
    world = scenario.world
    calm = replace(world, replica="a", faults=(), noise=(), load=replace(world.load, surge=None))
    left, right = run(calm, scenario.greedy), run(world, scenario.greedy)
    mended = run(_mended(world, scenario), scenario.greedy)
    rng = np.random.default_rng([world.seed, 3])
    names = NAMES[int(rng.integers(len(NAMES)))]
    prefix = ("r-", "req/", "")[int(rng.integers(3))]
    style = int(rng.integers(3))
    ids = [{k: f"{name}:{prefix}{k}" for k in {**left.tokens, **right.tokens}} for name in names]
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    for name, own, records in zip(names, ids, (left, right), strict=True):
        lines = _lines(records, name, own, scenario, style, rng)
        (folder / "bundle" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        if scenario.traces:
            write_traces(calm if records is left else world, records, folder / "bundle" / name, scenario.missing)
    labels = []
    for key, tokens in right.tokens.items():
        if key not in left.tokens or key not in mended.tokens:
            continue
        step = _first(tokens, left.tokens[key])
        if step is None or (
            (scenario.fault or world.noise) and _first(mended.tokens[key], left.tokens[key]) is not None
        ):
            continue
        labels.append(Label(ids[1][key], ids[0][key], step, tokens[step], left.tokens[key][step]))
    fault = scenario.fault
    truth = {
        "scenario": scenario.name, "family": scenario.family, "intensity": scenario.intensity, "seed": world.seed,
        "tp": world.tp, "replica": names[1], "control": scenario.control, "verdict": scenario.verdict,
        "root_cause": fault.kind if fault and scenario.expect_root else None,
        "rank": fault.rank if fault else None, "path": scenario.path, "also": list(scenario.also),
        "labels": [vars(label) for label in labels],
        "sampled": [] if scenario.greedy else sorted(ids[1].values())[:3],
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    return labels


def _mended(world: World, scenario: Scenario) -> World:
    """The world without what is to be named, all else kept."""
    load: Load = world.load
    if scenario.fault and scenario.fault.kind == "load_surge":
        load = replace(load, surge=None)
    faults = tuple(f for f in world.faults if f != scenario.fault and f.kind not in scenario.also)
    return replace(world, faults=faults, noise=(), load=load)


def _first(a: list[int], b: list[int]) -> int | None:
    """The first step at which two answers differ."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)


def _lines(
    records: Run, name: str, ids: dict[int, str], scenario: Scenario, style: int, rng: np.random.Generator
) -> list[str]:
    """Records as text: names put in, fields taken out, some lost, some doubled."""
    tactics = {t: (t, f"gemm_{t}_v2", str(40 + k))[style] for k, t in enumerate(("wide", "mid", "narrow", "mid_spare"))}
    lines = []
    for kind, rows in (("x", records.x), ("s", records.s)):
        for row in rows:
            record: dict[str, Any] = {"record": kind, "replica": name}
            if "key" in row:
                record["req_id"] = ids[row["key"]]
            record |= {k: v for k, v in row.items() if k not in {"key", *scenario.hidden}}
            for field in ("algo_id", "expected_algo_id"):
                if field in record:
                    record[field] = tactics[record[field]]
            if kind == "x" and not scenario.greedy:
                record["decode_cfg_applied"] = {"temperature": 0.8, "seed": int(rng.integers(1 << 30))}
            if "rank" in row and ("rank" in scenario.hidden or row["rank"] == scenario.missing):
                continue
            if kind == "s" and rng.random() < scenario.lost:
                continue
            lines.append(json.dumps(record))
            if rng.random() < scenario.doubled:
                lines.append(lines[-1])
    return lines


def main() -> None:
    """Write one incident and say what is in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--scenario")
    parser.add_argument("-o", type=Path, required=True)
    args = parser.parse_args()
    scenario = scenario_of(args.seed, args.scenario)
    labels = simulate(scenario, args.o)
    print(
        f"{scenario.name} ({scenario.intensity}), tp {scenario.world.tp}: {len(labels)} labelled requests in {args.o}"
    )


if __name__ == "__main__":
    main()
