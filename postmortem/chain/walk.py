"""From the flip back to what set it off. Knows no kind by name: the declarations are the graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import postmortem.chain.kinds as package
from postmortem.base.errors import UnknownRequest
from postmortem.base.rooms import rooms
from postmortem.chain.case import Case
from postmortem.chain.confidence import confidence
from postmortem.chain.grade import HALF, corrected
from postmortem.chain.kind import Found, Kind, RuledOut
from postmortem.chain.model import Alternative, Chain, Flip, Grade, Link, Missing, RootCause, Verdict
from postmortem.chain.narrate import narrate, without_links

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue

_ORDER = list(Grade)
GOOD = {Grade.PROVEN, Grade.SUPPORTED}


@cache
def kinds() -> dict[str, Kind]:
    """All node kinds by name."""
    return rooms(package, "KIND", Kind)


def causes_of(effect: str) -> list[Kind]:
    """The kinds that say that they lead to this effect."""
    return [k for k in kinds().values() if effect in k.leads_to]


def walk(catalogue: Catalogue, bundle: str, req_id: str, vs: str | None = None) -> Chain:
    """The chain of one request. Raises UnknownRequest for a request that no record names."""
    request = _request(catalogue, req_id)
    if vs is not None:
        _request(catalogue, vs)
    reference, why = _reference(catalogue, request, vs)
    if reference is None:
        parted = [str(r["req_id"]) for r in catalogue.rows("flips") if r["reference"] == req_id]
        odd = odd_one(catalogue, bundle, req_id, parted[0]) if parted else None
        return odd or _without(bundle, req_id, None, Verdict.NO_REFERENCE, why)
    flip = _flip(catalogue, req_id, reference)
    if flip is None and vs is None and (other := _other_input(catalogue, req_id)) is not None:
        reference, flip = other, _flip(catalogue, req_id, other)  # its replays agree: the input makes the difference
    case = Case(catalogue, req_id, reference, flip)
    if case.input.sampled and flip is not None:
        why = Missing(
            f"whether sampling alone made {req_id} differ from {reference}", "a seed, or temperature 0, in both"
        )
        return _without(bundle, req_id, reference, Verdict.NO_REFERENCE, why)
    if flip is None and case.input.same is not False:
        if not case.told:  # that no token differs is no finding where none was held against another
            why = Missing(f"whether its tokens are those of {reference}", "token_id of the same steps of both")
            return _without(bundle, req_id, reference, Verdict.NO_REFERENCE, why)
        return _without(bundle, req_id, reference, Verdict.NO_DIVERGENCE, None)
    links, contributing, alternatives, missing = _back(case)
    root = links[0] if links and kinds()[links[0].kind].role == "root" else None
    verdict = _verdict(case, links, root)
    told = narrate(case, verdict, links)
    if root is None and vs is None and (odd := odd_one(catalogue, bundle, reference, req_id)) is not None:
        told += f" {_rather(odd)}"
    cause = _cause(root) if root else None
    sure = confidence(links) if root else None  # without a root cause there is nothing to be sure of
    return Chain(
        bundle, req_id, reference, verdict, sure, flip, cause,
        tuple(links), tuple(contributing), tuple(alternatives), tuple(missing),
        told,
    )  # fmt: skip


def odd_one(catalogue: Catalogue, bundle: str, reference: str, req_id: str) -> Chain | None:
    """The chain of a reference against a request that parted from it, where it is the reference that left the plan.

    It did where its step ran another plan than its replica mostly runs, the request's the usual one of its own, and its
    own records explain that, link by link. None where that is not so.
    """
    key = ("odd_one", reference, req_id)
    if key not in catalogue.memo:
        catalogue.memo[key] = _odd_one(catalogue, bundle, reference, req_id)
    found: Chain | None = catalogue.memo[key]
    return found


def _odd_one(catalogue: Catalogue, bundle: str, reference: str, req_id: str) -> Chain | None:
    if not _left_the_usual(catalogue, reference):  # nor would its chain say so: it is not walked for that
        return None
    chain = walk(catalogue, bundle, reference, req_id)
    if chain.verdict is not Verdict.EXPLAINED:
        return None
    left = chain.links[-2]
    theirs = catalogue.kept("requests", req_id=req_id)["replica"][0]
    for noun, column in (("tactic", "algo_id"), ("precision", "precision_path")):
        if noun in left.facts:
            odd = left.facts[noun] != _mostly(catalogue, left.replica, column)
            return chain if odd and left.facts[f"reference_{noun}"] == _mostly(catalogue, theirs, column) else None
    return None


def _mostly(catalogue: Catalogue, replica: str | None, column: str) -> str | None:
    """What most iterations of a replica ran; None where nothing tells."""
    if replica is None:
        return None
    ran = catalogue.kept("iterations", replica=replica)[column].drop_nulls().mode().sort()
    return None if ran.is_empty() else str(ran[0])


def _left_the_usual(catalogue: Catalogue, req_id: str) -> bool:
    """Whether any of its steps ran another plan than its replica mostly runs."""
    steps = catalogue.kept("request_steps", req_id=req_id)
    ran = steps.select("replica", "algo_id", "precision_path").unique().rows(named=True)
    columns = ("algo_id", "precision_path")
    return any(r[c] not in {None, _mostly(catalogue, r["replica"], c)} for r in ran for c in columns)


def _rather(odd: Chain) -> str:
    """Where to look instead: at the reference that is the odd one."""
    kept = f"{odd.reference} ran what its replica mostly runs; it was {odd.req_id} that left that of its own"
    return f"{kept}: see its chain, --req {odd.req_id} --vs {odd.reference}. {odd.narrative}"


def _request(catalogue: Catalogue, req_id: str) -> dict[str, Any]:
    rows = catalogue.kept("requests", req_id=req_id).rows(named=True)
    if not rows:
        from difflib import get_close_matches

        known = [str(r["req_id"]) for r in catalogue.rows("requests")]
        near = [k for k in known if k.endswith(f"/{req_id}")][:3] or get_close_matches(req_id, known, n=3)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"it knows {len(known)}: postmortem query BUNDLE requests"
        )
        raise UnknownRequest(req_id, "is not in the bundle", hint)
    return rows[0]


def _reference(catalogue: Catalogue, request: dict[str, Any], vs: str | None) -> tuple[str | None, Missing | None]:
    """The reference's id; None with the record that would give one."""
    req_id = request["req_id"]
    if vs is not None:
        return vs, None
    replays = catalogue.rows("references", req_id=req_id)
    if replays:
        return str(replays[0]["reference"]), None
    other = _other_input(catalogue, req_id)
    if other is not None:
        return other, None
    if request["effective_text_sha256"] is None:
        return None, Missing("whether any other request saw the same text", "x records with effective_text_sha256")
    if request["greedy"] is None:
        return None, Missing("how the request was decoded", "decode_cfg_applied in its x record")
    if not request["greedy"]:
        return None, Missing("a twin of this sampled request", "a replay with the same seed, or at temperature 0")
    if request["steps"] == 0:
        return None, Missing("which tokens it gave", "s records with token_id")
    followers = [str(r["req_id"]) for r in catalogue.rows("references") if r["reference"] == req_id]
    if not followers:
        # the usual input is its own: whoever asked the same and saw another is what it is held against
        others = [str(r["req_id"]) for r in catalogue.rows("other_inputs") if r["reference"] == req_id]
        if others:
            return others[0], None
        return None, Missing(
            "a replay of this request", "the same request served again on a calm replica, with s records"
        )
    differ = [str(r["req_id"]) for r in catalogue.rows("flips") if r["reference"] == req_id]
    other = differ[0] if differ else followers[0]
    return None, Missing(
        f"a calmer replay: it is the reference of its group, and {len(differ)} of {len(followers)} differ from it"
        + (f", {other} the first" if differ else ""),
        f"the same request served again on a calmer replica; or ask for {other}, or hold this one against it with --vs",
    )


def _other_input(catalogue: Catalogue, req_id: str) -> str | None:
    """The request with the same raw prompt and the usual input, where this one saw another."""
    rows = catalogue.rows("other_inputs", req_id=req_id)
    return str(rows[0]["reference"]) if rows else None


def _flip(catalogue: Catalogue, req_id: str, reference: str) -> Flip | None:
    rows = catalogue.kept("flips", req_id=req_id, vs=reference).rows(named=True)
    if not rows:
        return None
    r = rows[0]
    return Flip(
        r["step"],
        r["exact"],
        r["token_id"],
        r["reference_token_id"],
        r["margin"],
        r["iteration"],
        r["replica"],
        r["ts_ns"],
    )


def _without(bundle: str, req_id: str, reference: str | None, verdict: Verdict, why: Missing | None) -> Chain:
    return Chain(
        bundle, req_id, reference, verdict, None, None, None, (), (), (), (why,) if why else (),
        without_links(req_id, None if verdict is Verdict.NO_REFERENCE else reference),
    )  # fmt: skip


def _strength(found: Found) -> tuple[int, float, int]:
    """Best first: by grade, by how much of the effect goes with it (in whole percent), then the later to begin."""
    share = 0.0 if found.share is None else min(1.0, found.share)
    return _ORDER.index(found.link.grade), -round(share, 2), -(found.link.iteration or 0)


def _may_carry(found: Found) -> bool:
    """Whether it, with others of its kind, may take half of the effect away: by the interval, or for all we know."""
    goes = found.together or found.range
    return goes is None or goes[1] >= HALF


def _may_be_blamed(found: Found) -> bool:
    """Whether it may be named: a root cause is not named for no more than having begun earlier."""
    return found.link.grade in GOOD or kinds()[found.link.kind].role != "root"


def _nearest(found: list[Found]) -> list[Found]:
    """Without those that lead to another one found: they are met again one link farther up.

    Not so where that other one cannot be a link itself: nothing is met behind it.
    """
    seen = {f.link.kind for f in found if _may_carry(f) and _may_be_blamed(f)}
    return [f for f in found if not seen & set(kinds()[f.link.kind].leads_to)]


def _takes_a_share(found: Found, best: Found) -> bool:
    """Whether it is a cause beside the best: well graded, and half of what the best one leaves goes with it."""
    if found.link.grade not in GOOD:
        return False
    if found.share is None or best.share is None:
        return True
    left = 1 - min(1.0, best.share)
    # the best may take all of it: nothing is left to share
    whole = best.whole or best.range is None or best.range[1] >= 1
    return found.share >= (HALF if whole else HALF * left)


@dataclass
class _Notes:
    """What a walk comes across beside its links."""

    alternatives: list[Alternative] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


def _causes(case: Case, effect: Link | None, candidates: list[Kind], notes: _Notes) -> tuple[Found | None, list[Found]]:
    """The strongest of the candidates that are there, and those that stand beside it; the rest into the notes."""
    found: list[Found] = []
    for kind in candidates:
        outcome = kind.detect(case, effect)
        if isinstance(outcome, Found):
            found += [outcome, *outcome.others]
            notes.missing += outcome.missing
        elif isinstance(outcome, RuledOut):
            notes.alternatives.append(Alternative(kind.name, outcome.why))
        else:
            notes.missing.append(Missing(outcome.what, outcome.record))
    found = [replace(f, link=corrected(f.link, len(candidates))) for f in _nearest(found)]
    found.sort(key=_strength)
    best = next((f for f in found if _may_carry(f) and _may_be_blamed(f)), None)
    beside = []
    for other in found:
        if other is best:
            continue
        if best is not None and _takes_a_share(other, best):
            beside.append(other)
        else:
            why = "seen, but weaker" if best else "seen, but too weak to carry the effect"
            notes.alternatives.append(Alternative(other.link.kind, f"{why}: {other.link.summary}"))
    return best, beside


def _back(case: Case) -> tuple[list[Link], list[RootCause], list[Alternative], list[Missing]]:
    """Walk from the ends (kinds that lead nowhere) to a root, the strongest cause at each turn.

    What stands beside it is walked back as well: the roots that it comes from contribute.
    """
    notes, aside = _Notes(), _Notes()
    ends = [k for k in kinds().values() if not k.leads_to]
    links, beside = _path(case, None, ends, notes)
    if not links:  # no token differs: what would have led there may be seen all the same
        links, beside = _path(case, None, [cause for end in ends for cause in causes_of(end.name)], notes)
    contributing: list[RootCause] = []
    for found in beside:
        above, _ = _path(case, found.link, causes_of(found.link.kind), aside)
        top = above[0] if above else found.link
        if kinds()[top.kind].role == "root" and all(link.grade in GOOD for link in above):
            contributing.append(_cause(top))
    seen = {link.kind for link in links}
    root = _cause(links[0]) if links else None
    return (
        links,
        [c for c in dict.fromkeys(contributing) if c != root],
        [a for a in dict.fromkeys(notes.alternatives) if a.kind not in seen],
        list(dict.fromkeys(notes.missing)),
    )


def _path(case: Case, effect: Link | None, candidates: list[Kind], notes: _Notes) -> tuple[list[Link], list[Found]]:
    """The links above an effect, from the first, and what was found beside them."""
    links: list[Link] = []
    aside: list[Found] = []
    while candidates:
        here = case if effect is None else case.on(effect.replica)
        best, beside = _causes(here, effect, candidates, notes)
        aside += beside
        if best is None:
            break
        shown = tuple(e for e in best.link.evidence if e.rows)  # a source that is not there shows nothing
        effect = replace(best.link, evidence=shown)
        links.insert(0, effect)
        candidates = causes_of(effect.kind)
    return links, aside


def _cause(link: Link) -> RootCause:
    return RootCause(link.kind, link.rank, link.replica, link.start_ns, link.end_ns)


def _verdict(case: Case, links: list[Link], root: Link | None) -> Verdict:
    if case.input.same is False:
        return Verdict.DIFFERENT_INPUT
    if len(links) == 1:
        return Verdict.UNEXPLAINED
    whole = all(link.grade in GOOD for link in links)
    exact = case.flip is not None and case.flip.exact
    return Verdict.EXPLAINED if root and whole and exact else Verdict.PARTIAL
