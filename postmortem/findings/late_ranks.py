"""Ranks that the others wait for, over a whole recording, and what iterations would be without them.
One row a rank that surely costs more of its replica's stretched iterations than all other ranks together, from the
iteration in which ranks began to lie farther apart until they came together again. Its calm skew is taken off: a rank
that is always a little slower is not late. p_value: last more often than exchangeable ranks would be (blocks of
iterations relabelled), corrected for the number of ranks and of candidates (Holm). It can't tell what slowed the rank,
nor a second such spell of a replica: the clearest is told. A spell shorter than a hundredth of a long recording is no
clearer than chance may make it where neighbours go together: the chain of a request finds that, before a flip.

column: replica VARCHAR - — replica; NULL: nothing tells
column: rank INTEGER - — the rank
column: first_iteration BIGINT - — since when ranks lay farther apart
column: iterations BIGINT iterations — in which they did, from there on
column: last BIGINT iterations — in which it arrived last, none as late
column: p_value DOUBLE - — of being last so often
column: excess_ms DOUBLE ms — its compute beyond its peers' median in the middle iteration, calm skew taken off
column: saved_ms DOUBLE ms — an iteration's mean length less, if its excess went
column: share DOUBLE - — of the time that iterations last beyond their peers' pace, how much goes with its excess
column: share_low DOUBLE - — lower end of its 95 % interval
column: share_high DOUBLE - — upper end
needs: s_records(replica, rank, iteration, gpu_ms, comm_ms) or NVTX iteration ranges (nsys profile -t cuda,nvtx)
uses: rank_iterations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.analyses.rank_times import rank_times, replicas
from postmortem.analyses.stats.correction import holm
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stragglers import apart, stragglers
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row


def find(catalogue: Catalogue) -> list[Row]:
    """Candidates of every replica, then the correction over all of them."""
    found = [row for replica in replicas(catalogue) for row in _late(catalogue, replica)]
    corrected = holm([row["p_value"] for row in found])
    return [{**row, "p_value": p} for row, p in zip(found, corrected, strict=True) if p <= ALPHA]


def _late(catalogue: Catalogue, replica: str | None) -> Iterator[Row]:
    times = rank_times(catalogue, replica)
    if times is None or len(times.ranks) < 2:
        return
    found = apart(times.compute_ms)
    if found is None:
        return
    calm, now = found
    for one in stragglers(times.compute_ms[now], times.compute_ms[calm]):
        if one.slows_all:
            yield {
                "replica": replica,
                "rank": times.ranks[one.column],
                "first_iteration": int(times.iterations[now[0]]),
                "iterations": one.iterations,
                "last": one.last,
                "p_value": one.p_value,
                "excess_ms": one.excess_ms,
                "saved_ms": one.saved_ms,
                "share": one.share,
                "share_low": one.low,
                "share_high": one.high,
            }


FINDING = Finding(__name__, find)
