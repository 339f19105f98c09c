"""What a collective costs by its size, once all ranks have arrived: alpha + bytes / beta, by the fabric's regime.
One row a replica, communicator, kind of collective, number of ranks and regime of the fabric (see fabric_spells) in
which at least two sizes were sent five times each. Intervals are of a moving-block bootstrap. Against the normal line,
alpha tells a slower start (more hops, retries), beta a narrower path. It can't tell sizes of NCCL's kernels, nor the
regime of what was sent outside the recorded iterations, or so close to their ends that clocks leave it undecided.

column: replica VARCHAR - — replica; NULL: nothing tells
column: comm VARCHAR - — communicator, empty where unnamed
column: op VARCHAR - — kind of collective: AllReduce, ...
column: ranks BIGINT ranks — that took part
column: regime VARCHAR - — of the fabric: normal, congested, degraded or undecided; NULL: not known
column: alpha_us DOUBLE µs — time of a message of no bytes
column: alpha_low_us DOUBLE µs — lower end of its 95 % interval
column: alpha_high_us DOUBLE µs — upper end
column: beta_gbps DOUBLE GB/s — bytes over the time that they add; infinite where time does not grow with size
column: beta_low_gbps DOUBLE GB/s — lower end of its 95 % interval
column: beta_high_gbps DOUBLE GB/s — upper end
column: sizes BIGINT - — different sizes that the line rests on
column: messages BIGINT collectives — that it rests on
needs: collective_calls(seq, rank, bytes, start_ns, end_ns)
uses: collectives, rank_iterations, fabric_spells
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.fabric import alpha_beta, spells_of
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row


def find(catalogue: Catalogue) -> list[Row]:
    """Every group's line, where its sizes allow one."""
    sent = catalogue.view("collective_laps").filter(pl.col("bytes").is_not_null())
    return [
        row
        for (replica,), part in sent.sort("replica", "arrival_ns").group_by("replica", maintain_order=True)
        for row in _lines(catalogue, None if replica is None else str(replica), part)
    ]


def _lines(catalogue: Catalogue, replica: str | None, sent: pl.DataFrame) -> Iterator[Row]:
    told = sent.with_columns(regime=_regimes(catalogue, replica, sent["iteration"]))
    key = ["comm", "op", "ranks", "regime"]
    for values, part in told.sort(*key, "arrival_ns", nulls_last=True).group_by(key, maintain_order=True):
        line = alpha_beta(part["bytes"].to_numpy(), part["transfer_ns"].to_numpy())
        if line is not None:
            yield {
                "replica": replica, **dict(zip(key, values, strict=True)),
                "alpha_us": line.alpha_us[0], "alpha_low_us": line.alpha_us[1], "alpha_high_us": line.alpha_us[2],
                "beta_gbps": line.beta_gbps[0], "beta_low_gbps": line.beta_gbps[1], "beta_high_gbps": line.beta_gbps[2],
                "sizes": line.sizes, "messages": line.messages,
            }  # fmt: skip


def _regimes(catalogue: Catalogue, replica: str | None, iterations: pl.Series) -> pl.Series:
    """The fabric's regime in each of the iterations; NULL of none, and before the first that all ranks recorded."""
    found = spells_of(catalogue, replica)
    if found is None:
        return pl.Series([None] * len(iterations), dtype=pl.String)
    times, _, spells = found
    begun = np.array([times.iterations[s.first] for s in spells])
    at = np.searchsorted(begun, iterations.fill_null(begun[0] - 1).to_numpy(), side="right") - 1
    return pl.Series([spells[i].regime if i >= 0 else None for i in at], dtype=pl.String)


FINDING = Finding(__name__, find)
