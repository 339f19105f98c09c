"""Write the notebooks of ``notebooks/`` and run them, so that they can be read without running.

    python docs/make_notebooks.py            # write, run, keep small outputs
    python docs/make_notebooks.py --check    # whether the cells in notebooks/ are those written here

Charts are kept as pictures; run in JupyterLab they are interactive.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).parents[1] / "notebooks"
SAMPLE = "../sample_traces/incidents/straggler/bundle"
OPEN = f'from postmortem import open_bundle\n\nBUNDLE = "{SAMPLE}"\nincident = open_bundle(BUNDLE)\nincident'

NOTEBOOKS: dict[str, list[str]] = {
    "incident": [
        "# The incident\n\nPoint `BUNDLE` at a folder or archive of traces and run all cells. The bundle is only read.",
        OPEN,
        "## Can this bundle prove which plan ran?\n\nWhat was recorded, and what cannot be concluded without the rest.",
        "incident.audit()",
        "## What happened: every divergence, by incident, worst first",
        "scan = incident.scan()\nscan",
        "## The worst request: what set it off, link by link",
        (
            "worst = scan.incidents[0].example if scan.incidents else None\n"
            "chain = incident.chain(worst) if worst else None\n"
            'chain or print("No chain: no answer of the scan differs; it says how many could be compared.")'
        ),
        "## The timeline",
        'incident.chart("incident_timeline", worst)',
        "## How do you know? Each link, its five tests, and the rows behind it",
        (
            "from IPython.display import display\n\n"
            "for link in chain.links if chain else ():\n"
            "    display(link)\n"
            "    for evidence in link.evidence[:1]:\n"
            "        display(incident.query(evidence.query, **evidence.params).head(3))\n"
            "if not chain or not chain.links:\n"
            '    print("No link, so nothing to test.")'
        ),
        "## Your own question\n\nEvery query of the library by name, or SQL over the store's tables (read-only).",
        (
            "incident.sql(\n"
            '    "SELECT replica, algo_id, count(*) AS steps FROM s_records '
            'WHERE req_id IS NOT NULL GROUP BY ALL ORDER BY ALL"\n'
            ")"
        ),
        "## The report for the meeting\n\nOne file, offline, written beside this notebook.",
        (
            'report = incident.report("incident-report.html", req_ids=[worst] if worst else None, force=True)\n'
            "report.name"
        ),
    ],
    "01_open_a_bundle": [
        "# Open a bundle\n\nA bundle is a folder or an archive. Files are known by what they hold.",
        OPEN,
        "Who read which file, how much of it, and whose it is:",
        'incident.sources.select("path", "kind", "rows", "rejected", "ignored", "replica", "rank")',
        "What must be said about the sources: losses, gaps, things left out.",
        'incident.query("notes")',
        "Nothing is lost: every record that could not be read has a row, with its reason.",
        'incident.query("rejects")',
        "What the bundle can prove, and what would have to be recorded to prove more:",
        "incident.audit()",
    ],
    "02_ask_a_question": [
        "# Ask a question\n\nThe library of queries, and SQL of your own.",
        OPEN.rsplit("\n", 1)[0],
        "Every query, what it tells, and its parameters:",
        "incident.queries",
        "Which answers left their reference's, at which step, and how thin the decision was:",
        'incident.query("flips").select("req_id", "reference", "step", "token_id", "margin").head(5)',
        "How far margins move between two tactics on the same step: the noise that a thin margin drowns in.",
        'incident.query("plan_noise_between")',
        "Which regime each rank was in, and for how long:",
        'incident.query("regime_occupancy", replica="b")',
        "The SQL of any query can be read, and taken further:",
        'print(incident.catalogue.sql_text("flip_by_tactic"))',
        (
            "incident.sql(\n"
            '    "SELECT iteration, batch_size, algo_id FROM engine_iterations "\n'
            "    \"WHERE replica = 'b' AND iteration BETWEEN 225 AND 240 ORDER BY iteration\"\n"
            ")"
        ),
    ],
    "03_walk_a_chain": [
        "# Walk a chain\n\nFrom the flipped token back to what set it off.",
        OPEN.rsplit("\n", 1)[0],
        'chain = incident.chain("b-107")\nchain',
        "Each link has five tests. This one is the straggler's:",
        'straggler = next(link for link in chain.links if link.kind == "straggler_rank")\nstraggler',
        "Where each rank's time went, in the iterations before the batch was cut:",
        'incident.query("rank_iterations", replica="b").filter(iteration=233)',
        'incident.chart("rank_lateness", "b-107")',
        "What else was looked for, and why it is not the cause:",
        "{a.kind: a.ruled_out for a in chain.alternatives}",
        "The same request against its reference, step by step, around the flip:",
        'incident.chart("margins", "b-107")',
    ],
    "04_write_a_report": [
        "# Write a report\n\nOne HTML file for the review meeting: offline, with the evidence folded below each link.",
        OPEN.rsplit("\n", 1)[0],
        "All requests that flipped; the report may show any of them.",
        "incident.flipped()",
        (
            'report = incident.report("straggler-report.html", req_ids=["b-107", "b-108"], force=True)\n'
            'f"{report.name}: {report.stat().st_size / 2**20:.1f} MiB"'
        ),
        "The charts by themselves, as pictures for a slide:",
        "incident.charts",
        'incident.chart("incident_timeline", "b-107")',
    ],
}


def made(cells: list[str]) -> NotebookNode:
    """A notebook: cells that begin with ``#`` or prose are text, the others code."""
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    for number, text in enumerate(cells):
        code = re.match(r"(from |incident|scan|worst|chain|report|straggler|print|\{)", text) is not None
        cell = (new_code_cell if code else new_markdown_cell)(text)
        cell.id = f"cell-{number:02d}"
        notebook.cells.append(cell)
    return notebook


def run(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook with its outputs: charts as pictures, nothing of this machine in them."""
    from nbclient import NotebookClient

    pictures = new_code_cell('import altair\n\naltair.renderers.enable("png", scale_factor=0.8)')
    notebook.cells.insert(0, pictures)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    del notebook.cells[0]
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = number
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main() -> int:
    """Write or check all notebooks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = []
    for name, cells in NOTEBOOKS.items():
        place = HERE / f"{name}.ipynb"
        if args.check:
            there = nbformat.read(place, as_version=4) if place.is_file() else new_notebook()
            if [c.source for c in there.cells] != cells:
                stale.append(place.name)
            continue
        HERE.mkdir(exist_ok=True)
        nbformat.write(run(made(cells), HERE), place)
        print(f"{place.name}: {place.stat().st_size / 1024:.0f} KiB")
    print("\n".join(stale), end="\n" if stale else "")
    for left in HERE.glob("*-report.html"):
        left.unlink()
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
