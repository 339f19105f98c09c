"""Did two requests see the same input? What must be equal before their plans can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postmortem.chain.model import Missing

# What must be equal, and what is missing where it is not recorded.
FIELDS = {
    "effective_text_sha256": Missing(
        "whether both saw the same effective text", "effective_text_sha256 in the x records of both"
    ),
    "decode_key": Missing(
        "whether both were decoded with the same settings", "decode_cfg_applied in the x records of both"
    ),
}


@dataclass(frozen=True)
class Input:
    """``same`` is None where it cannot be proven; ``same_prompt`` where the raw prompts are not recorded.

    ``differs`` names what is not equal, ``unknown`` what is not recorded on both sides. ``sampled``: the same input
    need not give the same tokens.
    """

    same: bool | None
    differs: tuple[str, ...]
    unknown: tuple[Missing, ...] = ()
    same_prompt: bool | None = None
    sampled: bool = False


def compare(mine: dict[str, Any], theirs: dict[str, Any]) -> Input:
    """Two rows of the query ``requests``, field by field."""
    differs, unknown = [], []
    for field, missing in FIELDS.items():
        a, b = mine[field], theirs[field]
        if a is None or b is None:
            unknown.append(missing)
        elif a != b:
            differs.append(field)
    raw = [row["raw_prompt_sha256"] for row in (mine, theirs)]
    same = False if differs else None if unknown else True
    sampled = same is True and not mine["repeatable"]  # and so not theirs: the settings are the same
    return Input(same, tuple(differs), tuple(unknown), None if None in raw else raw[0] == raw[1], sampled)
