"""The scheduler: how many sequences may run, and which. Run identically in every rank.

No clock and no random numbers in here: the same observations give the same
decisions on every rank, and in a replay.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from sample_traces.lab.config import Scheduler
from sample_traces.lab.workload import TENANTS, Request


@dataclass(frozen=True)
class Decision:
    """The limit changed: the new one, and why."""

    limit: int
    reason: str


class LatencyGuard:
    """Cuts the batch when iterations take too long, and re-admits step by step."""

    def __init__(self, rules: Scheduler, target_ms: float) -> None:
        self.rules = rules
        self.target_ms = target_ms
        self.limit = rules.limit
        self.average = 1.0  # times the target
        self._good = 0

    def observe(self, iteration_ms: float) -> Decision | None:
        """Take one iteration's duration in; the decision, if the limit changes."""
        rules = self.rules
        ratio = min(iteration_ms / self.target_ms, rules.clip)
        self.average += rules.weight * (ratio - self.average)
        if self.average > rules.cut_above:
            self._good = 0
            if self.limit > rules.cut_to:
                self.limit = rules.cut_to
                return Decision(self.limit, "slo")
        elif self.average < rules.good_below:
            self._good += 1
            if self._good >= rules.good and self.limit < rules.limit:
                self._good = 0
                self.limit = min(self.limit + rules.step, rules.limit)
                return Decision(self.limit, "readmit")
        else:
            self._good = 0
        return None


@dataclass
class Sequence:
    """A request on its way."""

    request: Request
    user: int
    submitted_s: float
    tokens: list[int]
    position: int = 0
    queued_s: float = 0.0
    waiting_since_s: float | None = None
    admitted_s: float | None = None
    generated: int = 0

    @property
    def step(self) -> int:
        """Which token of the answer this position makes; below 0 while the prompt is read."""
        return self.position - (len(self.request.tokens) - 1)

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return self.generated >= self.request.max_tokens


@dataclass
class Batch:
    """What runs in one iteration."""

    members: list[Sequence]
    admitted: list[Sequence] = field(default_factory=list)
    preempted: int = 0

    @property
    def fingerprint(self) -> str:
        """Of the membership, whatever its order."""
        names = ",".join(str(i) for i in sorted(s.request.index for s in self.members))
        return hashlib.blake2b(names.encode(), digest_size=6).hexdigest()


class Batcher:
    """Continuous batching for users who send their next request when the last is answered."""

    def __init__(self, requests: list[Request], users: int) -> None:
        self._requests = deque(requests)
        self.users = users
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self._turn = 0

    def submit(self, now_s: float, user: int) -> Sequence:
        """A user sends the next request of the list."""
        request = self._requests.popleft()
        sequence = Sequence(request, user, now_s, request.tokens, waiting_since_s=now_s)
        self.waiting.append(sequence)
        return sequence

    def fill(self, now_s: float, users: int) -> list[Sequence]:
        """Every user without a request on its way sends one; those submitted."""
        busy = {s.user for s in self.running} | {s.user for s in self.waiting}
        return [self.submit(now_s, user) for user in range(users) if user not in busy]

    def next(self, now_s: float, limit: int, *, strict: bool = False) -> Batch:
        """The next iteration's batch: the latest comers wait first, the first comers run first."""
        preempted = 0
        while len(self.running) > limit:
            last = self.running.pop()
            last.waiting_since_s = now_s
            self.waiting.appendleft(last)
            preempted += 1
        admitted = []
        while self.waiting and len(self.running) < limit:
            sequence = self.waiting.popleft()
            if sequence.waiting_since_s is not None:
                sequence.queued_s += now_s - sequence.waiting_since_s
                sequence.waiting_since_s = None
            if sequence.admitted_s is None:
                sequence.admitted_s = now_s
                admitted.append(sequence)
            self.running.append(sequence)
        members = self.running
        if strict:  # tenants take turns: nobody shares a batch with another's requests
            for _ in TENANTS:
                self._turn = (self._turn + 1) % len(TENANTS)
                members = [s for s in self.running if s.request.tenant == TENANTS[self._turn]]
                if members:
                    break
        return Batch(list(members), admitted, preempted)

    def advance(self, batch: Batch, tokens: list[int]) -> list[Sequence]:
        """Take the batch's new tokens in; the sequences that are complete now."""
        finished = []
        for sequence, token in zip(batch.members, tokens, strict=True):
            if sequence.step >= 0:
                sequence.tokens.append(token)
                sequence.generated += 1
            sequence.position += 1
            if sequence.done:
                finished.append(sequence)
        for sequence in finished:
            self.running.remove(sequence)
        return finished

    def queue_p95_ms(self, now_s: float) -> float:
        """The 95th percentile (nearest rank) of how long those on their way have waited so far; ms."""
        waits = [s.queued_s for s in self.running]
        waits += [s.queued_s + now_s - (s.waiting_since_s or now_s) for s in self.waiting]
        if not waits:
            return 0.0
        waits.sort()
        return 1000 * waits[min(len(waits) - 1, int(0.95 * len(waits)))]
