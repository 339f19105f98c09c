"""All divergences of a bundle, and the incidents that they belong to: one root cause, one stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from postmortem.chain.model import Chain, Link, RootCause, Verdict
from postmortem.chain.walk import odd_one, walk
from postmortem.findings import ask

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue

SCHEMA = "postmortem.scan/1"
# The order of verdicts where an incident's requests have several: the one that explains most stands for it.
_BEST = (Verdict.EXPLAINED, Verdict.DIFFERENT_INPUT, Verdict.PARTIAL, Verdict.UNEXPLAINED)


@dataclass(frozen=True)
class Divergence:
    """One request whose answer differs from its reference's, and what its chain says; times in UTC epoch ns."""

    req_id: str
    reference: str | None
    verdict: Verdict
    confidence: float | None
    step: int | None
    iteration: int | None
    margin: float | None
    root_cause: RootCause | None
    first_ns: int | None
    last_ns: int | None
    narrative: str


@dataclass(frozen=True)
class Cluster:
    """One incident: the divergences with one root cause whose stretches of time overlap.

    ``kind`` is the root cause's, or the first link's where no root cause is shown (``root`` is false then).
    ``iterations`` counts the replica's from ``first_ns`` to ``last_ns``, or by their numbers where no time is recorded.
    ``narrative`` is that of ``example``.
    """

    kind: str | None
    root: bool
    rank: int | None
    replica: str | None
    verdict: Verdict
    requests: tuple[str, ...]
    iterations: int
    first_ns: int | None
    last_ns: int | None
    example: str
    narrative: str


@dataclass(frozen=True)
class Scan:
    """What a bundle holds: its incidents, the worst first, and every divergence, the earliest first.

    ``stragglers``, ``fabric`` and ``hangs`` stand whether or not any answer flipped: rows of the findings
    ``late_ranks``, of ``fabric_spells`` where the fabric was not normal, and of the query ``collective_hangs``.
    ``near``: rows of ``near_flips``, requests near the edge.
    """

    bundle: str
    requests: int
    compared: int
    incidents: tuple[Cluster, ...]
    divergences: tuple[Divergence, ...]
    stragglers: tuple[dict[str, Any], ...] = ()
    fabric: tuple[dict[str, Any], ...] = ()
    near: tuple[dict[str, Any], ...] = ()
    hangs: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The scan as plain JSON values, the schema's name first."""
        return {"schema": SCHEMA, **asdict(self)}


def told(catalogue: Catalogue, bundle: str, tell: Callable[[int, int], None] | None = None) -> list[Chain]:
    """The chains of all whose answer or input differs; the reference's, where that is the one that left the plan."""
    chains: dict[str, Chain] = {}
    differing = asked(catalogue)
    catalogue.kept("requests")  # of which each chain looks up its own
    for number, req_id in enumerate(differing, 1):
        chain = walk(catalogue, bundle, req_id)
        if chain.root_cause is None and chain.reference is not None:
            chain = odd_one(catalogue, bundle, chain.reference, req_id) or chain
        chains.setdefault(chain.req_id, chain)
        if tell:
            tell(number, len(differing))
    return list(chains.values())


def scan(catalogue: Catalogue, bundle: str, tell: Callable[[int, int], None] | None = None) -> Scan:
    """Walk the chain of every request whose answer or input differs. ``tell``: called with (done, all)."""
    chains = told(catalogue, bundle, tell)
    counted = catalogue.rows("requests")
    return Scan(
        bundle=bundle,
        requests=len(counted),
        compared=catalogue.view("compared").height,
        incidents=tuple(sorted(clusters(catalogue, chains), key=lambda c: (-len(c.requests), -c.iterations))),
        divergences=tuple(_divergence(chain) for chain in chains),
        stragglers=tuple(ask(catalogue, "late_ranks").to_dicts()),
        fabric=tuple(row for row in ask(catalogue, "fabric_spells").to_dicts() if row["regime"] != "normal"),
        near=tuple(ask(catalogue, "near_flips").to_dicts()),
        hangs=tuple(catalogue.rows("collective_hangs")),
    )


def asked(catalogue: Catalogue) -> list[str]:
    """Requests whose tokens differ from their reference's, the earliest first, then those that saw another input."""
    flipped = [str(r["req_id"]) for r in catalogue.rows("flips")]
    drifted = [str(r["req_id"]) for r in catalogue.rows("other_inputs")]
    return list(dict.fromkeys(flipped + drifted))


def _divergence(chain: Chain) -> Divergence:
    first, last = _span(chain)
    flip = chain.flip
    return Divergence(
        chain.req_id,
        chain.reference,
        chain.verdict,
        chain.confidence,
        flip.step if flip else None,
        flip.iteration if flip else None,
        flip.margin if flip else None,
        chain.root_cause,
        first,
        last,
        chain.narrative,
    )


def _span(chain: Chain) -> tuple[int | None, int | None]:
    """From the start of the first link to the flip."""
    first = next((link.start_ns for link in chain.links if link.start_ns is not None), None)
    last = (
        chain.flip.ts_ns if chain.flip else max((n for x in chain.links if (n := x.end_ns) is not None), default=None)
    )
    return last if first is None else first, last


def clusters(catalogue: Catalogue, chains: Iterable[Chain]) -> Iterator[Cluster]:
    """Chains whose first links are of one kind and place, joined where their spans overlap or one came again."""
    groups: dict[tuple[Any, ...], list[Chain]] = {}
    for chain in chains:
        top = chain.links[0] if chain.links else None
        key = (top.kind, top.rank, top.replica, _standing(top)) if top else (None, chain.req_id)
        groups.setdefault(key, []).append(chain)
    for group in groups.values():
        yield from (_cluster(catalogue, together) for together in _joined(group))


def _standing(link: Link) -> str | None:
    """What a change of input was: it stands as long as it is rolled out, and is no stretch of time."""
    what = link.facts.get("what")
    return None if what is None else str(what)


def _joined(group: list[Chain]) -> Iterator[list[Chain]]:
    """Chains of one cause by overlapping spans, or where the later one's calm iterations are those before the earlier
    one's stretch: it came and went. Without times, or for a standing change, all together.
    """
    spans = {chain.req_id: _span(chain) for chain in group}
    timed = [c for c in group if spans[c.req_id][0] is not None]
    if len(timed) < len(group) or (group[0].links and _standing(group[0].links[0]) is not None):
        yield group
        return
    together: list[Chain] = []
    until = 0
    for chain in sorted(timed, key=lambda c: spans[c.req_id][0] or 0):
        first, last = spans[chain.req_id]
        if together and (first or 0) > until and not any(_came_again(earlier, chain) for earlier in together):
            yield together
            together = []
        together.append(chain)
        until = max(until, last or first or 0)
    yield together


def _came_again(earlier: Chain, later: Chain) -> bool:
    """Whether what the later chain held its stretch against ended before the earlier one's stretch did."""
    calm, window = later.links[0].facts.get("calm"), earlier.links[0].facts.get("window")
    return calm is not None and window is not None and calm[1] < window[1]


def _cluster(catalogue: Catalogue, chains: list[Chain]) -> Cluster:
    best = min(chains, key=lambda c: (_BEST.index(c.verdict), -(c.confidence or 0.0)))
    spans = [_span(c) for c in chains]
    first = min((a for a, _ in spans if a is not None), default=None)
    last = max((b for _, b in spans if b is not None), default=None)
    top = best.links[0] if best.links else None
    replica = top.replica if top else best.flip.replica if best.flip else None
    touched = 0
    if replica is not None:
        ran = catalogue.kept("iterations", replica=replica)
        if first is not None and last is not None:
            touched = int(ran["start_ns"].is_between(first, last).sum())
        elif numbers := [n for c in chains for x in (*c.links, c.flip) if x and (n := x.iteration) is not None]:
            touched = int(ran["iteration"].is_between(min(numbers), max(numbers)).sum())  # no time is recorded
    return Cluster(
        kind=top.kind if top else None,
        root=best.root_cause is not None,
        rank=top.rank if top else None,
        replica=replica,
        verdict=best.verdict,
        requests=tuple(c.req_id for c in chains),
        iterations=touched,
        first_ns=first,
        last_ns=last,
        example=best.req_id,
        narrative=best.narrative,
    )
