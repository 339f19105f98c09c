"""The report for the review meeting: one self-contained HTML file, offline, written whole or not at all."""

from __future__ import annotations

import base64
import contextlib
from functools import cache
from hashlib import sha256
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import vl_convert
from markupsafe import Markup

from postmortem.base.cache_folder import cache_folder
from postmortem.base.errors import OutputError
from postmortem.base.whole import write_whole
from postmortem.render import theme
from postmortem.render.chart import VEGA_LITE
from postmortem.render.section import ReportContext, environment
from postmortem.render.sections import sections
from postmortem.render.words import visible

__all__ = ["ReportContext", "report_html", "write_report"]


def report_html(context: ReportContext) -> str:
    """The whole page as text, the same for the same context."""
    built = [(section, section.build(context)) for section in sections()]
    style, library, script = _style(), _library(), _asset("report.js")
    policy = (
        "default-src 'none'; "
        f"script-src {_hash(library)} {_hash(script)}; "
        f"style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page = environment().get_template("base.html")
    return page.render(
        context=context,
        title=f"{visible(context.bundle)}: incident report",
        version=context.meta.get("version", ""),
        policy=policy,
        sections=built,
        style=Markup(style),  # noqa: S704  our own asset
        library=Markup(library),  # noqa: S704  Vega's own text
        script=Markup(script),  # noqa: S704  our own asset
    )


def write_report(context: ReportContext, path: Path, *, force: bool = False) -> Path:
    """Write the report to ``path`` and give it back. Raises OutputError where it exists already or cannot be."""
    if path.is_dir():
        raise OutputError(str(path), "is a folder", "name a file")
    if path.exists() and not force:
        raise OutputError(str(path), "exists already", "give --force to overwrite it")
    page = report_html(context).encode("utf-8", "backslashreplace")
    try:
        write_whole(path, page)
    except OSError as e:
        raise OutputError(str(path), e.strerror or str(e), "choose another place with -o") from e
    return path


def _hash(text: str) -> str:
    """A source as the page's policy names it."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("postmortem.render") / "assets" / name).read_text("utf-8")


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, of the version that Altair writes for."""
    # it takes two seconds to put together
    kept = cache_folder() / f"vega-{VEGA_LITE}-by-{metadata.version('vl-convert-python')}.js"
    if kept.is_file():
        return kept.read_text("utf-8")
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    library = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    with contextlib.suppress(OSError):  # where nothing can be kept, it is put together each time
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, library.encode())
    return library


def _style() -> str:
    """The page's style sheet: the theme's colours, light and dark, and the layout."""
    dark = f":root{{{theme.css_variables(dark=True)}}}\n{theme.dark_rules()}"
    light = f":root{{--font:{theme.FONT};--mono:{theme.MONO};{theme.css_variables(dark=False)}}}"
    return f"{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}\n{_asset('report.css')}"
