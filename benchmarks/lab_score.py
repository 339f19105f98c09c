"""Score chains against recordings whose truth is known: ``python benchmarks/lab_score.py DIR...``

Each DIR holds ``bundle/`` and ``truth.toml`` as the lab writes them. A recording of a fault counts as
right when the most frequent claim over its proven flips is the fault and its rank, and no flip
claims anything else; a recording of ``none`` when no flip claims a root cause. One of a fault in which no flip
could be proven to be its doing has nothing to be right about: it is told apart and not counted.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from pathlib import Path

from postmortem import open_bundle

# What the chain should name for a fault; None: no root cause can be shown by s records alone.
NAMES = {"slow_rank": None, "none": None}


def score(folder: Path) -> tuple[str, bool | None]:
    """One line on the recording, and whether the chain is right; None: nothing to be right about."""
    truth = tomllib.loads((folder / "truth.toml").read_text("utf-8"))
    fault, rank = truth["fault"], truth.get("rank")
    proven = [f["req_id"] for f in truth.get("flip", []) if f.get("proven")]
    if fault == "request_drift":  # no replay can prove it: the lab names the prompts that it shaped otherwise
        fault = "effective_request_drift"
        proven = [f"{truth['replica']}-{number:03d}" for number in truth["drifted"]]
    with open_bundle(folder / "bundle") as incident:
        asked = proven if fault != "none" else incident.flipped()
        chains = [incident.chain(r) for r in asked]
        claims = Counter((c.root_cause.kind, c.root_cause.rank) if c.root_cause else None for c in chains)
        late = Counter(link.rank for c in chains for link in c.links if link.kind == "straggler_rank")
        verdicts = Counter(str(c.verdict) for c in chains)
        step_of = {f["req_id"]: f["step"] for f in truth.get("flip", [])}
        steps = sum(c.flip is not None and c.flip.step == step_of.get(c.req_id) for c in chains)
    best = claims.most_common(1)[0][0] if claims else None
    meant = None if fault in NAMES else (fault, rank)
    false = sum(n for claim, n in claims.items() if claim not in {None, meant})
    right: bool | None
    if fault == "none":
        right = not false
    elif fault in NAMES:
        right = not false and bool(late) and late.most_common(1)[0][0] == rank
    else:
        right = not false and best == meant
    if fault != "none" and not asked:
        right = None
    said = {("-" if k is None else f"{k[0]}@{k[1]}"): v for k, v in claims.items()}
    who = f"{folder.name:24} {fault:18} rank {rank!s:4} flips {len(asked):3}, step right {steps:3}, false {false:3}"
    line = f"{who}  claims {said}  late rank {dict(late)}  {dict(verdicts)}"
    return f"{ {True: 'ok ', False: 'NO ', None: ' - '}[right] } {line}", right


def main() -> int:
    results = [score(Path(d)) for d in sys.argv[1:]]
    for line, _ in results:
        print(line)
    judged = [right for _, right in results if right is not None]
    print(f"{sum(judged)} of {len(judged)} right; {len(results) - len(judged)} without a proven flip")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
