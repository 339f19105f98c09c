"""How a batch changed, on series of a few iterations: since when requests were held back, which change it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from pathlib import Path

import polars as pl
import pytest
from builders import OTHER, Trace, straggler, write_bundle

from postmortem.api import Incident
from postmortem.chain.kinds.batch_change import _changed, _held, _Run
from postmortem.chain.model import Chain

Opener = Callable[..., Incident]
FIRST = 500  # number of the first iteration


def run(
    sizes: list[int], tactics: str, waiting: list[int | None] | None = None, requests: int | list[int] | None = None
) -> _Run:
    """The run of other tactics than A that the last iteration is in; a letter an iteration."""
    n = len(sizes)
    known = pl.DataFrame(
        {
            "iteration": range(FIRST, FIRST + n),
            "batch_size": sizes,
            "algo_id": list(tactics),
            "waiting": waiting or [0] * n,
            "requests": sizes if requests is None else requests if isinstance(requests, list) else [requests] * n,
            "isolation_mode": [None] * n,
        },
        schema_overrides={"waiting": pl.Int64, "isolation_mode": pl.String},
    )
    return _Run(known, "A", n - 1)


@pytest.mark.parametrize(
    ("sizes", "waiting", "below", "since"),
    [
        ([24, 24, 12, 12, 12], [0, 0, 3, 2, 1], inf, 2),
        ([24, 24, 12, 12, 12], [0, 0, 0, 0, 0], inf, 5),  # nobody waited there
        ([24, 12, 12, 12, 12, 12], [0, 3, 0, 0, 2, 1], inf, 1),  # the queue ran empty, the limit held
        ([24, 12, 12, 13, 12, 12], [0, 3, 0, 0, 2, 1], inf, 4),  # the limit did not hold
        ([12, 12, 12, 12], [1, 0, 0, 1], inf, 0),
        ([12, 12, 12, 12], [0, 0, 0, 1], inf, 3),
        ([10, 20, 10, 10], [1, 1, 1, 1], 15, 2),  # 20 is no smaller batch
    ],
)
def test_since_when_requests_waited(sizes: list[int], waiting: list[int | None], below: float, since: int) -> None:
    """Back from the last iteration, over an empty queue where the batch stayed what it was."""
    assert run(sizes, "B" * len(sizes), waiting).held_since(len(sizes) - 1, below) == since


def test_held_back() -> None:
    """The batch shrank by itself to 12; later 12, 8 and 14 waited: with them 24, 20 and 26, and tactic A takes 24."""
    sizes, tactics = [24, 24, 12, 12, 12, 12, 12], "AABBBBB"
    change = _held(run(sizes, tactics, [0, 0, 0, 0, 12, 8, 14]))
    assert change is not None
    assert (change.at, change.stop, change.before, change.after) == (4, 4, 26, 12)
    assert change.stays == (pytest.approx(2 / 3), "2 of 3 batches would have had the 24 that tactic A takes")
    assert (
        change.says == f"the scheduler held the batch at 12 from iteration {FIRST + 4} on, while up to 14 more waited"
    )
    assert _held(run(sizes, tactics, [0, 0, 0, 0, 11, 8, 10])) is None  # with all of them it is still too small
    assert _held(run(sizes, tactics, [0, 0, 12, 12, 12, 8, 14])) is None  # they waited from the change on: that is it
    assert _held(run([24, 24, 12, 12, 30, 30, 30], tactics, [0, 0, 0, 0, 12, 8, 14])) is None  # it was larger
    assert (
        _held(run([24, 24, 20, 24, 24, 24, 24], tactics, [0, 0, 0, 0, 12, 8, 14])) is None
    )  # tactic A takes 24 as well


@pytest.mark.parametrize(
    ("tactics", "waiting", "requests", "turns"),
    [
        ("BBABB", [0, 0, 12, 12, 12], None, True),  # 12 sat the one out
        ("BBABB", [0, 0, 0, 12, 12], None, False),  # nobody did: by itself it had come to 24
        ("BBABB", [0, 0, 0, 12, 12], 6, True),  # who did is recorded of 6 requests alone
        ("BBABB", [0, 0, 0, 12, 12], [12, 12, 23, 12, 12], False),  # of all: one's prompt was computed, it has no step
        ("AAABB", [0, 0, 12, 12, 12], None, False),
    ],
)
def test_batches_take_turns(
    tactics: str, waiting: list[int | None], requests: int | list[int] | None, turns: bool
) -> None:
    """One iteration alone in the calm tactic, between others, is a turn where some sat it out."""
    assert run([12, 12, 24, 12, 12], tactics, waiting, requests).takes_turns is turns


def test_those_who_had_waited_came_in() -> None:
    """The batch rose to 40 when those came in that a cut had held back: its cause lies before the cut."""
    change = _changed(run([24, 24, 12, 12, 12, 40, 40], "AAAAABB", [0, 0, 5, 5, 5, 0, 0]))
    assert (change.at, change.stop, change.before, change.after) == (5, 2, 12, 40)
    assert change.says.endswith(f"at iteration {FIRST + 5}, when those came in that had waited since {FIRST + 2}")
    plain = _changed(run([24, 24, 12, 12, 12, 40, 40], "AAAAABB"))
    assert (plain.at, plain.stop) == (5, 5)
    assert plain.says == f"the scheduler raised the batch from 12 to 40 at iteration {FIRST + 5}"


@pytest.mark.parametrize(
    ("middle", "end", "change"),
    [
        (20, 4, (15, 20, 4)),  # from 24 by 4, then by 16: most of the way was gone there
        (12, 4, (5, 24, 4)),
        (20, 22, (5, 24, 20)),  # it rose again: no larger drop
    ],
)
def test_a_larger_change_within_the_run(middle: int, end: int, change: tuple[int, int, int]) -> None:
    """Where the tactic changed the batch moved a little; what matters is where most of the way was gone."""
    found = _changed(run([24] * 5 + [middle] * 10 + [end] * 10, "A" * 5 + "B" * 20))
    assert (found.at, found.before, found.after) == change


def test_ebb() -> None:
    """Nobody kept waiting is said only where waits of all requests of the batch are recorded."""
    assert _changed(run([24, 24, 12, 12], "AABB")).ebb
    assert not _changed(run([24, 24, 12, 12], "AABB", [0, 0, 1, 0])).ebb
    assert not _changed(run([24, 24, 12, 12], "AABB", [0, 0, None, 0])).ebb
    assert not _changed(run([24, 24, 12, 12], "AABB", requests=6)).ebb
    assert not _changed(run([12, 12, 24, 24], "AABB")).ebb


def prefilled(folder: Path, opened: Opener, admitted: int) -> Chain:
    """b-1 is admitted in an iteration, has its first token in the 10th; the 3rd to the 7th ran another tactic."""
    other = Trace("b", seed=1001, flips={1: 30}, aside={1: range(10)}, batch=dict.fromkeys(range(3, 8), 12))
    bundle = write_bundle(folder, Trace("a"), other)
    records = [json.loads(line) for line in (bundle / "b.jsonl").read_text().splitlines()]
    begun = {r["iteration"]: r["ts_ns"] for r in records if r["record"] == "s"}
    for r in records:
        if r["record"] == "x" and r["req_id"] == "b-1":
            r["admitted_ns"] = begun[admitted]
    (bundle / "b.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    return opened(bundle).chain("b-1")


def test_another_tactic_while_prefilling(tmp_path: Path, opened: Opener) -> None:
    """Every decode step ran the reference's tactic, and some iteration before the first token did not.

    Which of them computed the prompt is not recorded: neither link joins the request by an id, and none is proven.
    """
    chain = prefilled(tmp_path, opened, 5)
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
    batch, churn = chain.links[:2]
    assert (churn.iteration, churn.value, str(churn.grade)) == (7, 3, "circumstantial")
    assert churn.summary == "every step ran tactic tile32, but 3 of 5 iterations before its first token did not"
    assert (batch.iteration, str(batch.grade)) == (3, "supported")
    joined = {link.kind: next(t for t in link.tests if t.name == "mechanism") for link in (batch, churn)}
    assert {kind: t.holds for kind, t in joined.items()} == {"batch_change": None, "algo_churn": None}
    assert str(chain.verdict) == "partial"


@pytest.mark.slow
def test_another_tactic_before_it_was_admitted(tmp_path: Path, opened: Opener) -> None:
    """What ran before it came is not its doing."""
    chain = prefilled(tmp_path, opened, 8)
    assert [link.kind for link in chain.links] == ["token_flip"]
    why = {a.kind: a.ruled_out for a in chain.alternatives}
    assert why["algo_churn"] == "all 31 steps up to the flip ran the reference's tactic"


class Unsteady(Trace):
    """An engine that ran the other tactic in iteration 20, at the same batch."""

    def tactic_at(self, iteration: int) -> str:
        return OTHER if iteration == 20 else super().tactic_at(iteration)


@pytest.mark.slow
def test_changes_of_tactic_that_no_batch_made(tmp_path: Path, opened: Opener) -> None:
    """Of 119 pairs of neighbours the tactic changes in four, the batch in two of these, by chance in C(4,2) / C(119,2)
    of all ways to place two; two kinds are tried.
    """
    cut = Unsteady("b", seed=1001, flips={1: 85}, batch=dict.fromkeys(range(82, 104), 12))
    links = opened(write_bundle(tmp_path, Trace("a"), cut)).chain("b-1").links
    (change,) = (link for link in links if link.kind == "batch_change")
    assert change.p_value == pytest.approx(2 * 6 / 7021)
    told = next(t.says for t in change.tests if t.name == "specificity")
    assert told.endswith("(2 of 4 changes of tactic fall on a change of batch)")


def test_cut_as_soon_as_the_recording_begins(tmp_path: Path, opened: Opener) -> None:
    """Four iterations before the cut tell of no two levels: whether they took longer is missing, not ruled out."""
    calm, disturbed = straggler(batch=dict.fromkeys(range(4, 104), 12), flips={1: 30, 3: 40})
    chain = opened(write_bundle(tmp_path, calm, disturbed)).chain("b-1")
    assert [link.kind for link in chain.links] == ["batch_change", "algo_churn", "token_flip"]
    assert not {"step_stretch", "collective_inflation"} & {a.kind for a in chain.alternatives}
    assert "whether iterations before 4 took longer: too few are here to tell (4)" in [m.what for m in chain.missing]
