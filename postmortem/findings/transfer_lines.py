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

from postmortem.analyses.fabric import alpha_beta, sent_by_regime
from postmortem.catalogue.finding import Finding

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue
    from postmortem.catalogue.finding import Row

KEY = ["replica", "comm", "op", "ranks", "regime"]


def find(catalogue: Catalogue) -> list[Row]:
    """Every group's line, where its sizes allow one."""
    rows = []
    sent = sent_by_regime(catalogue).sort(*KEY, "arrival_ns", nulls_last=True)
    for values, part in sent.group_by(KEY, maintain_order=True):
        line = alpha_beta(part["bytes"].to_numpy(), part["transfer_ns"].to_numpy())
        if line is not None:
            row = {
                **dict(zip(KEY, values, strict=True)),
                "alpha_us": line.alpha_us[0], "alpha_low_us": line.alpha_us[1], "alpha_high_us": line.alpha_us[2],
                "beta_gbps": line.beta_gbps[0], "beta_low_gbps": line.beta_gbps[1], "beta_high_gbps": line.beta_gbps[2],
                "sizes": line.sizes, "messages": line.messages,
            }  # fmt: skip
            rows.append(row)
    return rows


FINDING = Finding(__name__, find)
