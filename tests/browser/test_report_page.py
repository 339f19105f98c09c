"""The report in a real browser: drawn, quiet, offline, and hostile text stays text."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from postmortem.render.report import ReportContext, write_report
from tests.browser.browser import Browser, found
from tests.render.catalogue import FakeCatalogue
from tests.render.samples import HOSTILE, at, chain, frames, hostile_chain

PROGRAM = found()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(str(PROGRAM), tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    calm = pl.DataFrame({"start_ns": [at(50)], "end_ns": [at(250)]})
    context = ReportContext(FakeCatalogue(frames()), (chain(),), "incident", "incident.tar.zst", calm)  # type: ignore[arg-type]
    return write_report(context, tmp_path_factory.mktemp("plain") / "report.html")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a request whose id has 300 letters, and another."""
    chains = (replace(chain(), req_id="x" * 300), chain())
    context = ReportContext(FakeCatalogue(frames()), chains, "incident", "incident.tar.zst")  # type: ignore[arg-type]
    return write_report(context, tmp_path_factory.mktemp("long") / "report.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalogue = FakeCatalogue(frames(text=HOSTILE))
    context = ReportContext(catalogue, (hostile_chain(), chain()), HOSTILE, HOSTILE)  # type: ignore[arg-type]
    return write_report(context, tmp_path_factory.mktemp("hostile") / "report.html")


@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_draws_quietly_and_asks_for_nothing(browser: Browser, which: str, request: pytest.FixtureRequest) -> None:
    """Every chart is drawn, the console stays empty, and no request leaves the page."""
    page: Path = request.getfixturevalue(which)
    browser.open(page)
    drawn = browser.evaluate("document.documentElement.dataset.charts")
    charts = browser.evaluate("document.querySelectorAll('.plot').length")
    assert drawn == f"{charts} of {charts}"
    assert browser.evaluate("document.querySelectorAll('.plot svg').length") == charts
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_hostile_text_never_runs(browser: Browser, hostile: Path) -> None:
    """Hostile names are shown as text, in the page and in the charts, and nothing of them runs."""
    browser.open(hostile)
    assert browser.evaluate("typeof window.broken") == "undefined"
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.body.innerText.includes('<script>window.broken=1</script>')")
    assert browser.evaluate("document.querySelector('.plot svg').textContent.includes('</script>')")
    assert not browser.evaluate("/[\\u202a-\\u202e]/.test(document.body.innerText)")


@pytest.mark.slow
def test_the_policy_holds(browser: Browser, plain: Path) -> None:
    """A script that gets into the page all the same is refused by the page's policy."""
    browser.open(plain)
    browser.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); })()"
    )
    assert browser.evaluate("typeof window.ran") == "undefined"
    assert any("Content Security Policy" in said for said in browser.complaints())


def _domain(browser: Browser) -> list[str]:
    """The labels of the timeline's time axis: they change when it is zoomed."""
    labels = "[...document.querySelectorAll('#chart-incident_timeline .role-axis-label text')].map(t => t.textContent)"
    return sorted(browser.evaluate(labels))


@pytest.mark.slow
def test_zoom_by_keyboard_button_and_back(browser: Browser, plain: Path) -> None:
    """The buttons zoom all lanes to the incident and back to everything."""
    browser.open(plain)
    whole = _domain(browser)
    press = (
        "[...document.querySelectorAll('#chart-incident_timeline button')].find(b => b.textContent === '%s').click()"
    )
    browser.evaluate(press % "The incident")
    browser.until("new Promise(done => setTimeout(() => done(true), 200))")
    assert _domain(browser) != whole
    browser.evaluate(press % "All")
    browser.until("new Promise(done => setTimeout(() => done(true), 200))")
    assert _domain(browser) == whole


@pytest.mark.slow
def test_zoom_by_wheel_and_pan_by_drag(browser: Browser, plain: Path) -> None:
    """Ctrl with the wheel zooms, dragging pans, and the bare wheel is left to the page."""
    browser.open(plain)
    browser.evaluate("document.querySelector('#chart-incident_timeline').scrollIntoView()")
    place = browser.evaluate(
        "(() => { const r = document.querySelector('.concat_1_concat_2_group > g > path.background')"
        ".getBoundingClientRect(); return [r.left + r.width * 0.6, r.top + r.height / 2]; })()"
    )
    x, y = place
    whole = _domain(browser)
    wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -240}
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.call("Input.dispatchMouseEvent", **wheel, modifiers=2)
    browser.until("new Promise(done => setTimeout(() => done(true), 300))")
    zoomed = _domain(browser)
    assert zoomed != whole
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 60), ("mouseMoved", 160), ("mouseReleased", 160)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x - dx, y=y, button="left", buttons=1, clickCount=1)
    browser.until("new Promise(done => setTimeout(() => done(true), 300))")
    assert _domain(browser) != zoomed
    assert browser.complaints() == []


def _drag(browser: Browser, x0: float, x1: float, y: float) -> None:
    for kind, x in (("mousePressed", x0), ("mouseMoved", (x0 + x1) / 2), ("mouseMoved", x1), ("mouseReleased", x1)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
    browser.until("new Promise(done => setTimeout(() => done(true), 300))")


def _window(browser: Browser) -> list[float]:
    """The frame on the overview as shares of its width: which part the lanes show."""
    got: list[float] = browser.evaluate(
        "(() => { const o = document.querySelector('.overview_group > g > path.background').getBoundingClientRect();"
        " const w = [...document.querySelectorAll('.overview_group path')]"
        ".find(p => p.getAttribute('fill-opacity') === '0.12').getBoundingClientRect();"
        " return [(w.left - o.left) / o.width, (w.right - o.left) / o.width]; })()"
    )
    return got


@pytest.mark.slow
def test_brush_on_the_overview(browser: Browser, plain: Path) -> None:
    """Dragging over the overview chooses what the lanes show, dragging the frame moves it, and the frame says where."""
    browser.open(plain)
    browser.evaluate("document.querySelector('#chart-incident_timeline').scrollIntoView()")
    left, top, width, height = browser.evaluate(
        "(() => { const r = document.querySelector('.overview_group > g > path.background').getBoundingClientRect();"
        " return [r.left, r.top, r.width, r.height]; })()"
    )
    assert _window(browser) == pytest.approx([0, 1], abs=0.01)
    whole = _domain(browser)
    _drag(browser, left + 0.4 * width, left + 0.6 * width, top + height / 2)
    assert _window(browser) == pytest.approx([0.4, 0.6], abs=0.01)
    assert _domain(browser) != whole
    _drag(browser, left + 0.5 * width, left + 0.7 * width, top + height / 2)
    assert _window(browser) == pytest.approx([0.6, 0.8], abs=0.01)
    _drag(browser, left + 0.3 * width, left + 0.1 * width, top + height / 2)
    assert _window(browser) == pytest.approx([0.1, 0.3], abs=0.01)
    assert browser.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "says"),
    [("1", ["quant stall, rank 1", "rank 1, replica b, iteration 300"]), ("3", ["collective inflation", "replica b"])],
)
def test_a_mark_shows_its_ids(browser: Browser, plain: Path, mark: str, says: list[str]) -> None:
    """Pointing at a link's mark shows what it is, of which rank and iteration, and no null where it has none."""
    browser.open(plain)
    browser.evaluate("document.querySelector('#chart-incident_timeline').scrollIntoView()")
    x, y = browser.evaluate(
        "(() => { const t = [...document.querySelectorAll('#chart-incident_timeline .mark-text text')]"
        f".find(t => t.textContent === '{mark}').getBoundingClientRect();"
        " return [t.left + t.width / 2, t.top + t.height / 2]; })()"
    )
    for dx in (30, 6, 7):
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + dx, y=y)
    browser.until("document.querySelector('#vg-tooltip-element.visible') !== null", 10)
    shown = browser.evaluate("document.querySelector('#vg-tooltip-element').innerText")
    assert all(text in shown for text in says)
    assert "iteration 300" in shown
    assert "null" not in shown


@pytest.mark.slow
def test_a_chart_is_saved(browser: Browser, plain: Path) -> None:
    """The buttons make an SVG and a PNG of a chart in the page; nothing is asked for."""
    browser.open(plain)
    made = browser.evaluate(
        "(async () => { const made = [];"
        " HTMLAnchorElement.prototype.click = function () { made.push([this.download, this.href]); };"
        " for (const b of document.querySelectorAll('#chart-rank_lateness button')) b.click();"
        " for (let n = 0; made.length < 2 && n < 100; n++) await new Promise(done => setTimeout(done, 50));"
        " return made; })()"
    )
    files = dict(made)
    assert files["rank_lateness.svg"].startswith("blob:")
    assert files["rank_lateness.png"].startswith("data:image/png;base64,")
    assert browser.complaints() == []


@pytest.mark.slow
def test_readable_without_seeing(browser: Browser, plain: Path) -> None:
    """One h1, no level of heading left out, every chart an image with its figures as text, every control named."""
    browser.open(plain)
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    charts = browser.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => [p.getAttribute('role'), p.getAttribute('aria-label'),"
        " document.getElementById(p.getAttribute('aria-describedby'))?.textContent])"
    )
    assert charts
    for role, label, says in charts:
        assert role == "img"
        assert label
        assert any(c.isdigit() for c in says)
    assert browser.evaluate("[...document.querySelectorAll('button')].every(b => b.textContent.trim())")
    assert browser.evaluate("['header', 'nav', 'main', 'footer'].every(t => document.querySelectorAll(t).length === 1)")
    assert browser.evaluate("document.documentElement.lang") == "en"


@pytest.mark.slow
def test_a_link_opens_what_is_folded(browser: Browser, plain: Path) -> None:
    """A link to a folded query opens it."""
    browser.open(plain)
    assert not browser.evaluate("document.getElementById('query-collectives').open")
    browser.evaluate("location.hash = '#query-collectives'")
    browser.until("document.getElementById('query-collectives').open")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 800, 1440])
def test_pages_do_not_scroll_sideways(browser: Browser, long: Path, tmp_path: Path, width: int) -> None:
    """Whatever the width and the names, the page keeps within the window, and no button covers a title."""
    browser.open(long)
    browser.screenshot(tmp_path / "dark.png", width=width, dark=True)
    try:
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        over = browser.evaluate(
            "[...document.querySelectorAll('figure:has(h3)')].filter(f => {"
            " const words = document.createRange(); words.selectNodeContents(f.querySelector('h3'));"
            " const buttons = [...f.querySelectorAll('button')].map(b => b.getBoundingClientRect());"
            " return [...words.getClientRects()].some(a => buttons.some(b =>"
            "   a.right > b.left && a.left < b.right && a.bottom > b.top && a.top < b.bottom)); }).map(f => f.id)"
        )
        assert over == []
        said = browser.evaluate(
            "[...document.querySelectorAll('.tests td:last-child')].map(e => e.getBoundingClientRect())"
            ".every(r => r.width > 0 && r.right <= innerWidth)"
        )
        assert said
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
    assert (tmp_path / "dark.png").stat().st_size > 10_000


#: The contrast of each chart's words to the page behind them, by the formula of WCAG 2.1.
CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts(colour).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
    const own = getComputedStyle(svg).backgroundColor;
    const ground = (parts(own)[3] ?? 1) === 0 ? paper : own;
    const words = ["axis-label", "axis-title", "legend-label", "legend-title", "title-text"];
    return [...svg.querySelectorAll(words.map((word) => `.role-${word} text`).join())].map((text) => {
      const [a, b] = [light(getComputedStyle(text).fill), light(ground)].sort((a, b) => b - a);
      return [(a + 0.05) / (b + 0.05), text.textContent];
    });
  });
})()"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_words_are_readable(browser: Browser, plain: Path, scheme: str) -> None:
    """On light and dark screens a chart's words stand out from what is behind them, 4.5 to 1 as WCAG wants it."""
    browser.open(plain)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    contrasts = browser.evaluate(CONTRASTS)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert len(contrasts) > 100
    assert [pair for pair in contrasts if pair[0] < 4.5] == []


@pytest.mark.slow
def test_what_is_printed(browser: Browser, long: Path) -> None:
    """On paper the other requests and the first chain's evidence stand open, within the sheet, no figure broken."""
    browser.open(long)
    browser.call("Emulation.setEmulatedMedia", media="print")
    sheet = 687  # A4 within margins of 14 mm, at 96 pixels an inch
    browser.call("Emulation.setDeviceMetricsOverride", width=sheet, height=1000, deviceScaleFactor=1, mobile=False)
    browser.until("new Promise(done => setTimeout(() => done(true), 500))")
    browser.until("document.documentElement?.dataset.ready === 'yes'")
    height = "document.querySelector('%s').getBoundingClientRect().height"
    try:
        assert browser.evaluate(height % ".link details.shown table") > 40
        assert browser.evaluate(height % "#summary details.shown table") > 40
        lines = "[...document.querySelectorAll('.link td.figure bdi')].map(e => e.getClientRects().length)"
        assert set(browser.evaluate(lines)) <= {0, 1}  # 0: of an evidence that is not shown
        for gone in ("nav", ".controls", ".anchor"):
            assert browser.evaluate(height % gone) == 0
        widest = (
            "Math.max(...[...document.querySelectorAll('table, svg, pre')].map(e => e.getBoundingClientRect().right))"
        )
        assert browser.evaluate(widest) <= sheet
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
        browser.call("Emulation.clearDeviceMetricsOverride")
    pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) > 3


def _key(browser: Browser, key: str, code: int, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        browser.call(
            "Input.dispatchKeyEvent", type=kind, **pressed, **({"text": text} if kind == "keyDown" and text else {})
        )


@pytest.mark.slow
def test_by_keyboard_alone(browser: Browser, plain: Path) -> None:
    """Tab first reaches a visible way past the contents; what has the focus is framed; Enter zooms and unfolds."""
    browser.open(plain)
    _key(browser, "Tab", 9)
    label, left, style = browser.evaluate(
        "(e => [e.textContent, e.getBoundingClientRect().left, getComputedStyle(e).outlineStyle])"
        "(document.activeElement)"
    )
    assert label == "Skip to what happened"
    assert left >= 0
    assert style == "solid"
    _key(browser, "Enter", 13, "\r")
    browser.until("location.hash === '#summary'", 5)
    reached = []
    for _ in range(300):
        _key(browser, "Tab", 9)
        reached.append(browser.evaluate("document.activeElement.textContent.trim()"))
        if reached[-1] == "The incident":
            break
    assert reached[-1] == "The incident"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    whole = _domain(browser)
    _key(browser, "Enter", 13, "\r")
    browser.until("new Promise(done => setTimeout(() => done(true), 300))")
    assert _domain(browser) != whole
    browser.evaluate("document.querySelector('.link summary').focus()")
    _key(browser, "Enter", 13, "\r")
    browser.until("document.querySelector('.link details').open", 5)
    assert browser.complaints() == []
