"""What a bundle can prove: which parts of the execution contract were recorded, and what is lost without the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from postmortem.base.units import count
from postmortem.chain.contract import CONTRACT

if TYPE_CHECKING:
    from postmortem.catalogue.catalogue import Catalogue

SCHEMA = "postmortem.audit/1"
NAMED = 3  # fields that the one line names; the table below it has all
LOST = {"data_loss", "error"}  # severities of notes that mean that something is gone


@dataclass(frozen=True)
class PartFound:
    """One part of the contract: recorded, partly or absent; how many records have it, and what it costs."""

    part: str
    record: str
    fields: tuple[str, ...]
    status: str
    recorded: int
    records: int
    without: str
    how: str


@dataclass(frozen=True)
class Audit:
    """Whether the bundle can prove which plan ran, and why not where it cannot.

    ``proven`` counts requests whose every step's plan is recorded, ``partly`` and ``absent`` the others;
    ``requests`` has one entry a request, ``declared`` one a declaration and what ran, ``losses`` one a note
    of something lost, ``sources`` one a file.
    """

    bundle: str
    answer: str
    proven: int
    partly: int
    absent: int
    contract: tuple[PartFound, ...]
    declared: tuple[dict[str, Any], ...]
    losses: tuple[dict[str, Any], ...]
    sources: tuple[dict[str, Any], ...]
    requests: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain JSON values, the schema's name first."""
        return {"schema": SCHEMA, **asdict(self)}


def audit(catalogue: Catalogue, bundle: str) -> Audit:
    """Look through the records; every figure is a query's."""
    requests = catalogue.rows("contract_by_request")
    counted = Counter(r["proof"] for r in requests)
    contract = _parts(catalogue)
    losses = [n for n in catalogue.rows("notes") if n["severity"] in LOST]
    losses += [
        {
            "path": s["path"],
            "severity": "data_loss",
            "code": "rejected",
            "message": f"{count(s['rejected'], 'record')} rejected",
        }
        for s in catalogue.rows("sources")
        if s.get("rejected")
    ]
    return Audit(
        bundle=bundle,
        answer=_answer(requests, counted),
        proven=counted["recorded"],
        partly=counted["partly"],
        absent=counted["absent"],
        contract=contract,
        declared=tuple(catalogue.rows("declared_executed")),
        losses=tuple(losses),
        sources=tuple(
            {k: s.get(k) for k in ("path", "kind", "rows", "rejected", "replica", "rank", "error")}
            for s in catalogue.rows("sources")
        ),
        requests=tuple(requests),
    )


def _parts(catalogue: Catalogue) -> tuple[PartFound, ...]:
    """Each part of the contract by its best recorded field."""
    counts = {(r["record"], r["field"]): (r["recorded"], r["records"]) for r in catalogue.rows("contract_fields")}
    found = []
    for part in CONTRACT:
        recorded, records = max(counts.get((part.record, field), (0, 0)) for field in part.fields)
        status = "absent" if not recorded else "recorded" if recorded == records else "partly"
        found.append(PartFound(part.name, part.record, part.fields, status, recorded, records, part.without, part.how))
    return tuple(found)


def _answer(requests: list[dict[str, Any]], counted: Counter[str]) -> str:
    """The one line: can this bundle prove which plan ran?"""
    if not requests:
        return "No: no record tells of any request."
    proven, of = counted["recorded"], len(requests)
    if proven == of:
        return f"Yes: for all {of} requests, input and plan are recorded at every step."
    lacking = Counter(field.split(" (")[0] for r in requests if r["proof"] != "recorded" for field in r["lacks"])
    gaps = sum(1 for r in requests if r["gaps"])
    why = [f"{field} ({n:,})" for field, n in lacking.most_common(NAMED)]
    if len(lacking) > NAMED:
        why.append(f"{len(lacking) - NAMED} more")
    if gaps:
        why.append(f"steps ({gaps:,})")
    head = f"For {proven:,} of {of:,} requests; the others lack" if proven else "No: requests lack"
    return f"{head} {', '.join(why)}."
