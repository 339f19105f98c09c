"""Run a rank under Nsight Systems, and export what it saw."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PATIENCE_S = 120  # seconds for an export; a run's takes about one


def installed() -> bool:
    """Whether ``nsys`` is on the path."""
    return shutil.which("nsys") is not None


def version() -> str:
    """As ``nsys --version`` says."""
    done = subprocess.run(["nsys", "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return done.stdout.strip().rsplit(" ", 1)[-1]


def profiled(command: list[str], report: Path) -> list[str]:
    """The command under the profiler: NVTX only, so that it disturbs little."""
    return [
        "nsys", "profile", "-t", "nvtx", "--sample=none", "--cpuctxsw=none", "-f", "true", "-o", str(report), *command,
    ]  # fmt: skip


def export(report: Path, sqlite: Path) -> None:
    """The report as SQLite."""
    subprocess.run(
        ["nsys", "export", "-t", "sqlite", "-q", "true", "-f", "true", "-o", str(sqlite), f"{report}.nsys-rep"],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
