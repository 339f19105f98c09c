"""Make the pictures of README and docs from the shipped incidents: ``python docs/make_pictures.py``. Wants chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from postmortem import open_bundle
from postmortem.render.tree import chain_tree

ROOT = Path(__file__).parents[1]
SAMPLES = Path("sample_traces/incidents")
IMAGES = ROOT / "docs" / "images"
REQUEST = "b-107"
QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def shot(page: Path, picture: Path, width: int, height: int) -> None:
    """A screenshot of a page's first ``height`` pixels."""
    chromium = shutil.which("chromium") or "chromium-browser"
    with tempfile.TemporaryDirectory() as profile:
        words = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            *QUIET,
            f"--user-data-dir={profile}",
        ]
        words += [f"--screenshot={picture}", f"--window-size={width},{height}", "--virtual-time-budget=8000"]
        subprocess.run([chromium, *words, page.as_uri()], check=True, capture_output=True, timeout=120)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    os.chdir(ROOT)  # the report names the bundle as it was given: from here
    with (
        tempfile.TemporaryDirectory() as folder,
        open_bundle(SAMPLES / "straggler/bundle") as incident,
    ):
        place = Path(folder)
        report = incident.report(place / "report.html", req_ids=[REQUEST])
        shot(report, IMAGES / "report.png", 1440, 1620)
        console = Console(record=True, width=88, file=(place / "ignored").open("w"))
        console.print(Text.from_ansi(chain_tree(incident.chain(REQUEST), width=88, colour=True)))
        page = place / "chain.html"
        page.write_text(console.export_html(inline_styles=True), "utf-8")
        shot(page, IMAGES / "chain.png", 880, 1112)  # down to the last link
    for name, sample, request in (
        ("incident_timeline", "memory_evaporation", "b-145"),
        ("tactics", "straggler", REQUEST),
        ("margins", "straggler", REQUEST),
    ):
        with open_bundle(SAMPLES / sample / "bundle") as incident:
            incident.chart(name, request).save(IMAGES / f"{name}.png", scale_factor=1.2)
    for picture in sorted(IMAGES.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
