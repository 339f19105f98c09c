"""Run code in an interpreter where the matrix library is pinned before NumPy loads, as the lab's ranks do."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(code, *args):
    """A process that runs ``code``; give it to ``told``."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sample_traces.lab\n" + code, *map(str, args)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process):
    """The JSON that the process printed last."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def run(code, *args):
    """What ``code`` printed, as JSON."""
    return told(start(code, *args))
