"""Replay: from a plan to the very same answer, whatever the batch was."""

import pytest

from tests.lab import pinned

SERVE_AND_REPLAY = """
import json, numpy as np
from sample_traces.lab.config import Model
from sample_traces.lab.kvcache import BlockPool
from sample_traces.lab.model import shard, step, top_two
from sample_traces.lab.numerics import TACTICS, SPLIT_64, SPLIT_128, SPLIT_96
from sample_traces.lab.replay import Job, Replayer, lockstep
from sample_traces.lab.workload import make

model = Model(layers=2, hidden=256, heads=4, inner=512, vocab=256)
tp = 2
requests = make(3, 30, model.vocab)
parts = [shard(model, rank, tp) for rank in range(tp)]
pools = [BlockPool(part) for part in parts]
random = np.random.default_rng(5)
tokens = {r.index: list(r.tokens) for r in requests}
at = {r.index: 0 for r in requests}
plans = {r.index: [] for r in requests}
made = {r.index: [] for r in requests}
lost = restored = 0
for iteration in range(60):
    members = sorted(random.permutation(30)[: random.integers(1, 30)].tolist())  # another batch each time
    tactic = (SPLIT_64, SPLIT_128, SPLIT_96)[iteration % 3]
    positions = [at[m] for m in members]
    restored += sum(pool.begin(members, positions, tactic.algo_id) for pool in pools)
    steps = [step(p, c, [tokens[m][at[m]] for m in members], positions, tactic) for p, c in zip(parts, pools)]
    best, second, margin = top_two(lockstep(steps))
    for m, token in zip(members, best):
        plans[m].append((tactic.algo_id,) * tp)
        if at[m] >= len(requests[m].tokens) - 1:
            tokens[m].append(token)
            made[m].append(token)
        at[m] += 1
    if iteration % 7 == 6:
        lost += pools[1].evict(pools[1].resident // 2, members)
jobs = [Job(tuple(r.tokens), tuple(plans[r.index])) for r in requests]
answers = Replayer(model, tp).run(jobs)
other = [Job(j.prompt, tuple((17,) * tp for _ in j.plan)) for j in jobs]
print(json.dumps({
    "wrong": [i for i, a in enumerate(answers) if list(a.tokens) != made[i]],
    "answers": sum(map(len, made.values())), "lost": lost, "restored": restored,
    "flipped": sum(list(a.tokens) != made[i] for i, a in enumerate(Replayer(model, tp).run(other))),
}))
"""


@pytest.mark.slow
def test_replay_is_exact():
    """Served in ever other batches, with blocks lost and recomputed, every answer is replayed from its plan alone."""
    told = pinned.run(SERVE_AND_REPLAY)
    assert told["wrong"] == []
    assert told["answers"] > 300
    assert told["lost"] > 10
    assert told["restored"] > 100
    assert told["flipped"] > 0  # another tactic does give other tokens: the test can fail
