"""The all-reduce between processes."""

from sample_traces.lab.allreduce import Group
from tests.lab import pinned

RANK = """
import json, sys, numpy as np
from pathlib import Path
from sample_traces.lab.allreduce import Group
path, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
group = Group(path, rank, size, 16, 32)
group.meet()
wrong = 0
late = 0
for number in range(60):
    parts = [np.random.default_rng([number, r]).standard_normal((16, 32)).astype(np.float32) for r in range(size)]
    wanted = parts[0].copy()
    for part in parts[1:]:
        wanted += part
    total, arrivals = group.all_reduce(parts[rank], [number, rank])
    wrong += not np.array_equal(total, wanted)
    wrong += [row[:2] for row in group.notes()] != [[number, r] for r in range(size)]
    late += len(arrivals) != size or not all(arrivals)
print(json.dumps([wrong, late]))
"""


def test_sum_over_processes(tmp_path):
    """Every rank gets the sum in the order of ranks, to the bit, all arrivals, and what all ranks noted."""
    size = 3
    Group.create(tmp_path / "shared", size, 16, 32)
    ranks = [pinned.start(RANK, tmp_path / "shared", rank, size) for rank in range(size)]
    assert [pinned.told(rank) for rank in ranks] == [[0, 0]] * size
