"""What a run is made of; written as JSON so that every rank reads the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Model:
    """A decoder with random weights; the defaults take some 10 ms a step on two cores."""

    layers: int = 3
    hidden: int = 512
    heads: int = 8
    inner: int = 2048
    vocab: int = 1024
    context: int = 80  # tokens; a multiple of the block
    block: int = 16  # tokens a KV block
    pool_blocks: int = 168  # a rank; 26 sequences of at most 5 blocks need 130 at the very most
    workspace_mb: float = 2.0  # a rank; the largest product needs 1.5 MiB for its slices
    seed: int = 1

    @property
    def head_dim(self) -> int:
        """Elements a head."""
        return self.hidden // self.heads


@dataclass(frozen=True)
class Scheduler:
    """The latency-aware scheduler. Figures found on a noisy two-core machine."""

    limit: int = 48  # sequences
    cut_to: int = 12  # sequences; the next smaller shape class
    step: int = 5  # sequences re-admitted at a time
    good: int = 12  # iterations within the target before each re-admission
    weight: float = 0.12  # of the newest iteration in the moving average
    clip: float = 2.0  # a single iteration counts at most twice the target: one hiccup is no trend
    cut_above: float = 1.4  # times the target; 1.2 cuts on the host's own noise
    good_below: float = 1.25  # times the target


@dataclass(frozen=True)
class Fault:
    """What is switched on, where, when (seconds after the run's start) and how strongly."""

    kind: str = "none"
    rank: int | None = None
    on_s: float = 0.0
    off_s: float = 0.0
    intensity: float = 0.55  # of a calm iteration, where the fault takes time


@dataclass(frozen=True)
class Run:
    """One replica's run."""

    replica: str
    tp: int = 2
    seconds: float = 6.0
    users: int = 24  # each sends its next request when its answer is complete
    surge_users: int = 20  # more of them, during load_surge
    seed: int = 7
    calm_ms: float = 0.0  # target of an iteration; 0: as measured while warming up
    warmup: int = 40  # iterations before anything is recorded
    model: Model = field(default_factory=Model)
    scheduler: Scheduler = field(default_factory=Scheduler)
    fault: Fault = field(default_factory=Fault)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Run:
        """What ``write`` wrote."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Run(
            **{
                **raw,
                "model": Model(**raw["model"]),
                "scheduler": Scheduler(**raw["scheduler"]),
                "fault": Fault(**raw["fault"]),
            }
        )
