"""The shared views of ``queries/_shared``: building blocks that queries name in ``-- uses:``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from postmortem.base.errors import QueryError

_VIEW = re.compile(r"^CREATE (VIEW|MACRO) (\w+)(?: AS$|\()", re.M)


@cache
def queries_folder() -> Path:
    """Where the SQL library lies: in the installed package, else in the repository."""
    installed = Path(str(files("postmortem"))) / "_queries"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "queries"


@dataclass(frozen=True)
class View:
    """``kind``: VIEW, or MACRO (a function of SQL). ``uses`` names those that it builds on; ``kept``: it is worked out
    once, when a bundle is read. ``head``: what its statement begins with, after the comments.
    """

    name: str
    kind: str
    uses: tuple[str, ...]
    kept: bool
    statement: str
    head: str


@cache
def views() -> tuple[str, ...]:
    """Names of all shared views."""
    return tuple(sorted(p.stem for p in (queries_folder() / "_shared").glob("*.sql")))


@cache
def view(name: str) -> View:
    """A shared view, as a temporary one. Raises QueryError."""
    path = queries_folder() / "_shared" / f"{name}.sql"
    if not path.is_file():
        raise QueryError(f"_shared/{name}", "is used but does not exist")
    text = path.read_text("utf-8")
    match = _VIEW.search(text)
    if not match or match[2] != name:
        raise QueryError(f"_shared/{name}", f"wants 'CREATE VIEW {name} AS' on a line, or CREATE MACRO {name}(")
    lines = re.findall(r"^-- uses: (.+)$", text, re.M)
    uses = tuple(u.strip().removeprefix("_shared/") for line in lines for u in line.split(","))
    kept = re.search(r"^-- kept: \S", text, re.M) is not None
    temporary = match[0].replace("CREATE", "CREATE OR REPLACE TEMP", 1)
    return View(name, match[1], uses, kept, text.replace(match[0], temporary, 1), temporary)
