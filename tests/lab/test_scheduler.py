"""The scheduler on hand-made times."""

from sample_traces.lab.config import Scheduler
from sample_traces.lab.scheduler import Batcher, LatencyGuard
from sample_traces.lab.workload import make

RULES = Scheduler()


def observe(guard, times):
    return [d for d in (guard.observe(ms) for ms in times) if d]


def test_calm_is_left_alone():
    """At the target, with single iterations of any length in between, the limit stays."""
    guard = LatencyGuard(RULES, 10.0)
    assert observe(guard, ([10.0] * 20 + [500.0]) * 5) == []
    assert guard.limit == 48


def test_cut_then_readmission():
    """Half as long again for ten-odd iterations cuts to 12; good times re-admit 5 a dozen, up to the limit."""
    guard = LatencyGuard(RULES, 10.0)
    cut = observe(guard, [15.5] * 20)
    assert [(d.limit, d.reason) for d in cut] == [(12, "slo")]
    back = observe(guard, [10.0] * 200)
    assert [d.limit for d in back] == [17, 22, 27, 32, 37, 42, 47, 48]
    assert {d.reason for d in back} == {"readmit"}


def test_no_readmission_while_slow():
    """Between good and bad nothing moves."""
    guard = LatencyGuard(RULES, 10.0)
    observe(guard, [20.0] * 20)
    assert observe(guard, [13.0] * 200) == []
    assert guard.limit == 12


def test_users_keep_the_batch_full():
    """Each user has one request on its way, and sends the next when it is answered."""
    batcher = Batcher(make(1, 50, 256), 8)
    assert len(batcher.fill(0.0, 8)) == 8
    batch = batcher.next(0.0, 48)
    assert len(batch.members) == 8
    assert batcher.fill(0.1, 8) == []
    while not (finished := batcher.advance(batch, [9] * 8)):
        batch = batcher.next(0.2, 48)
    assert len(finished[0].tokens) == len(finished[0].request.tokens) + finished[0].request.max_tokens
    assert len(batcher.fill(0.3, 8)) == len(finished)


def test_preempted_wait_in_order():
    """A cut makes the latest comers wait; they go on where they were, and their waiting is counted."""
    batcher = Batcher(make(1, 50, 256), 20)
    batcher.fill(0.0, 20)
    first = batcher.next(0.0, 48).members
    cut = batcher.next(1.0, 12)
    assert cut.members == first[:12]
    assert cut.preempted == 8
    again = batcher.next(3.5, 48)
    assert again.members == first
    assert again.admitted == []
    assert [s.queued_s for s in again.members] == [0.0] * 12 + [2.5] * 8


def test_strict_isolation_takes_turns():
    """Under strict isolation no two tenants share a batch, and every sequence has its turn."""
    batcher = Batcher(make(1, 50, 256), 20)
    batcher.fill(0.0, 20)
    one, two = (batcher.next(0.0, 48, strict=True).members for _ in range(2))
    assert len({s.request.tenant for s in one}) == len({s.request.tenant for s in two}) == 1
    assert len(one) + len(two) == 20


def test_fingerprint_is_of_the_membership():
    """The same members have the same fingerprint, whatever their order."""
    batcher = Batcher(make(1, 50, 256), 5)
    batcher.fill(0.0, 5)
    batch = batcher.next(0.0, 48)
    before = batch.fingerprint
    batch.members.reverse()
    assert batch.fingerprint == before
    batch.members.pop()
    assert batch.fingerprint != before
