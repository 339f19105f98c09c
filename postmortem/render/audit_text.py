"""An audit for the terminal: the one line, the contract part by part, what is lost and how to record it."""

from __future__ import annotations

from rich.text import Text

from postmortem.base.units import count
from postmortem.chain.audit import Audit, PartFound
from postmortem.render.format import Look
from postmortem.render.terminal import Kind, rows_text, written
from postmortem.render.tree import folded
from postmortem.render.words import visible

MARKS = {"recorded": ("●", "green"), "partly": ("◐", "yellow"), "absent": ("○", "red")}
SHOWN = 12  # losses and differences listed: half a screen; all of them are in --json


def audit_text(audit: Audit, width: int = 80, colour: bool = False) -> str:
    """The audit as text, ``width`` columns wide, ended by a newline."""
    look = Look(width, colour)
    parts = [_head(audit, look), _contract(audit, look), _gaps(audit, look)]
    differs = [
        f"{d['what'].replace('_', ' ')}{_on(d['replica'])}: declared {d['declared']}, ran {d['executed']}"
        f" ({count(d['times'], 'time')}{', ' + d['why'] if d['why'] else ''})"
        for d in audit.declared
        if d["agrees"] is False
    ]
    parts.append(_listed("Declared, but something else ran", differs, look))
    losses = [f"{loss['path'] or 'bundle'}: {loss['message']}" for loss in audit.losses]
    parts.append(_listed("Lost", losses, look))
    return "\n".join(part for part in parts if part)


def _head(audit: Audit, look: Look) -> str:
    head = Text("Can this bundle prove which plan ran?\n", style="dim")
    head.append(visible(audit.answer), style="bold")
    head.append(f"\nbundle {visible(audit.bundle)}", style="dim")
    return written(head, look)


def _contract(audit: Audit, look: Look) -> str:
    columns: dict[str, Kind] = {"execution contract": "text", "status": "term", "records": "figure", "field": "text"}
    rows = []
    for finding in audit.contract:
        mark, style = MARKS[finding.status]
        rows.append(
            [
                Text(finding.part),
                Text(f"{mark} {finding.status}", style=style),
                Text(f"{finding.recorded:,} of {finding.records:,}"),
                Text(f"{finding.record}: {', '.join(finding.fields)}"),
            ]
        )
    return rows_text(columns, rows, look)


def _gaps(audit: Audit, look: Look) -> str:
    """What the missing parts forbid to conclude, and what would record them."""
    lacking = [finding for finding in audit.contract if finding.status != "recorded"]
    if not lacking:
        return ""
    lines = [written(Text("What therefore cannot be concluded, and what records it", style="bold"), look)]
    for finding in lacking:
        lines.append(folded(Text(f"{finding.part}{_partly(finding)}: {finding.without}"), look, "    ", "  – "))
        lines.append(folded(Text(f"→ {finding.how}", style="dim"), look, "    "))
    return "".join(lines)


def _partly(finding: PartFound) -> str:
    missing = finding.records - finding.recorded
    return f" (missing in {missing:,} of {finding.records:,})" if finding.status == "partly" else ""


def _on(replica: str | None) -> str:
    return "" if replica is None else f" on replica {replica}"


def _listed(title: str, items: list[str], look: Look) -> str:
    if not items:
        return ""
    lines = [folded(Text(visible(item)), look, "    ", "  – ") for item in items[:SHOWN]]
    if len(items) > SHOWN:
        lines.append(f"    … and {len(items) - SHOWN} more: --json lists them all\n")
    return written(Text(title, style="bold"), look) + "".join(lines)
