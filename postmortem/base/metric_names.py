"""What a hardware metric tells, read off its name: names differ by tool, version and chip.

Matched without regard to case. An unmatched name is no error: its metric keeps its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# Nsight Compute: smsp__average_warps_issue_stalled_<reason>_per_issue_active.ratio,
# smsp__pcsamp_warps_issue_stalled_<reason>_not_issued, smsp__warps_issue_stalled_<reason>.
# Nsight Systems appends its sub-metric: smsp__warps_issue_stalled_<reason> [Avg].
_RAW_STALL = re.compile(r"issue_stalled_(?P<reason>[a-z_]+?)(?=_not_issued|_per_|\.| |$)")
# Its section Warp State Statistics: Stall Long Scoreboard. "Stall" alone names other things too (Stall Cycles), so the
# reason must be one of those that Nsight Compute names, up to 2025.
_REASONS = (
    "barrier", "branch_resolving", "dispatch_stall", "drain", "gmma", "imc_miss", "lg_throttle", "long_scoreboard",
    "math_pipe_throttle", "membar", "mio_throttle", "misc", "no_instruction", "no_instructions", "not_selected",
    "selected", "short_scoreboard", "sleeping", "tex_throttle", "wait", "warpgroup_arrive",
)  # fmt: skip
_TOLD_STALL = re.compile(rf"^(?:warp[ _])?stall[ _](?P<reason>{'|'.join(_REASONS).replace('_', '[ _]')})(?= \[|$)")
_L2_HIT = re.compile(r"(?<![a-z0-9])l2(?!\d).*hit(?:rate)?(?![a-z])|^lts__t_sector.*hit_rate")

# A warp that issued an instruction was not stalled; "not_selected" was eligible and had to
# wait for the scheduler, which NVIDIA counts among the reasons.
NOT_STALLED = {"selected", "not_stalled", "none"}


@dataclass(frozen=True)
class MetricName:
    """kind: l2_hit_rate, stall, not_stalled. reason: of a stall. family: stall metrics that add up."""

    kind: str
    reason: str | None = None
    family: str | None = None


@lru_cache(maxsize=4096)
def told_by(name: str) -> MetricName | None:
    """What a metric of this name tells, or None.

    >>> told_by("smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio").reason
    'long_scoreboard'
    >>> told_by("L2 Hit Rate [Ratio %]").kind
    'l2_hit_rate'
    >>> told_by("dram__bytes.sum") is None
    True
    """
    low = name.strip().lower()
    if _L2_HIT.search(low):
        return MetricName("l2_hit_rate")
    match = _RAW_STALL.search(low) or _TOLD_STALL.search(low)
    if match is None:
        return None
    reason = match["reason"].replace(" ", "_")
    family = low[: match.start("reason")] + "*" + low[match.end("reason") :]
    return MetricName("not_stalled" if reason in NOT_STALLED else "stall", reason, family)
