"""The request was decoded with other settings than the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.drift import drift
from postmortem.chain.kind import Kind, Outcome

if TYPE_CHECKING:
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


def detect(case: Case, _effect: Link | None) -> Outcome:
    """decode_cfg_applied of both, key by key."""
    return drift(
        case,
        kind=KIND.name,
        field="decode_key",
        query="decode_drift",
        noun="decode configuration",
        column="setting",
    )


KIND = Kind(
    name="decode_config_drift",
    role="root",
    says="other decode configuration",
    seen_in=("x records",),
    leads_to=("token_flip",),
    refuted_by="both were decoded with the same settings",
    detect=detect,
)
