"""What isolation cost: paper and pencil, postures exchanged, and recordings that never were strict."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from postmortem.api import Incident
from postmortem.catalogue.catalogue import Catalogue
from postmortem.findings import findings
from tests.queries.test_every_query import store_with

FINDING = findings()["isolation_cost"]
STRICT = range(20, 32)


def iterations(replica: str, modes: dict[int, str]) -> list[dict[str, Any]]:
    """Forty iterations of 10 ms: 8 sequences and a short queue in shared mode, 3 and a long one in strict."""
    return [
        {
            "line": i, "replica": replica, "req_id": f"{replica}-{i}", "step": 0, "iteration": i,
            "ts_ns": i * 10_000_000, "gpu_ms": 10.0, "isolation_mode": modes[i],
            "batch_size": 3 if modes[i] == "strict" else 8,
            "queue_p95_ms": 70.0 if modes[i] == "strict" else 5.0, "queue_ms": 9.0 if modes[i] == "strict" else 1.0,
        }
        for i in modes
    ]  # fmt: skip


def cost(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return FINDING.run(Catalogue(store_with({"s_records": rows})))


def test_by_hand() -> None:
    """5 sequences and 500 a second less, 8 ms more before the first token; the queue's regime is entered and left."""
    frame = cost(iterations("a", {i: "strict" if i in STRICT else "shared" for i in range(40)}))
    said = {r["measure"]: r for r in frame.to_dicts()}
    differences = {
        m: said[m]["difference"] for m in ("batch size", "sequences stepped", "wait for the first token's step")
    }
    assert list(differences.values()) == [-5.0, -500.0, 8.0]
    assert all(said[m]["low"] == said[m]["high"] == d for m, d in differences.items())
    # 12 of 40 in one stretch, exactly where the batch is small: of the 40 turns one does as well, times 6 measures
    assert said["batch size"]["p_value"] == pytest.approx(6 * (1 / 40), abs=0.06)
    pressed = said["iterations not in the regime normal, isolation aside"]
    assert (pressed["strict"], pressed["shared"]) == (1.0, 0.0)
    # one crossing into the stretch, at its first iteration, and one out of it
    crossed = said["crossings between regimes, isolation aside"]
    assert (crossed["strict"], crossed["shared"]) == (1 / 12, pytest.approx(1 / 27))
    assert set(frame["against"]) == {"itself"}


def test_a_replica_that_always_was_strict_is_held_against_the_others() -> None:
    """Its baseline are the shared iterations of the other replica, which itself never was strict."""
    frame = cost(
        iterations("a", dict.fromkeys(range(20), "shared")) + iterations("b", dict.fromkeys(range(20), "strict"))
    )
    assert set(frame["replica"]) == {"b"}
    assert set(frame["against"]) == {"other replicas"}
    assert frame.row(0, named=True)["difference"] == -5.0
    # two replicas differ for many reasons, and one pair of them tells nothing of chance
    assert frame.select("low", "high", "p_value").null_count().row(0) == (frame.height,) * 3


def test_what_is_not_tested_corrects_nothing() -> None:
    """A replica beside it that was strict from the start makes no p of the first larger."""
    modes = {i: "strict" if i in STRICT else "shared" for i in range(40)}
    alone = cost(iterations("a", modes))
    beside = cost(iterations("a", modes) + iterations("b", dict.fromkeys(range(20), "strict")))
    assert beside.filter(pl.col("replica") == "a")["p_value"].to_list() == alone["p_value"].to_list()
    assert beside.filter(pl.col("replica") == "b")["p_value"].null_count() > 0


def test_exchanging_postures_turns_the_sign() -> None:
    """With the labels exchanged, the same difference the other way round, as sure as before."""
    rows = iterations("a", {i: "strict" if i in STRICT else "shared" for i in range(40)})
    turned = [{**r, "isolation_mode": "shared" if r["isolation_mode"] == "strict" else "strict"} for r in rows]
    one, other = (cost(part).filter(pl.col("measure") == "batch size").row(0, named=True) for part in (rows, turned))
    assert (other["difference"], other["p_value"]) == (-one["difference"], one["p_value"])


def test_recordings_that_were_never_strict(shipped: dict[str, Incident]) -> None:
    """Nothing to compare, nothing said."""
    assert all(incident.query("isolation_cost").is_empty() for incident in shipped.values())
