"""The house keeps its rules: public names, lazy imports, fresh pages, README's commands, packaged queries."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from builders import straggler, write_bundle

import postmortem
from postmortem.chain.walk import kinds
from postmortem.store.schema import tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks() -> list[str]:
    """The README's fenced code blocks."""
    return re.findall(r"^```\w*\n(.*?)^```$", README, re.S | re.M)


def test_public_names_exist() -> None:
    """Every public name can be imported, and nothing else is promised."""
    for name in postmortem.__all__:
        assert getattr(postmortem, name) is not None
    with pytest.raises(AttributeError):
        _ = postmortem.nothing_of_the_kind


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["chain", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """Help and version answer without loading duckdb, polars, pyarrow or altair."""
    code = (
        "import sys; from postmortem.cli.main import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "heavy = {'duckdb', 'polars', 'pyarrow', 'altair', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_chain_on_a_warm_store_loads_no_reader(tmp_path: Path) -> None:
    """What only reading or drawing needs stays out: pyarrow, msgspec, archives, statistics and charts."""
    bundle = write_bundle(tmp_path / "bundle", *straggler())
    words = ["chain", "--req", "b-1", str(bundle), "--store", str(tmp_path / "store.duckdb")]
    code = (
        "import sys; from postmortem.cli.main import main\n"
        f"assert main({words!r}) == 0\n"
        "heavy = {'pyarrow', 'msgspec', 'tarfile', 'zstandard', 'scipy', 'altair', 'jinja2'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    for loaded in ("'pyarrow'", "[]"):  # read first, then warm
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        assert loaded in done.stderr


def test_reference_pages_are_fresh() -> None:
    """docs/reference and queries/README.md are what the code says."""
    done = subprocess.run(
        [sys.executable, "docs/make_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run python docs/make_reference.py: {done.stdout}{done.stderr}"


def test_graph_of_kinds_is_sound() -> None:
    """Names in leads_to exist, the graph has no circle, every kind reaches the flip, every effect has a root."""
    known = kinds()
    for kind in known.values():
        assert set(kind.leads_to) <= set(known)
        assert kind.says
        assert kind.seen_in
        assert kind.refuted_by

    def reaches(name: str, seen: tuple[str, ...]) -> set[str]:
        assert name not in seen, f"a circle: {seen}"
        return {name}.union(*(reaches(n, (*seen, name)) for n in known[name].leads_to))

    ends = {name for name, kind in known.items() if not kind.leads_to}
    assert ends == {"token_flip"}
    from_roots = set().union(*(reaches(n, ()) for n, k in known.items() if k.role == "root"))
    assert from_roots == set(known)
    assert all("token_flip" in reaches(name, ()) for name in known)


def test_tables_are_told() -> None:
    """Every table's file parses: what one row is, what records it, a comment on each column."""
    assert len(tables()) > 20
    for table in tables().values():
        assert table.columns


def test_readme_begins_with_two_commands() -> None:
    """The first two fenced blocks are one command each: the shipped chain, and the tests."""
    show, tests = blocks()[:2]
    assert show.strip().count("\n") == 0
    assert tests.strip().count("\n") == 0
    assert "postmortem chain --req" in show
    assert "pytest" in tests


def test_readme_flags_exist() -> None:
    """Every command and flag of postmortem that the README names is one that it has."""
    from postmortem.cli.main import parser

    sub = next(a for a in parser()._actions if a.choices)
    for line in "\n".join(blocks()).splitlines():
        found = re.search(r"(?:^|bin/)postmortem (\w+) (.*)$", line)
        if found:
            command = sub.choices[found[1]]
            known = {s for a in command._actions for s in a.option_strings}
            assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", " " + found[2])) <= known, line


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=() if " query " in line else pytest.mark.slow)
        for block in blocks()[2:3]
        for line in block.splitlines()
    ],
)
def test_readme_commands_run(line: str, tmp_path: Path) -> None:
    """Every command of the README answers, from a folder that holds the samples."""
    (tmp_path / "sample_traces").symlink_to(ROOT / "sample_traces")
    words = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_library_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python gives what its comments say."""
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(blocks()[3], names)
    assert "RootCause(kind='quant_stall', rank=1, replica='b'" in str(names["chain"].root_cause)  # type: ignore[attr-defined]


def test_nothing_tells_how_it_was_made() -> None:
    """Tracked files hold no path of a machine."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix in {".py", ".md", ".sql", ".toml", ".yaml", ".html", ".css", ".js"}:
            text = path.read_text("utf-8")
            assert not re.search(r"(?<![\w.])/(work|opt|root|home)/\w", text) or name.startswith("tests/"), name


@pytest.mark.slow
def test_wheel_holds_the_queries(tmp_path: Path) -> None:
    """An installed wheel finds its queries and tables."""
    pytest.importorskip("build")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "-o", str(tmp_path), str(ROOT)], check=True, capture_output=True
    )
    wheel = next(tmp_path.glob("*.whl"))
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)], check=True
    )
    code = "from postmortem.catalogue.catalogue import queries, queries_folder; print(queries_folder(), len(queries()))"
    alone = {"PYTHONPATH": str(target), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=alone, capture_output=True, text=True, check=True
    )
    assert "_queries" in done.stdout
    assert int(done.stdout.split()[-1]) > 10
