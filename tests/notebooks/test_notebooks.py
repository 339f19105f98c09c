"""The notebooks: as written by docs/make_notebooks.py, small, of the public API, and they run."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import postmortem
from postmortem.cli.main import main
from postmortem.render.notebook import VEGALITE, audit_html, pointed_at, scan_html

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01_open_a_bundle", "02_ask_a_question", "03_walk_a_chain", "04_write_a_report", "incident"]


def code_of(path: Path) -> list[str]:
    """Its cells of code."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_all_are_there() -> None:
    """The five notebooks, and no other."""
    assert [p.stem for p in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_read_without_running(path: Path) -> None:
    """Outputs are kept, none is an error, the file is small, and nothing of a machine stands in it."""
    notebook = json.loads(path.read_text("utf-8"))
    outputs = [o for cell in notebook["cells"] if cell["cell_type"] == "code" for o in cell["outputs"]]
    assert outputs
    assert all(o["output_type"] != "error" for o in outputs)
    assert path.stat().st_size < 512 * 1024
    assert not any(word in path.read_text("utf-8") for word in ("/root/", "/home/", "/tmp/", ".cache"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_public_api_only(path: Path) -> None:
    """They import the package's public names and IPython's display, nothing else."""
    for code in code_of(path):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                assert node.module in {"postmortem", "IPython.display"}
                if node.module == "postmortem":
                    assert {a.name for a in node.names} <= set(postmortem.__all__)
            assert not isinstance(node, ast.Import)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_runs(path: Path, tmp_path: Path) -> None:
    """Run from top to bottom, no cell fails, no chart asks the network; the report written lies beside the notebook."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("../sample_traces", str(ROOT / "sample_traces"))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    charts = [c for c in notebook.cells if c.cell_type == "code" and "incident.chart(" in c.source]
    assert all({VEGALITE, "image/png"} <= set(cell.outputs[0].data) for cell in charts)
    assert "https://cdn" not in nbformat.writes(notebook)
    if path.stem in {"incident", "04_write_a_report"}:
        assert [p.suffix for p in tmp_path.iterdir()] == [".html"]


@pytest.mark.slow
def test_without_an_incident_every_cell_says_why(tmp_path: Path) -> None:
    """Of a bundle in which nothing parted, each cell of the incident notebook shows something, or says why not."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.from_dict(pointed_at(str(ROOT / "sample_traces" / "incidents" / "calm" / "bundle")))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if not cell.outputs] == []
    assert [p.suffix for p in tmp_path.iterdir()] == [".html"]


@pytest.mark.slow
def test_as_written() -> None:
    """The cells are those of docs/make_notebooks.py."""
    pytest.importorskip("nbformat")
    done = subprocess.run(
        [sys.executable, "docs/make_notebooks.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_pointed_at_a_bundle() -> None:
    """The notebook's one place is set, quotes and all, and no output of another bundle is left."""
    notebook = pointed_at('/evidence/it\'s "here"')
    code = "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")
    values = [n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Assign) and n.targets[0].id == "BUNDLE"]  # type: ignore[attr-defined]
    assert [ast.literal_eval(v) for v in values] == ['/evidence/it\'s "here"']
    assert not any(c.get("outputs") for c in notebook["cells"])


def test_opens_as_the_command_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--store and --keep-environment hold for the notebook, too: else it would read the bundle again, without them."""
    monkeypatch.chdir(tmp_path)
    sample = ROOT / "sample_traces" / "incidents" / "calm" / "bundle"
    assert main(["notebook", str(sample), "--no-launch", "--keep-environment", "--store", "it's.duckdb"]) == 0
    notebook = json.loads((tmp_path / "calm.ipynb").read_text("utf-8"))
    code = ast.parse("\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "code"))
    calls = [c for c in ast.walk(code) if isinstance(c, ast.Call) and ast.unparse(c.func) == "open_bundle"]
    options = [{k.arg: ast.literal_eval(k.value) for k in call.keywords} for call in calls]
    assert options == [{"store": str(tmp_path / "it's.duckdb"), "keep_environment": True}]


@pytest.mark.slow
def test_command_writes_beside_you(tmp_path: Path) -> None:
    """--no-launch writes NAME.ipynb where you are, then NAME-2.ipynb, and never into the bundle."""
    sample = ROOT / "sample_traces" / "incidents" / "calm" / "bundle"
    command = [sys.executable, "-m", "postmortem", "notebook", "--no-launch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(bundle: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, str(bundle)], cwd=cwd, capture_output=True, text=True, check=False, env=environment
        )

    for _ in range(2):
        assert run(sample, tmp_path).returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calm-2.ipynb", "calm.ipynb"]
    inside = run(sample, sample)
    assert inside.returncode == 1
    assert "only read" in inside.stderr


def test_displays(tmp_path: Path) -> None:
    """A scan and an audit show their rows, and hostile names stay text."""
    from builders import straggler, write_bundle

    folder = write_bundle(tmp_path, *straggler())
    place = folder / "b.jsonl"
    place.write_text(place.read_text().replace('"b-1"', '"<img src=x>"'))
    with postmortem.open_bundle(folder) as incident:
        shown = scan_html(incident.scan())
        assert "quant stall" in shown
        assert "<img" not in shown
        assert "precision path" in audit_html(incident.audit())
