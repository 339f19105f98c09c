"""What a metric's name tells: the spellings of Nsight Systems, Nsight Compute and plain ones, and nothing like them."""

from __future__ import annotations

import pytest

from postmortem.base.metric_names import told_by

L2 = [
    "L2 Hit Rate [Ratio %]", "L2 Hit Rate from L1 [Ratio %]", "l2_hit_rate", "L2HitRate", "l2hitrate", "gpu.l2.hit",
    "lts__t_sector_hit_rate.pct", "lts__t_sectors_srcunit_tex_op_read_hit_rate",
]  # fmt: skip
LONG_SCOREBOARD = [
    "smsp__warps_issue_stalled_long_scoreboard", "smsp__warps_issue_stalled_long_scoreboard [Avg]",
    "smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio",
    "smsp__pcsamp_warps_issue_stalled_long_scoreboard_not_issued", "Stall Long Scoreboard",
    "Stall Long Scoreboard [Ratio %]", "Warp Stall Long Scoreboard", "stall_long_scoreboard",
    "STALL_LONG_SCOREBOARD [Avg]",
]  # fmt: skip
OTHERS = [
    "L2 Hits", "L20 Hit Rate", "L1 Hit Rate [Ratio %]", "L2 Architecture", "lts__t_sectors_lookup_hit.sum",
    "FE Stalled Sync", "TEX Stalled on Descriptor Cache Miss", "tpc__warp_launch_cycles_stalled_shader [Avg]",
    "Stall Cycles", "Warp Stall Reasons", "stall_rate", "Long Scoreboard", "Install Wait",
]  # fmt: skip


@pytest.mark.parametrize("name", L2)
def test_l2_hit_rates(name: str) -> None:
    """l2 with hit, however it is spelt."""
    told = told_by(name)
    assert told
    assert (told.kind, told.reason, told.family) == ("l2_hit_rate", None, None)


@pytest.mark.parametrize("name", LONG_SCOREBOARD)
def test_long_scoreboard(name: str) -> None:
    """A stall by its reason, with the sub-metric that nsys appends; the family keeps all but the reason."""
    told = told_by(name)
    assert told
    assert (told.kind, told.reason) == ("stall", "long_scoreboard")
    other = told_by(name.lower().replace("long scoreboard", "barrier").replace("long_scoreboard", "barrier"))
    assert other
    assert (other.reason, other.family) == ("barrier", told.family)


def test_selected_is_no_stall() -> None:
    """A warp that was selected issued; one that was not selected waited."""
    kinds = [told_by(n) for n in ("Stall Selected [Avg]", "stall_not_selected")]
    assert [k and k.kind for k in kinds] == ["not_stalled", "stall"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_neither(name: str) -> None:
    """A count, another cache, another unit's stalls, or no reason that NVIDIA names: its own name is all it has."""
    assert told_by(name) is None
