"""The fabric's stretches on recordings whose fabric, shared memory, was never slow."""

from __future__ import annotations

import polars as pl

from postmortem.api import Incident


def test_stretches_cover_every_iteration_once(shipped: dict[str, Incident]) -> None:
    """From each replica's first iteration that all ranks recorded to its last, in order, none overlapping."""
    for incident in shipped.values():
        for (replica,), part in incident.query("fabric_spells").group_by("replica", maintain_order=True):
            seen = (
                incident.query("rank_iterations", replica=replica).group_by("iteration").agg(pl.col("rank").n_unique())
            )
            whole = seen.filter(pl.col("rank") == 2)["iteration"]
            assert (part["first_iteration"][0], part["last_iteration"][-1]) == (whole.min(), whole.max())
            assert (part["first_iteration"][1:] > part["last_iteration"][:-1]).all()


def test_a_calm_fabric_is_normal(shipped: dict[str, Incident]) -> None:
    """The calm recording's stretches are all normal."""
    assert set(shipped["calm"].query("fabric_spells")["regime"].to_list()) == {"normal"}
