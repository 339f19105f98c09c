"""The fabric's regimes: iterations in which transfers between ranks that had all arrived took their normal time or not.
One row a replica and stretch of iterations with one level, cut where transfer time changed it beyond chance. Normal is
the level of the longest stretch. A stretch is slow where the 95 % interval of its ratio lies above 1 and its median is
one that fewer than 1 in 40 normal iterations reach: congested if transfers were normal again after it, degraded if they
stayed slow to the end. A larger batch sends more: what a sequence takes is learnt from the iterations before transfers
changed their level, and taken off. A slow stretch is undecided where its batch was larger than when normal and it took
longer by no more than that, and where ranks are absent (see replica_ranks): it may be the wait for one of them. Where
neighbours go together, a steady fabric is cut too often: at a correlation of 0.5 in one of ten recordings, at 0.8 in
three; that a stretch must lie above what is normal keeps most of those from being called slow. It can't tell a slow
switch from a slow card, nor from a larger batch where no batch size is recorded, nor find a spell shorter than a
hundredth of a long recording.

column: replica VARCHAR - — replica; NULL: nothing tells
column: regime VARCHAR - — normal, congested, degraded or undecided
column: first_iteration BIGINT - — its first iteration
column: last_iteration BIGINT - — its last
column: transfer_ms DOUBLE ms — median an iteration, after the last arrival
column: ratio DOUBLE ratio — of that to the normal stretch; NULL, as the next two, where that took no time
column: ratio_low DOUBLE ratio — lower end of its 95 % interval
column: ratio_high DOUBLE ratio — upper end
column: p_value DOUBLE - — of the change that set it apart; NULL where there is one stretch alone
needs: s_records(replica, rank, iteration, gpu_ms, comm_ms) or NVTX iteration ranges (nsys profile -t cuda,nvtx)
uses: rank_iterations
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.fabric import spells_of
from postmortem.analyses.rank_times import replicas
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row


def find(catalogue: Catalogue) -> list[Row]:
    """Every replica's stretches, in order."""
    return [row for replica in replicas(catalogue) for row in _spells(catalogue, replica)]


def _spells(catalogue: Catalogue, replica: str | None) -> Iterator[Row]:
    found = spells_of(catalogue, replica)
    if found is None:
        return
    times, transfer, spells = found
    for spell in spells:
        numbers = times.iterations[spell.first : spell.stop]
        ratio = spell.ratio if math.isfinite(spell.ratio[0]) else (None, None, None)
        yield {
            "replica": replica,
            "regime": spell.regime,
            "first_iteration": int(numbers[0]),
            "last_iteration": int(numbers[-1]),
            "transfer_ms": float(np.median(transfer[spell.first : spell.stop])),
            **dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True)),
            "p_value": None if math.isnan(spell.p_value) else spell.p_value,
        }


FINDING = Finding(__name__, find)
