"""The requests: the same list for every replica, from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

SYSTEM = "w1 w2 w3"  # the system message that every request gets
POLICY = "w4 w5 w6 w7"  # the policy text that a drifting gateway injects
TENANTS = ("north", "south")
PROMPT = (5, 11)  # words of the user's own text
ANSWER = (30, 60)  # tokens generated
RESERVED = 8  # words 0 to 7 are not the user's


@dataclass(frozen=True)
class Request:
    """One request as the model is to see it."""

    index: int  # the same on every replica
    raw: str
    effective: str
    max_tokens: int
    tenant: str
    truncated: bool = False
    trunc_reason: str | None = None
    shaping: tuple[str, ...] = ("system_message:v1",)

    @property
    def tokens(self) -> list[int]:
        """Word ``w17`` is token 17."""
        return [int(word[1:]) for word in self.effective.split()]


def sha256(text: str) -> str:
    """Hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def make(seed: int, count: int, vocab: int) -> list[Request]:
    """``count`` requests with random prompts."""
    random = np.random.default_rng([seed, 1])
    made = []
    for index in range(count):
        words = random.integers(RESERVED, vocab, random.integers(*PROMPT, endpoint=True))
        raw = " ".join(f"w{word}" for word in words)
        made.append(
            Request(
                index=index,
                raw=raw,
                effective=f"{SYSTEM} {raw}",
                max_tokens=int(random.integers(*ANSWER, endpoint=True)),
                tenant=TENANTS[int(random.integers(len(TENANTS)))],
            )
        )
    return made


def drift(request: Request) -> Request:
    """What a gateway under pressure makes of it: even ones lose their tail, odd ones get a policy text."""
    if request.index % 2:
        return replace(
            request,
            effective=f"{SYSTEM} {POLICY} {request.raw}",
            shaping=(*request.shaping, "policy_inject:v3"),
        )
    kept = request.raw.split()[:-2]  # two words: short enough to go unnoticed by length alone
    return replace(request, effective=f"{SYSTEM} {' '.join(kept)}", truncated=True, trunc_reason="latency_guard")
