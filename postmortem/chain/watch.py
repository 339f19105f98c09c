"""What the ranks and the fabric did, whether or not any answer flipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.fabric import fabric_regimes
from postmortem.analyses.stats.changepoint import change_point
from postmortem.analyses.stats.correction import holm
from postmortem.analyses.stragglers import LEVEL, beyond_peers, stragglers
from postmortem.analyses.stretch import at_one_size, stretch
from postmortem.chain.case import RankTimes, rank_times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue


@dataclass(frozen=True)
class LateRank:
    """A rank that the others waited for from iteration ``first`` on, its calm skew taken off.

    It was last in ``last`` of ``iterations``, ``p_value`` by exchangeable ranks (corrected for ranks and
    replicas). Without its excess ``share`` of the waiting goes, with its 95 % interval: ``saved_ms`` an iteration.
    """

    replica: str
    rank: int
    first: int
    stop: int
    iterations: int
    last: int
    p_value: float
    excess_ms: float
    saved_ms: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class FabricSpell:
    """Iterations in which transfers between ranks that had all arrived took longer than the replica's normal time.

    congested: it went back to normal; degraded: it stayed so up to the end. ``ratio`` with its 95 % interval.
    """

    replica: str
    regime: str
    first: int
    stop: int
    ratio: float
    low: float
    high: float
    p_value: float


def replicas(catalogue: Catalogue) -> list[str]:
    """The replicas whose iterations the bundle holds."""
    found = catalogue.kept("iterations")["replica"].drop_nulls().unique().to_list()
    return sorted(str(r) for r in found)


def late_ranks(catalogue: Catalogue) -> tuple[LateRank, ...]:
    """Ranks that surely cost more of the stretched iterations than all others together, by replica."""
    found = [one for replica in replicas(catalogue) for one in _late(catalogue, replica)]
    corrected = holm([one.p_value for one in found])
    return tuple(
        LateRank(**{**one.__dict__, "p_value": p}) for one, p in zip(found, corrected, strict=True) if p <= LEVEL
    )


def _late(catalogue: Catalogue, replica: str) -> Iterator[LateRank]:
    times = rank_times(catalogue, replica)
    if times is None or len(times.ranks) < 2:
        return
    # Not the iterations' length: a scheduler that answers with a smaller batch shortens them again.
    long = stretch(beyond_peers(times.compute_ms))
    if long is None or long.change.p_value > LEVEL:
        return
    now, calm = times.compute_ms[long.now], times.compute_ms[long.calm]
    numbers = times.iterations[long.now]
    for one in stragglers(now, calm):
        if one.slows_all:
            yield LateRank(
                replica, times.ranks[one.column], int(numbers[0]), int(numbers[-1]) + 1, one.iterations, one.last,
                one.p_value, one.excess_ms, one.saved_ms, one.share, one.low, one.high,
            )  # fmt: skip


def fabric_spells(catalogue: Catalogue) -> tuple[FabricSpell, ...]:
    """Spells in which a replica's fabric was not normal, the earliest first."""
    return tuple(spell for replica in replicas(catalogue) for spell in _spells(catalogue, replica))


def _spells(catalogue: Catalogue, replica: str) -> Iterator[FabricSpell]:
    times = rank_times(catalogue, replica)
    if times is None or len(times.ranks) < 2:
        return
    transfer = _at_one_size(catalogue, replica, times)
    for spell in fabric_regimes(transfer):
        if spell.regime != "normal":
            numbers = times.iterations[spell.first : spell.stop]
            yield FabricSpell(replica, spell.regime, int(numbers[0]), int(numbers[-1]) + 1, *spell.ratio, spell.p_value)


def _at_one_size(catalogue: Catalogue, replica: str, times: RankTimes) -> NDArray[np.float64]:
    """Transfer time an iteration, of the rank that saw least of it: a larger batch sends more bytes."""
    transfer: NDArray[np.float64] = times.transfer_ms.min(axis=1)
    sizes = pl.DataFrame({"iteration": times.iterations}).join(
        catalogue.kept("iterations", replica=replica).select("iteration", "batch_size"), on="iteration", how="left",
        maintain_order="left",
    )["batch_size"].cast(pl.Float64).fill_null(float("nan")).to_numpy()  # fmt: skip
    change = change_point(transfer)
    return at_one_size(transfer, sizes, change.index if change else transfer.size)
