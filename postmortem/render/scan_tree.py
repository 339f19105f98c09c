"""A scan for the terminal: the incidents, worst first, then every divergence on a line."""

from __future__ import annotations

from shlex import quote
from typing import Any

from rich.text import Text

from postmortem.base.units import count, number, percent, percents, stretch_text
from postmortem.chain.scan import Cluster, Divergence, Scan
from postmortem.render.format import Look
from postmortem.render.terminal import Kind, rows_text, written
from postmortem.render.tree import VERDICT_STYLES, folded
from postmortem.render.words import plain_kind, visible

NAMED = 6  # requests named in an incident's line: as many as fit two lines of 80 columns
NEAR_SAYS = "no token differs, but a step under another plan, or after one, had its margin within the noise"
NEAR_NAMES = ("request", "step", "margin", "noise", "risk there", "such steps", "risk in all")
NEAR = 10  # requests near the edge that are listed, the riskiest: all of them are in --json
HANGS = 10  # collectives that timed out: one a process group and restart, seldom more
SHOWN = 40  # divergences listed: a screen; all of them are in --json


def scan_text(scan: Scan, width: int = 80, colour: bool = False) -> str:
    """The scan as text, ``width`` columns wide, ended by a newline."""
    look = Look(width, colour)
    parts = [_head(scan, look)]
    parts += [_incident(cluster, number, look) for number, cluster in enumerate(scan.incidents, 1)]
    parts += [_hangs(scan, look)] if scan.hangs else []
    parts += [_ranks(scan, look)] if scan.stragglers or scan.fabric else []
    parts += [_near(scan, look)] if scan.near else []
    if scan.divergences:
        parts.append(_divergences(scan, look))
    return "\n".join(parts)


def _head(scan: Scan, look: Look) -> str:
    head = Text()
    found, incidents = len(scan.divergences), len(scan.incidents)
    head.append(f"{count(found, 'divergence')} in {count(incidents, 'incident')}", style="bold")
    head.append(f"\n{count(scan.requests, 'request')}, {scan.compared} of them with a reference to compare with")
    head.append(f"\nbundle {visible(scan.bundle)}", style="dim")
    return written(head, look)


def _incident(cluster: Cluster, number: int, look: Look) -> str:
    line = Text(f"{number} ", style="bold")
    kind = plain_kind(cluster.kind) if cluster.kind else "nothing that the bundle shows"
    line.append(kind if cluster.root or not cluster.kind else f"begins at {kind}: no root cause shown", style="bold")
    place = ", ".join(
        f"{word} {value}" for word, value in (("rank", cluster.rank), ("replica", cluster.replica)) if value is not None
    )
    if place:
        line.append(f"  {visible(place)}")
    verdict = cluster.verdict.value.replace("_", " ")
    gap = look.width - len(line.plain) - len(verdict)
    line.append(" " * gap if gap > 1 else "  ")
    line.append(verdict, style=VERDICT_STYLES.get(cluster.verdict, "bold"))
    touched = f"{count(len(cluster.requests), 'request')}, {count(cluster.iterations, 'iteration')}"
    if cluster.first_ns is not None and cluster.last_ns is not None:
        touched += f", {stretch_text(cluster.first_ns, cluster.last_ns)}"
    more = len(cluster.requests) - NAMED
    named = ", ".join(cluster.requests[:NAMED]) + (f" and {more} more" if more > 0 else "")
    body = [Text(touched), Text(visible(named), style="dim"), Text(visible(cluster.narrative))]
    # Quoted: it is there to be copied, and an id is anybody's text.
    see = Text(f"postmortem chain --req {quote(visible(cluster.example))} …", style="dim")
    head = written(line, look) if gap > 1 else folded(line, look, "  ", "")
    return head + "".join(folded(text, look, "  ") for text in (*body, see))


def hang_lines(scan: Scan) -> list[str]:
    """What PyTorch's watchdog gave up on, for which ranks, which of their group told none, and who has the lines."""
    lines = []
    for r in scan.hangs[:HANGS]:
        named = r["op"] if r["seq"] is None else f"{r['op']} {r['seq']}"
        line = (
            f"{named}{_of(r)}: the watchdog gave up on {_ranks_text(r['gave_up'])} after {number(r['ran_ms'] / 1000)} s"
        )
        if r["began_ns"] is not None:
            line += f" ({stretch_text(r['began_ns'], r['told_ns'])})"
        if r["behind"] is not None:
            line += f"; {_ranks_text(r['behind'])} told a lower last enqueued: look there first"
        elif r["silent"] is not None:
            line += f"; {_ranks_text(r['silent'])} of the same group told no timeout: look there first, or for the log"
        lines.append(line)
    more = len(scan.hangs) - HANGS
    rest = f"… and {more} more: " if more > 0 else "their lines: "
    return (
        [*lines, f"{rest}postmortem query … {'collective_hangs' if more > 0 else 'collective_timeouts'}"]
        if lines
        else []
    )


def _ranks_text(ranks: str) -> str:
    return f"rank {ranks}" if ranks.isdigit() else f"ranks {ranks}"


def _hangs(scan: Scan, look: Look) -> str:
    return written(Text("collectives that timed out", style="bold"), look) + "".join(
        folded(Text(visible(line)), look, "  ") for line in hang_lines(scan)
    )


def rank_lines(scan: Scan) -> list[str]:
    """Who was late and when transfers were slow, with the iterations that it holds for."""
    return [
        f"rank {r['rank']}{_of(r)}: last in {r['last']} of {r['iterations']} iterations from "
        f"{r['first_iteration']} on, by a median of {number(r['excess_ms'])} ms "
        f"(p = {number(r['p_value'])}); at its peers' pace iterations would be {number(r['saved_ms'])} ms shorter: "
        f"{percent(r['share'])} of the waiting ({percents(r['share_low'], r['share_high'])})"
        for r in scan.stragglers
    ] + [
        f"fabric {r['regime']}{_of(r)}: transfers took {_times_normal(r)}, iterations {r['first_iteration']} to "
        f"{r['last_iteration']}"
        for r in scan.fabric
    ]


def _times_normal(spell: dict[str, Any]) -> str:
    if spell["ratio"] is None:
        return f"{number(spell['transfer_ms'])} ms an iteration, normally none"
    ends = f"{number(spell['ratio_low'])} to {number(spell['ratio_high'])}x"
    return f"{number(spell['ratio'])}x their normal time ({ends})"


def _ranks(scan: Scan, look: Look) -> str:
    return written(Text("ranks and fabric", style="bold"), look) + "".join(
        folded(Text(visible(line)), look, "  ") for line in rank_lines(scan)
    )


def near_cells(scan: Scan) -> list[tuple[str, ...]]:
    """NEAR_NAMES of the riskiest requests that kept their tokens by luck.

    The margin is the smaller of the request's own and its reference's.
    """
    cells: list[tuple[str, ...]] = []
    for r in scan.near[:NEAR]:
        margin = min(r[side] for side in ("margin", "reference_margin") if r[side] is not None)
        cells.append((r["req_id"], str(r["step"]), number(margin), number(r["noise"]), percent(r["risk"]),
                      str(r["steps"]), percent(r["risk_any"])))  # fmt: skip
    return cells


def near_rest(scan: Scan) -> str:
    """How many more there are, and what gives them; empty where all are listed."""
    more = len(scan.near) - NEAR
    return f"… and {more} more: postmortem query … near_flips" if more > 0 else ""


def _near(scan: Scan, look: Look) -> str:
    head = Text(f"{count(len(scan.near), 'request')} near the edge", style="bold")
    head.append(f": {NEAR_SAYS}")
    columns: dict[str, Kind] = {name: "term" if name == "request" else "figure" for name in NEAR_NAMES}
    rows = [[Text(visible(cell)) for cell in cells] for cells in near_cells(scan)]
    rest = near_rest(scan)
    return written(head, look) + rows_text(columns, rows, look) + (f"  {rest}\n" if rest else "")


def _of(row: dict[str, Any]) -> str:
    """Whose it is, where anything tells."""
    return "" if row["replica"] is None else f", replica {row['replica']}"


def _divergences(scan: Scan, look: Look) -> str:
    columns: dict[str, Kind] = {
        "request": "term", "against": "term", "step": "figure", "iteration": "figure", "margin": "figure",
        "incident": "figure", "verdict": "text",
    }  # fmt: skip
    incident_of = {req_id: n for n, cluster in enumerate(scan.incidents, 1) for req_id in cluster.requests}
    rows = [[Text(visible(cell)) for cell in _cells(d, incident_of[d.req_id])] for d in scan.divergences[:SHOWN]]
    text = rows_text(columns, rows, look)
    more = len(scan.divergences) - SHOWN
    return text + (f"… and {more} more: --json lists them all\n" if more > 0 else "")


def _cells(one: Divergence, incident: int) -> tuple[str, ...]:
    return (
        one.req_id,
        one.reference or "",
        "" if one.step is None else str(one.step),
        "" if one.iteration is None else str(one.iteration),
        "" if one.margin is None else number(one.margin),
        str(incident),
        one.verdict.value.replace("_", " "),
    )
