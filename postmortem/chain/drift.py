"""Another input than the reference's: which part of x differs, and how those with the usual one fared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from postmortem.chain.grade import HALF, grade
from postmortem.chain.input import FIELDS
from postmortem.chain.kind import Found, Outcome, RuledOut, Unseen
from postmortem.chain.model import Link, Test
from postmortem.chain.tests_of import mechanism

if TYPE_CHECKING:
    from postmortem.chain.case import Case


def drift(case: Case, *, kind: str, field: str, query: str, noun: str, column: str) -> Outcome:
    """The part ``field`` of both inputs. ``query`` lists what differs, ``column`` of it names each difference."""
    missing = [m for m in case.input.unknown if m == FIELDS[field]]
    if missing:
        return Unseen(missing[0].what, missing[0].record)
    if field not in case.input.differs:
        return RuledOut(f"both had the same {noun}")
    if case.input.same_prompt is False:
        return RuledOut(f"the raw prompts differ already: another {noun} was to be expected")
    rows = case.frame(query, req_id=case.req_id, vs=case.reference)
    if "counts" in rows.columns:
        rows = rows.filter(pl.col("counts"))
    named = rows.filter(pl.col(column).is_not_null())
    what = "; ".join(
        f"{r[column]}: {_said(r['value'], r[column])} instead of {_said(r['reference_value'], r[column])}"
        for r in named.iter_rows(named=True)
    )
    request = case.frame("requests", req_id=case.req_id).row(0, named=True)
    tests: tuple[Test, ...] = (
        Test("order", True, "the input is made before the first token"),
        Test("size", True, f"another {noun}" + (f" by {', '.join(named[column])}" if named.height else "")),
        mechanism(
            case.input.same_prompt,
            "the same raw prompt" if case.input.same_prompt else "the raw prompts are not recorded on both sides",
        ),
    )  # fmt: skip
    twins = case.frame("references").filter(pl.col("reference") == case.reference)["req_id"].to_list()
    if twins:
        flipped = case.frame("flips").filter(pl.col("req_id").is_in(twins)).height
        kept = 1 - flipped / len(twins)
        said = f"of {len(twins)} others that had the reference's input, {len(twins) - flipped} gave its tokens"
        tests += (Test("counterfactual", kept >= HALF, said, kept, "share"),)
    link = Link(
        kind=kind,
        summary=f"it had another {noun}" + (f" ({what})" if what else "; what changed it is not recorded"),
        grade=grade(tests),
        replica=request["replica"],
        start_ns=request["admitted_ns"],
        end_ns=request["admitted_ns"],
        tests=tests,
        evidence=(
            case.evidence(query, req_id=case.req_id, vs=case.reference),
            case.evidence("requests", req_id=case.req_id),
            case.evidence("requests", req_id=case.reference),
        ),
        facts={"what": ", ".join(named[column])},
    )
    return Found(link)


def _said(value: str | None, name: str) -> str:
    """A value as text: an event without its kind, a digest by its first digits."""
    if value is None:
        return "none"
    return value[:12] + "…" if len(value) == 64 else value.replace(f"{name}:", "")
