"""The terminal's tree: as it was looked at, and safe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from postmortem.chain.model import Verdict
from postmortem.chain.scan import Cluster, Scan
from postmortem.render.format import Look
from postmortem.render.scan_tree import scan_text
from postmortem.render.terminal import Kind, rows_text
from postmortem.render.tree import chain_tree
from postmortem.render.words import when_text
from tests.render.samples import chain, empty_chain, hostile_chain, links

GOLD = Path(__file__).parent / "gold"


@pytest.mark.parametrize("width", [80, 120])
def test_as_looked_at(width: int) -> None:
    """The tree is the one in gold/; write the new one there where a change is meant."""
    assert chain_tree(chain(), width) == (GOLD / f"tree_{width}.txt").read_text("utf-8")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_keeps_to_the_width(width: int) -> None:
    """No line is wider than asked for."""
    for made in (chain(), empty_chain(), hostile_chain()):
        for line in chain_tree(made, width).splitlines():
            assert cell_len(line) <= width or " " not in line.strip(" │"), line


def test_a_long_name_stays_beside_the_tree() -> None:
    """A pod's name leaves no room for the grade: what comes on the next line stands where the link's text does."""
    made = chain()
    made = replace(made, links=tuple(replace(link, replica="vllm-decode-llama-3-70b-" * 3) for link in made.links))
    tree = "● 1 " + chain_tree(made).split("● 1 ")[1].split(f"● {len(made.links)} ")[0]
    assert {line[0] for line in tree.splitlines()} <= set("●◐○│▼")
    cluster = Cluster("quant_stall", True, 1, "pod-" * 16, Verdict.EXPLAINED, ("r",), 1, None, None, "r", "told")
    told = scan_text(Scan("calm", 2, 1, (cluster,), ())).split("\n\n")[1].splitlines()
    assert (told[0][:2], {line[:2] for line in told[1:]}) == ("1 ", {"  "})


def test_no_colour_unless_asked() -> None:
    """Without colour there is no escape; with it the words are the same."""
    import re

    plain, coloured = chain_tree(chain()), chain_tree(chain(), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_hostile_text_is_written_out() -> None:
    """Nothing from the bundle steers the terminal."""
    made = chain_tree(hostile_chain())
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert "\\x1b[31m" in made


def test_an_empty_chain_says_so() -> None:
    """A chain without links says that nothing can be shown."""
    assert "No link can be shown" in chain_tree(replace(empty_chain(), verdict=Verdict.UNEXPLAINED))
    assert "No link" not in chain_tree(empty_chain())  # without a reference there is nothing to link
    assert "no reference" in chain_tree(empty_chain())


def test_a_table_breaks_no_figure_and_no_word() -> None:
    """In 23 columns all stands in lines, in 17 text is folded and gaps are narrower, in 16 a row is a block."""
    columns: dict[str, Kind] = {"request": "term", "risk": "figure", "what": "text"}
    rows = [[Text("b-1"), Text("62.7"), Text("far late")], [Text("b-2"), Text("8"), Text("slow")]]
    table = "request  risk  what\nb-1      62.7  far late\nb-2         8  slow\n"
    assert rows_text(columns, rows, Look(23)) == table
    folded = "request risk what\nb-1     62.7 far\n             late\nb-2        8 slow\n"
    assert rows_text(columns, rows, Look(17)) == folded
    blocks = rows_text(columns, rows, Look(16))
    assert blocks.splitlines()[:3] == ["row 1 of 2 ─────", "request  b-1", "risk     62.7"]


def test_the_day_is_told_and_where_it_changes() -> None:
    """Times on the terminal have their day and zone at the top, both days where an incident runs over midnight."""
    day = 86_400 * 10**9
    late = replace(links()[0], start_ns=20_000 * day - 500_000_000, end_ns=20_000 * day + 250_000_000)
    head = chain_tree(replace(chain(), links=(late,)))
    assert "bundle incident-2026-11-02, 2024-10-03 to 2024-10-04, times in UTC" in head
    assert "23:59:59.500 to 00:00:00.250" in head
    assert when_text(late) == "2024-10-03 23:59:59.500 to 2024-10-04 00:00:00.250 UTC"
    assert when_text(replace(late, end_ns=None)) == "2024-10-03 23:59:59.500 UTC"
