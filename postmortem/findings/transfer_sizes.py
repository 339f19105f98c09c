"""How long collectives took once all ranks had arrived, size by size: what the lines of transfer_lines run through.
One row a replica, communicator, kind of collective, number of ranks, regime of the fabric (see fabric_spells) and size,
over all that were sent; the longest with its number. It can't tell sizes of NCCL's kernels.

column: replica VARCHAR - — replica; NULL: nothing tells
column: comm VARCHAR - — communicator, empty where unnamed
column: op VARCHAR - — kind of collective: AllReduce, ...
column: ranks BIGINT ranks — that took part
column: regime VARCHAR - — of the fabric: normal, congested, degraded or undecided; NULL: not known
column: bytes BIGINT B — message size
column: messages BIGINT collectives — of that size
column: median_us DOUBLE µs — median transfer
column: low_us DOUBLE µs — a twentieth took no longer
column: high_us DOUBLE µs — a twentieth took longer
column: longest_us DOUBLE µs — the longest
column: longest_seq BIGINT - — its number; of several the first
needs: collective_calls(seq, rank, bytes, start_ns, end_ns)
uses: collectives, rank_iterations, fabric_spells
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.analyses.fabric import sent_by_regime
from postmortem.base.units import NS_PER_US
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue

KEY = ["replica", "comm", "op", "ranks", "regime", "bytes"]


def find(catalogue: Catalogue) -> pl.DataFrame:
    """The sizes of each group, the smallest first."""
    us = pl.col("transfer_ns") / NS_PER_US
    longest = us == us.max()
    return (
        sent_by_regime(catalogue)
        .group_by(KEY)
        .agg(
            messages=pl.len(),
            median_us=us.median(),
            low_us=us.quantile(0.05, "linear"),
            high_us=us.quantile(0.95, "linear"),
            longest_us=us.max(),
            longest_seq=pl.col("seq").filter(longest).min(),
        )
        .sort(KEY, nulls_last=True)
    )


FINDING = Finding(__name__, find)
