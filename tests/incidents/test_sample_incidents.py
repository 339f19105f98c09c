"""The shipped recordings, against the truth that the lab measured beside them."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postmortem.api import Incident, open_bundle

INCIDENTS = Path(__file__).parents[2] / "sample_traces" / "incidents"
CHAIN = ["quant_stall", "straggler_rank", "collective_inflation", "batch_change", "algo_churn", "token_flip"]


@pytest.fixture(scope="module")
def straggler() -> Iterator[Incident]:
    with open_bundle(INCIDENTS / "straggler" / "bundle") as incident:
        yield incident


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return tomllib.loads((INCIDENTS / "straggler" / "truth.toml").read_text("utf-8"))


def test_flips_are_the_true_ones(straggler: Incident, truth: dict[str, Any]) -> None:
    """Requests, references, steps, tokens and margins of all flips are those of the truth."""
    keys = ("req_id", "reference", "step", "token_id", "reference_token_id", "margin")
    found = {tuple(row[k] for k in keys) for row in straggler.catalogue.rows("flips")}
    assert found == {tuple(flip[k] for k in keys) for flip in truth["flip"]}


@pytest.mark.slow
def test_every_proven_flip_names_the_rank(straggler: Incident, truth: dict[str, Any]) -> None:
    """Each flip that the lab proved to be the fault's leads back to its kind, rank and replica."""
    for flip in truth["flip"]:
        chain = straggler.chain(flip["req_id"])
        assert chain.root_cause is not None, flip["req_id"]
        assert chain.root_cause.kind == truth["fault"]
        assert (chain.root_cause.rank, chain.root_cause.replica) == (truth["rank"], truth["replica"])
        assert [link.kind for link in chain.links] == CHAIN


def test_root_begins_when_the_fault_was_switched_on(straggler: Incident, truth: dict[str, Any]) -> None:
    """The root cause is dated to the fault's first iteration: within two iterations of its switch."""
    root = straggler.chain("b-107").root_cause
    assert root is not None
    assert root.start_ns is not None
    two_iterations = 2 * 16_000_000  # about.toml: iterations went from 10 to 16 ms
    assert abs(root.start_ns - truth["on_ns"]) <= two_iterations


def test_traces_and_records_agree(straggler: Incident) -> None:
    """Waiting measured by NVTX ranges in the Nsight exports is what the ranks' own records say."""
    agreement = straggler.sql(
        """
        SELECT median(abs(t.sync_ns / 1e6 - s.sync_ms)) AS apart_ms, median(s.sync_ms) AS wait_ms, count(*) AS n
        FROM rank_times AS t
        JOIN rank_states AS s ON s.replica = t.replica AND s.rank = t.rank AND s.iteration = t.iteration
        WHERE t.source = 'NVTX ranges'
        """
    ).row(0, named=True)
    assert agreement["n"] > 500
    assert agreement["apart_ms"] < 0.1 * agreement["wait_ms"]


def test_collectives_are_whole(straggler: Incident) -> None:
    """Every collective was recorded by both ranks; the straggler's share of last arrivals rises in the incident."""
    rows = straggler.query("collectives", replica="b")
    assert set(rows["ranks"]) == {2}
    root = straggler.chain("b-107").root_cause
    assert root is not None
    inside = rows.filter((rows["end_ns"] >= root.start_ns) & (rows["end_ns"] <= root.end_ns))
    assert (inside["straggler_rank"] == 1).mean() > (rows["straggler_rank"] == 1).mean()


def test_calm_bundle_has_nothing_in_it() -> None:
    """The calm recording has no flip, and so nothing is claimed."""
    with open_bundle(INCIDENTS / "calm" / "bundle") as incident:
        assert incident.flipped() == []
        assert incident.query("requests").height > 50


def test_nothing_secret_is_shipped() -> None:
    """The shipped exports hold no path of a home, no environment and no user name."""
    for path in INCIDENTS.rglob("*.sqlite"):
        data = path.read_bytes()
        for secret in (b"/root/", b"/home/", b"PATH=", b"HOSTNAME=", b"SSH_", b"TOKEN="):
            assert secret not in data, (path, secret)


def _holds(expected: Any, found: Any) -> bool:
    """Whether all that is expected is there: keys of objects, entries of lists one by one."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(k in found and _holds(v, found[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(found) and all(_holds(e, f) for e, f in zip(expected, found, strict=True))
    return bool(expected == found)


@pytest.mark.parametrize("name", ["straggler", "memory_evaporation", "request_drift"])
def test_expected_chain(name: str) -> None:
    """The chain is the one in expected/chain.json, which was written from the lab's truth, not from a chain."""
    folder = INCIDENTS / name
    expected = json.loads((folder / "expected" / "chain.json").read_text("utf-8"))
    with open_bundle(folder / "bundle") as incident:
        found = json.loads(json.dumps(incident.chain(expected["req_id"]).to_dict()))
    assert _holds(expected, found)


@pytest.mark.slow
def test_evaporation_of_every_flip() -> None:
    """All eleven flips that the lab proved to be the fault's lead back to the pins on rank 1."""
    truth = tomllib.loads((INCIDENTS / "memory_evaporation" / "truth.toml").read_text("utf-8"))
    with open_bundle(INCIDENTS / "memory_evaporation" / "bundle") as incident:
        (one,) = incident.scan().incidents
    assert (one.kind, one.rank, one.replica) == (truth["fault"], truth["rank"], truth["replica"])
    assert sorted(one.requests) == sorted(flip["req_id"] for flip in truth["flip"])


def test_every_drifted_request_and_no_other() -> None:
    """The requests that the lab shaped otherwise are the different inputs, each told by what shaped it."""
    truth = tomllib.loads((INCIDENTS / "request_drift" / "truth.toml").read_text("utf-8"))
    with open_bundle(INCIDENTS / "request_drift" / "bundle") as incident:
        drifted = {r["req_id"] for r in incident.catalogue.rows("other_inputs")}
        shaped = {r["shaped_by"] for r in incident.catalogue.rows("request_drift")}
    assert drifted == {f"b-{number}" for number in truth["drifted"]}
    assert shaped == {"policy_inject", "truncation"}


def test_the_limit_of_evaporation_is_the_bundles(tmp_path: Path) -> None:
    """Pins are a root cause below the share of the pool that bundle.toml names, and no claim above it."""
    bundle = tmp_path / "bundle"
    shutil.copytree(INCIDENTS / "memory_evaporation" / "bundle", bundle)
    req_id = tomllib.loads((INCIDENTS / "memory_evaporation" / "truth.toml").read_text("utf-8"))["flip"][0]["req_id"]

    def root() -> str | None:
        with open_bundle(bundle) as incident:
            cause = incident.chain(req_id).root_cause
        return cause.kind if cause else None

    assert root() == "memory_evaporation"
    with (bundle / "bundle.toml").open("a") as settings:
        settings.write("\n[regimes]\nmemory_evaporation_share = -1000.0\n")
    assert root() != "memory_evaporation"
