"""Which chains are one incident: one first link, overlapping stretches; or it came again, or stood all along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postmortem import open_bundle
from postmortem.chain.model import Chain, Flip, Grade, Link, RootCause, Verdict
from postmortem.chain.scan import Cluster, clusters
from tests.builders import straggler, write_bundle


def chain(
    req_id: str,
    first: int | None,
    last: int | None,
    *,
    verdict: Verdict = Verdict.EXPLAINED,
    confidence: float | None = 0.9,
    kind: str = "quant_stall",
    rank: int | None = 1,
    links: bool = True,
    **facts: Any,
) -> Chain:
    """A chain whose first link starts at ``first`` and whose token flips at ``last``; on no replica."""
    top = Link(kind, "", Grade.PROVEN, rank=rank, start_ns=first, facts=facts)
    root = RootCause(kind, rank, None, first, None) if verdict is Verdict.EXPLAINED else None
    flip = Flip(3, True, 1, 2, None, ts_ns=last) if last is not None else None
    return Chain("", req_id, "r", verdict, confidence, flip, root, (top,) if links else (), (), (), (), f"of {req_id}")


def incidents(*chains: Chain) -> list[Cluster]:
    """The incidents that they belong to."""
    nothing_to_count: Any = None
    return list(clusters(nothing_to_count, chains))


@pytest.mark.parametrize(
    ("spans", "together"),
    [
        ([(10, 20), (15, 30)], [("a", "b")]),
        ([(10, 20), (20, 30)], [("a", "b")]),
        ([(10, 20), (21, 30)], [("a",), ("b",)]),
        ([(10, 50), (12, 15), (40, 60)], [("a", "b", "c")]),  # the longest decides, not the last
        ([(40, 60), (10, 20), (15, 30)], [("b", "c"), ("a",)]),
        ([(10, 20), (None, None), (50, 60)], [("a", "b", "c")]),  # undated: all together
    ],
)
def test_spans(spans: list[tuple[int | None, int | None]], together: list[tuple[str, ...]]) -> None:
    """Spans that touch are one stretch of time."""
    found = incidents(*(chain(name, *span) for name, span in zip("abc", spans, strict=False)))
    assert [one.requests for one in found] == together


def test_without_times_iterations_are_counted_by_their_numbers(tmp_path: Path) -> None:
    """From the first link's, 70, to the last flip's, 88: 19. Ranks without times are told apart by ts_ns alone."""
    calm, disturbed = straggler(quiet=("ts_ns",))
    calm.quiet = ("ts_ns",)
    with open_bundle(write_bundle(tmp_path / "b", calm, disturbed), store=tmp_path / "s.duckdb") as incident:
        (one,) = incident.scan().incidents
        assert (one.kind, one.first_ns, one.iterations) == ("collective_inflation", None, 19)
        lacks = {missing.what: missing.record for missing in incident.chain("b-1").missing}
        assert "ts_ns" in lacks["which rank the others waited for"]
        assert "ts_ns" in lacks["how long transfers took once all ranks had arrived"]


def test_first_and_last() -> None:
    """An incident lasts from the earliest start to the latest flip of its requests."""
    (one,) = incidents(chain("a", 10, 50), chain("b", 12, 15), chain("c", 40, 60))
    assert (one.first_ns, one.last_ns, one.iterations) == (10, 60, 0)


def test_another_first_link_is_another_incident() -> None:
    """Another kind or another rank; and chains without a link stand alone, each."""
    several = [chain("a", 10, 20), chain("b", 10, 20, rank=2), chain("c", 10, 20, kind="slow_gpu")]
    assert [one.requests for one in incidents(*several)] == [("a",), ("b",), ("c",)]
    bare = [chain(r, 10, 20, verdict=Verdict.UNEXPLAINED, links=False) for r in "ab"]
    assert [(one.kind, one.root, one.requests) for one in incidents(*bare)] == [
        (None, False, ("a",)),
        (None, False, ("b",)),
    ]


@pytest.mark.parametrize(("calm_until", "together"), [(69, True), (70, False)])
def test_it_came_again(calm_until: int, together: bool) -> None:
    """What the later one is held against ended before the earlier one's stretch did: it never was calm between."""
    earlier = chain("a", 10, 20, calm=[40, 50], window=[50, 70])
    later = chain("b", 60, 80, calm=[40, calm_until], window=[75, 90])
    assert len(incidents(earlier, later)) == (1 if together else 2)


def test_a_change_of_input_stands() -> None:
    """A template that was rolled out is one incident however far apart its requests are; another one is another."""
    rolled = [chain(r, at, at + 1, kind="effective_request_drift", rank=None, what="template v2") for r, at in
              (("a", 10), ("b", 9000))]  # fmt: skip
    other = chain("c", 10, 11, kind="effective_request_drift", rank=None, what="template v3")
    assert [one.requests for one in incidents(*rolled, other)] == [("a", "b"), ("c",)]


def test_who_speaks_for_it() -> None:
    """The chain that explains most, and of those the surest, tells the incident; whichever comes first."""
    partial = chain("a", 10, 20, verdict=Verdict.PARTIAL, confidence=None)
    unsure, sure = chain("b", 11, 20, confidence=0.8), chain("c", 12, 20, confidence=0.95)
    (one,) = incidents(partial, unsure, sure)
    assert (one.example, one.narrative, one.verdict, one.root) == ("c", "of c", Verdict.EXPLAINED, True)
    (one,) = incidents(partial)
    assert (one.example, one.verdict, one.root) == ("a", Verdict.PARTIAL, False)
