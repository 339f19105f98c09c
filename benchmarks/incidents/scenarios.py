"""Which worlds are simulated: faults, intensities, traps and controls; from a seed, with the truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.incidents.world import Fault, Load, World

# How much longer a calm iteration gets, as a share. The SLO lies at 7 %: subtle is what only just crosses it.
SIZES = {"blatant": 0.6, "medium": 0.25, "subtle": 0.09}
ON_A_RANK = ("quant_stall", "kv_eviction", "memory_evaporation")
ON_A_GPU = ("slow_gpu", "kv_residency_loss")
STRETCH = ["collective_inflation", "batch_change", "algo_churn", "token_flip"]


@dataclass(frozen=True)
class Scenario:
    """``world`` is the disturbed replica b; replica a is the same without faults and noise.

    ``fault`` is the one to name (None: none is shown by the records, whatever happened); ``path`` the kinds of the
    chain's links. ``control``: no root cause may be claimed. ``hidden``: fields taken out of the records.
    ``traces``: Nsight Systems exports of every rank stand beside the records; ``missing``: a rank of which there is
    neither a record nor an export.
    """

    name: str
    family: str
    intensity: str
    world: World
    fault: Fault | None
    path: list[str]
    control: bool = False
    expect_root: bool = True
    verdict: str = "explained"
    hidden: tuple[str, ...] = ()
    lost: float = 0.0
    doubled: float = 0.0
    greedy: bool = True
    also: tuple[str, ...] = field(default=())
    traces: bool = False
    missing: int | None = None


def _ranked(kind: str, tp: int) -> list[str]:
    """The path of a stall on a rank; at tp 1 there is no collective to wait in."""
    first = ["memory_evaporation", "kv_eviction"] if kind == "memory_evaporation" else [kind]
    return first + (["step_stretch", *STRETCH[1:]] if tp == 1 else ["straggler_rank", *STRETCH])


def _base(seed: int, tps: tuple[int, ...] = (1, 2, 4, 8)) -> tuple[World, np.random.Generator]:
    rng = np.random.default_rng([seed, 99])
    tp = int(rng.choice(tps))
    skew = tuple(float(x) for x in rng.uniform(0, 0.01, tp))
    # at 2 % the slowest of eight ranks already takes half of what the SLO allows
    load = Load(per_iteration=float(rng.choice([0.5, 0.6, 0.7, 0.8])))  # from often not full to always full
    return World(seed=seed, replica="b", tp=tp, skew=skew, jitter=float(rng.uniform(0.004, 0.02)), load=load), rng


def _window(rng: np.random.Generator) -> tuple[int, int]:
    first = int(rng.integers(60, 90))
    return first, first + int(rng.integers(25, 60))


def on_rank(kind: str, intensity: str, seed: int) -> Scenario:
    """A stall on one rank."""
    world, rng = _base(seed)
    fault = Fault(kind, *_window(rng), SIZES[intensity], rank=int(rng.integers(world.tp)))
    return Scenario(kind, kind, intensity, replace(world, faults=(fault,)), fault, _ranked(kind, world.tp))


def on_gpu(kind: str, intensity: str, seed: int) -> Scenario:
    """What only a rank's traces show: a slow GPU, or data that left the L2 cache."""
    found = on_rank(kind, intensity, seed)
    return replace(found, traces=True)


def traces_alone(seed: int) -> Scenario:
    """No rank made records of its own: what its rank did stands in its export alone."""
    found = on_rank("quant_stall", "medium", seed)
    return replace(found, name="traces_alone", family="trap", traces=True, hidden=("rank",))


def precision(kind: str, intensity: str, seed: int) -> Scenario:
    """A rank that falls back to fp8 while its memory or its dequantisation is in trouble."""
    world, rng = _base(seed)
    fault = Fault(kind, *_window(rng), SIZES[intensity], rank=int(rng.integers(world.tp)), leads="precision")
    head = ["memory_evaporation", "kv_eviction"] if kind == "memory_evaporation" else [kind]
    path = [*head, "precision_change", "token_flip"]
    return Scenario(f"{kind}_precision", "precision_change", intensity, replace(world, faults=(fault,)), fault, path)


def fabric(intensity: str, seed: int) -> Scenario:
    """Slow transfers on all ranks."""
    world, rng = _base(seed, (2, 4, 8))
    fault = Fault("fabric_congestion", *_window(rng), SIZES[intensity])
    path = ["fabric_congestion", *STRETCH]
    return Scenario("fabric_congestion", "fabric_congestion", intensity, replace(world, faults=(fault,)), fault, path)


def workspace(intensity: str, seed: int) -> Scenario:
    """The planned tactic lacks workspace on one rank: another runs, at the same batch."""
    world, rng = _base(seed)
    fault = Fault("workspace_fallback", *_window(rng), SIZES[intensity], rank=int(rng.integers(world.tp)))
    path = ["workspace_fallback", "algo_churn", "token_flip"]
    return Scenario("workspace_fallback", "workspace_fallback", intensity, replace(world, faults=(fault,)), fault, path)


def surge(intensity: str, seed: int) -> Scenario:
    """More arrivals than are served: the batch grows past the border of its tactic, the queue with it."""
    world, rng = _base(seed)
    first, stop = _window(rng)
    rate = {"blatant": 4.0, "medium": 1.2, "subtle": 0.7}[intensity]
    calm = Load(per_iteration=0.2)
    load = replace(calm, surge=(first, stop, rate))
    fault = Fault("load_surge", first, stop, rate)
    path = ["load_surge", "batch_change", "algo_churn", "token_flip"]
    return Scenario("load_surge", "load_surge", intensity, replace(world, load=load, faults=(fault,)), fault, path)


def surge_cut(intensity: str, seed: int) -> Scenario:
    """More arrivals fill the batch, the fuller batch breaks the SLO, and the scheduler cuts it below what it was."""
    found = surge(intensity, seed)
    rate = {"blatant": 4.0, "medium": 2.0, "subtle": 1.0}[intensity]
    return replace(found, name="load_surge_cut", world=_roomy(replace(found.world, load=replace(
        found.world.load, per_iteration=ROOMY_LOAD, surge=(*_surging(found), rate)))))  # fmt: skip


ROOMY_LOAD = 0.45  # arrivals an iteration: 19 sequences of 42 steps run together


def _roomy(world: World) -> World:
    """A world where more may run than do, and the SLO is a fixed time."""
    return replace(world, limit=48, slo_at=20)


def _surging(found: Scenario) -> tuple[int, int]:
    assert found.world.load.surge
    return found.world.load.surge[:2]


def backlog(seed: int) -> Scenario:
    """A rank stalls where the batch is not full: the backlog that it leaves fills it beyond its usual size."""
    found = on_rank("quant_stall", "medium", seed)
    world = _roomy(replace(found.world, load=Load(per_iteration=ROOMY_LOAD)))
    return replace(found, name="backlog", family="trap", world=world)


def isolation(intensity: str, seed: int) -> Scenario:
    """Strict isolation: one tenant an iteration."""
    world, rng = _base(seed)
    fault = Fault("isolation_change", *_window(rng), SIZES[intensity])
    path = ["isolation_change", "batch_change", "algo_churn", "token_flip"]
    return Scenario("isolation_change", "isolation_change", intensity, replace(world, faults=(fault,)), fault, path)


def drift(kind: str, seed: int) -> Scenario:
    """Every other request saw another text, or was decoded with other settings."""
    world, _ = _base(seed)
    world = replace(world, load=Load(per_iteration=0.3))
    fault = Fault(kind, 0, 400, 0.0)
    return Scenario(kind, kind, "medium", replace(world, faults=(fault,)), fault, [kind, "token_flip"],
                    verdict="different_input")  # fmt: skip


def nothing(seed: int) -> Scenario:
    """No fault at all."""
    world, _ = _base(seed)
    return Scenario("none", "control", "none", world, None, [], control=True)


def host_noise(seed: int) -> Scenario:
    """The host holds all ranks up now and then: iterations stretch, the batch is cut, and no record shows why."""
    world, rng = _base(seed, (2, 4, 8))
    first, stop = _window(rng)
    return Scenario("host_noise", "control", "none", replace(world, noise=((first, stop),)), None,
                    ["step_stretch", *STRETCH[1:]], control=True)  # fmt: skip


def unrecorded(seed: int) -> Scenario:
    """A rank is late and nothing in the records says why: the chain begins at the straggler."""
    world, rng = _base(seed, (2, 4, 8))
    fault = Fault("unrecorded", *_window(rng), SIZES["medium"], rank=int(rng.integers(world.tp)))
    return Scenario("unrecorded", "evidence_out", "medium", replace(world, faults=(fault,)), fault,
                    ["straggler_rank", *STRETCH], expect_root=False, control=True)  # fmt: skip


def evidence_out(seed: int) -> Scenario:
    """A stall whose field was not recorded."""
    found = on_rank("quant_stall", "medium", seed)
    return replace(found, name="evidence_out", family="evidence_out", hidden=("dequant_cycles",), expect_root=False,
                   control=True, path=found.path[1:])  # fmt: skip


def constant_skew(seed: int) -> Scenario:
    """One rank is always 3 % slower; another stalls."""
    found = on_rank("quant_stall", "medium", seed)
    tp, rank = found.world.tp, found.fault.rank if found.fault else 0
    skew = tuple(0.03 if r == ((rank or 0) + 1) % tp and tp > 1 else 0.0 for r in range(tp))
    return replace(found, name="constant_skew", family="trap", world=replace(found.world, skew=skew))


def skewed_clocks(seed: int) -> Scenario:
    """Ranks' clocks are off by up to 20 ms, which looks like lateness."""
    found = on_rank("kv_eviction", "medium", seed)
    off = np.random.default_rng([seed, 5]).integers(-20_000_000, 20_000_000, found.world.tp)
    return replace(
        found, name="skewed_clocks", family="trap", world=replace(found.world, clock_ns=tuple(map(int, off)))
    )


def harmless_pins(seed: int) -> Scenario:
    """Pins held on another rank, which took nothing that mattered."""
    found = on_rank("quant_stall", "medium", seed)
    assert found.fault
    pins = Fault(
        "pins", found.fault.first - 5, found.fault.stop, 0.0, rank=((found.fault.rank or 0) + 1) % found.world.tp
    )
    return replace(found, name="harmless_pins", family="trap", world=replace(found.world, faults=(found.fault, pins)))


def bystander(seed: int) -> Scenario:
    """A rank was late long before, and calm again; then isolation changes the batch."""
    found = isolation("medium", seed)
    assert found.fault
    late = replace(found.fault, first=found.fault.first + 100, stop=found.fault.stop + 100)
    other = Fault("quant_stall", 40, 52, SIZES["medium"], rank=0)
    return replace(found, name="bystander", family="trap", fault=late, world=replace(found.world, faults=(late, other)))


def early_surge(seed: int) -> Scenario:
    """Load surged and went long before a rank stalled."""
    found = on_rank("quant_stall", "medium", seed)
    assert found.fault
    later = replace(found.fault, first=found.fault.first + 120, stop=found.fault.stop + 120)
    load = replace(found.world.load, surge=(10, 20, 2.0))
    world = replace(found.world, faults=(later,), load=load)
    return replace(found, name="early_surge", family="trap", fault=later, world=world)


def two_faults(seed: int) -> Scenario:
    """Two ranks stall at once, one a little more than the other."""
    found = on_rank("quant_stall", "medium", seed)
    world, _ = _base(seed, (4, 8))
    assert found.fault
    first = replace(found.fault, rank=1, size=0.3)
    second = Fault("kv_eviction", first.first, first.stop, 0.25, rank=2)
    return replace(found, name="two_faults", family="trap", fault=first, also=("kv_eviction",),
                   world=replace(world, faults=(first, second)), path=_ranked("quant_stall", 4))  # fmt: skip


def sampled(seed: int) -> Scenario:
    """Sampled answers differ by right: no reference."""
    found = on_rank("quant_stall", "medium", seed)
    return replace(found, name="sampled", family="control", greedy=False, control=True, expect_root=False,
                   verdict="no_reference", path=[])  # fmt: skip


def lossy(seed: int) -> Scenario:
    """One record in a hundred lost, one doubled."""
    found = on_rank("quant_stall", "medium", seed)
    return replace(found, name="lossy", family="trap", lost=0.01, doubled=0.01)


def missing_rank(seed: int, traces: bool) -> Scenario:
    """Nothing was kept of the rank that stalled: the others waited, and who for no record shows."""
    name = "missing_export" if traces else "missing_rank"
    world, rng = _base(seed, (2, 4, 8))
    fault = Fault("quant_stall", *_window(rng), SIZES["medium"], rank=int(rng.integers(world.tp)))
    hidden = ("rank",) if traces else ()
    return Scenario(name, "evidence_out", "medium", replace(world, faults=(fault,)), fault, STRETCH, control=True,
                    expect_root=False, traces=traces, hidden=hidden, missing=fault.rank)  # fmt: skip


Maker = Callable[[int], Scenario]


def all_scenarios() -> list[Maker]:
    """Every scenario, in a fixed order: seed n of a range gets scenario n modulo their number."""
    made: list[Maker] = []
    for intensity in SIZES:
        made += [lambda seed, k=kind, i=intensity: on_rank(k, i, seed) for kind in ON_A_RANK]  # type: ignore[misc]
        made += [lambda seed, k=kind, i=intensity: on_gpu(k, i, seed) for kind in ON_A_GPU]  # type: ignore[misc]
        made.append(lambda seed, i=intensity: fabric(i, seed))  # type: ignore[misc]
        made.append(lambda seed, i=intensity: surge(i, seed))  # type: ignore[misc]
        made.append(lambda seed, i=intensity: isolation(i, seed))  # type: ignore[misc]
        made.append(lambda seed, i=intensity: workspace(i, seed))  # type: ignore[misc]
    stalls, drifts = ("quant_stall", "memory_evaporation"), ("effective_request_drift", "decode_config_drift")
    made += [lambda seed, k=kind: precision(k, "medium", seed) for kind in stalls]  # type: ignore[misc]
    made += [lambda seed, k=kind: drift(k, seed) for kind in drifts]  # type: ignore[misc]
    made += [nothing, host_noise, nothing, host_noise, unrecorded, evidence_out, sampled, constant_skew, skewed_clocks]
    made += [harmless_pins, bystander, early_surge, two_faults, lossy, traces_alone]
    made += [lambda seed, t=traces: missing_rank(seed, t) for traces in (False, True)]  # type: ignore[misc]
    made += [lambda seed, i=intensity: surge_cut(i, seed) for intensity in SIZES]  # type: ignore[misc]
    return [*made, backlog]
