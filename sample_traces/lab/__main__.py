"""Record an incident: ``python -m sample_traces.lab --fault quant_stall --rank 1 --seed 7 -o DIR``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sample_traces.lab.faults import KINDS, ON_A_RANK
from sample_traces.lab.incident import NotCalm, Order, make
from sample_traces.lab.launch import RankFailed

INTENSITIES = {"subtle": 0.3, "medium": 0.55, "blatant": 0.9}  # of a calm iteration


def main() -> int:
    """Parse, record, say what came out; 0 recorded, 1 the host is too noisy or a rank failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m sample_traces.lab", description=__doc__)
    parser.add_argument("--fault", choices=KINDS, default="quant_stall")
    parser.add_argument("--rank", type=int, help=f"for {', '.join(ON_A_RANK)}; default 1")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--intensity", choices=INTENSITIES, default="medium")
    parser.add_argument("--tp", type=int, choices=(1, 2, 4), default=2, help="ranks; each wants a core of its own")
    parser.add_argument("--seconds", type=float, default=5.5, help="a run; the fault is on from 50 to 80 %% of it")
    parser.add_argument("--no-nsys", action="store_true", help="no Nsight Systems exports, even where nsys is there")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for bundle/ and truth.toml")
    told = parser.parse_args()
    rank = (1 if told.rank is None else told.rank) if told.fault in ON_A_RANK else None
    if rank is not None and not 0 <= rank < told.tp:
        parser.error(f"--rank {rank} is not one of {told.tp} ranks")
    if (told.output / "bundle").exists():
        parser.error(f"{told.output / 'bundle'} exists already")
    order = Order(
        told.fault, rank, told.seed, INTENSITIES[told.intensity], told.tp, told.seconds, profile=not told.no_nsys
    )
    began = time.monotonic()
    try:
        outcome = make(order, told.output)
    except (NotCalm, RankFailed) as error:
        print(error, file=sys.stderr)
        return 1
    proven = sum(flip.proven for flip in outcome.flips)
    size = sum(path.stat().st_size for path in (told.output / "bundle").rglob("*") if path.is_file())
    print(
        f"{told.fault} rank {rank} seed {told.seed}: {len(outcome.flips)} flips of {outcome.facts['compared']},"
        f" {proven} proven, {outcome.b.cuts} cuts, tries {outcome.tries}, {size / 1e6:.2f} MB,"
        f" {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
