"""A process that takes a share of one core: ``python hog.py START_FILE CPU ON_S OFF_S DUTY``.

Waits for the run to start (the start file appears), then works ``DUTY`` of
every 20 ms between the two times, given in seconds after the start.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

PERIOD_S = 0.02  # seconds; a few of the operating system's time slices
PATIENCE_S = 120.0  # seconds; longer than any start takes


def main(start_file: Path, cpu: int, on_s: float, off_s: float, duty: float) -> None:
    """Wait, work, leave."""
    os.sched_setaffinity(0, {cpu})
    deadline = time.monotonic() + PATIENCE_S
    while not start_file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the run never started")
        time.sleep(0.01)
    start_ns = int(start_file.read_text(encoding="utf-8"))
    time.sleep(max(0.0, start_ns / 1e9 + on_s - time.time()))
    while time.time() < start_ns / 1e9 + off_s:
        until = time.monotonic() + PERIOD_S * duty
        while time.monotonic() < until:
            pass
        time.sleep(PERIOD_S * (1 - duty))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *(float(value) for value in sys.argv[3:6]))
