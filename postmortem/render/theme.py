"""Colours, fonts, sizes and the one Altair theme; nothing else sets them.

Colours are Okabe and Ito's, told apart by colour-blind readers, and differ in lightness so
that they survive a grey printer. Each has a counterpart for dark screens: the page swaps them
by style sheet (``dark_rules``), so that a chart is drawn once and prints light.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from postmortem.chain.model import Grade

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

#: Widths and heights of charts in pixels; the page stretches the width to its own.
WIDTH = 1040
LANE = 52
SMALL = 11
TITLE = 13
#: A chart of one view keeps to its width, names and legends included.
FIT = alt.AutoSizeParams(type="fit-x", contains="padding")
#: More columns than this are aggregated before drawing: about one a pixel.
COLUMNS = 700
#: Altair refuses to draw more rows of one frame than these.
MOST_ROWS = 5000

INK = "#1f2933"
SOFT = "#5f6b7a"
GRID = "#e3e7ec"
PAPER = "#ffffff"
SHADE = "#dfe5ec"

#: Where an iteration's time goes.
STATE_COLOURS: dict[str, str] = {
    "compute": "#0072b2",
    "transfer": "#56b4e9",
    "waiting": "#e69f00",
    "idle": "#c9ced6",
}

GRADE_COLOURS: dict[Grade, str] = {
    Grade.PROVEN: "#00795a",
    Grade.SUPPORTED: "#0069a5",
    Grade.CIRCUMSTANTIAL: "#a35f00",
    Grade.MISSING: "#9b4f7e",
}

#: How much is left of what is no part of the request's own path.
DIMMED = 0.4
#: The request under review, what went wrong, and all else.
LIT = "#d55e00"
OTHER = "#9aa5b1"
CALM = "#3b7a57"

#: Tactics, in the order of their share; more than these are drawn as ``OTHER``.
TACTIC_COLOURS: tuple[str, ...] = ("#0073b3", "#e59e00", "#009e73", "#cc79a7", "#f0e442", "#57b5ea")

#: Regimes, from calm to worst, as docs/reading-a-regime.md names them.
REGIME_COLOURS: dict[str, str] = {
    "normal": "#dfe5ec",
    "queue_degraded": "#56b4e9",
    "memory_pressured": "#f5c97a",
    "paging": "#e07b39",
    "memory_evaporation": "#a8323e",
    "isolation_strict": "#9b4f7e",
}

#: Shares of time that differ by less than this are drawn as one: a pixel or two.
ALIKE = 0.005

#: The fabric's regimes.
FABRIC_COLOURS: dict[str, str] = {
    "normal": "#3b7a57",
    "congested": "#d55e00",
    "degraded": "#a8323e",
    "undecided": "#9b4f7e",
    "not known": "#9aa5b1",
}

#: From nothing to much, for heat maps: light to dark, one hue family, print-safe.
HEAT: tuple[str, ...] = ("#f4f1ea", "#f5c97a", "#e07b39", "#a8323e", "#4a1042")

#: The name of a view in that colour scale: on dark screens "much" must be bright, so it is turned over as a whole.
HEATED = "heated"

_DARK: dict[str, str] = {
    INK: "#e6eaef",
    SOFT: "#a5b0bd",
    GRID: "#323c48",
    PAPER: "#14191f",
    SHADE: "#2a3540",
    STATE_COLOURS["compute"]: "#3a9bdc",
    STATE_COLOURS["transfer"]: "#8fd0f5",
    STATE_COLOURS["waiting"]: "#f0b030",
    STATE_COLOURS["idle"]: "#4a5563",
    GRADE_COLOURS[Grade.PROVEN]: "#2fc196",
    GRADE_COLOURS[Grade.SUPPORTED]: "#5bb4ef",
    GRADE_COLOURS[Grade.CIRCUMSTANTIAL]: "#f0a840",
    GRADE_COLOURS[Grade.MISSING]: "#d99abf",
    LIT: "#ff8a3d",
    OTHER: "#77828f",
    CALM: "#6fc396",
    TACTIC_COLOURS[0]: "#3b9cdd",
}

#: Every colour that a chart or the page may use.
COLOURS: frozenset[str] = frozenset({*_DARK, *_DARK.values(), *TACTIC_COLOURS, *HEAT, "transparent"})


def css_variables(dark: bool) -> str:
    """The page's colours as CSS custom properties."""
    names = {
        "ink": INK,
        "soft": SOFT,
        "grid": GRID,
        "paper": PAPER,
        "shade": SHADE,
        "lit": LIT,
        **{f"state-{name}": colour for name, colour in STATE_COLOURS.items()},
        **{f"grade-{grade.value}": colour for grade, colour in GRADE_COLOURS.items()},
    }
    chosen = {name: _DARK[colour] if dark else colour for name, colour in names.items()}
    return "".join(f"--{name}:{colour};" for name, colour in chosen.items())


def dark_rules() -> str:
    """CSS that turns each light colour drawn in a chart's SVG into its dark counterpart."""
    rules = [
        f'.chart svg [{part}="{light}"]{{{part}:{dark}}}'
        for light, dark in _DARK.items()
        for part in ("fill", "stroke")
    ]
    turned = f".chart svg .{HEATED}_marks,.chart svg .role-legend-gradient{{filter:invert(1) hue-rotate(180deg)}}"
    return "\n".join([*rules, turned])


def config() -> dict[str, Any]:
    """The Vega-Lite configuration that every chart carries."""
    return {
        "background": PAPER,  # a saved picture must be readable on any ground; on dark pages dark_rules turns it
        "font": FONT,
        "view": {"stroke": GRID, "strokeWidth": 1},
        "title": {
            "color": INK,
            "subtitleColor": SOFT,
            "fontSize": TITLE,
            "subtitleFontSize": SMALL,
            "fontWeight": 600,
            "anchor": "start",
            "offset": 6,
        },
        "axis": {
            "labelColor": SOFT,
            "titleColor": SOFT,
            "labelFontSize": SMALL,
            "titleFontSize": SMALL,
            "titleFontWeight": "normal",
            "gridColor": GRID,
            "domainColor": OTHER,
            "tickColor": OTHER,
            "labelLimit": 220,
            "maxExtent": 240,  # or the title of an axis is written over labels longer than Vega's own 200
        },
        "legend": {
            "labelColor": INK,
            "titleColor": SOFT,
            "labelFontSize": SMALL,
            "titleFontSize": SMALL,
            "titleFontWeight": "normal",
            "orient": "top",
            "offset": 4,
            "symbolStrokeWidth": 0,
            "symbolOpacity": 1,
            "titleOrient": "left",
            "titleAnchor": "middle",
        },
        "text": {"color": INK, "fontSize": SMALL, "font": FONT},
        "concat": {"spacing": 8},
    }


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The chart with the one theme put on."""
    themed_chart: alt.TopLevelMixin = chart.configure(**config())
    return themed_chart
