"""The model saw another text than the reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.drift import drift
from postmortem.chain.kind import Kind, Outcome

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, _effect: Link | None) -> Outcome:
    """effective_text_sha256 of both, and which shaping events, truncation, template or message are not the same."""
    return drift(
        case,
        kind=KIND.name,
        field="effective_text_sha256",
        query="request_drift",
        noun="effective text",
        column="shaped_by",
    )


KIND = Kind(
    name="effective_request_drift",
    role="root",
    says="the model saw another x: truncation, policy, tool schema, prefix cache, template, system message",
    seen_in=("x records",),
    leads_to=("token_flip",),
    refuted_by="both saw the same effective text",
    detect=detect,
)
