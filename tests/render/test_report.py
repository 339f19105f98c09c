"""The report: one offline page, the same twice, hostile text shown and never run."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from postmortem.base.errors import OutputError
from postmortem.base.units import clock_text
from postmortem.chain.model import Chain
from postmortem.render.report import ReportContext, report_html, write_report
from postmortem.render.section import rows_around, shown_rows
from postmortem.render.sections import sections
from tests.render.catalogue import FakeCatalogue
from tests.render.samples import HOSTILE, at, chain, empty_chain, frames, hostile_chain


def _context(chains: tuple[Chain, ...] = (), *, hostile: bool = False, bare: bool = False) -> ReportContext:
    got = {} if bare else frames(iterations=400, text=HOSTILE if hostile else None)
    name = HOSTILE if hostile else "incident"
    return ReportContext(FakeCatalogue(got), chains, name, name)  # type: ignore[arg-type]


class _Page(HTMLParser):
    """Tags with their attributes, and what stands inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.words = ""
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside.append((*self._open, data))
        else:
            self.words += data

    def handle_endtag(self, tag: str) -> None:
        self._open = None


@pytest.fixture(scope="module")
def hostile_text() -> str:
    return report_html(_context((hostile_chain(), chain()), hostile=True))


@pytest.fixture(scope="module")
def hostile_page(hostile_text: str) -> _Page:
    return _Page(hostile_text)


@pytest.fixture(scope="module")
def plain_text() -> str:
    return report_html(_context((chain(), empty_chain())))


@pytest.mark.slow
def test_the_same_twice(plain_text: str) -> None:
    """The same bundle gives the same bytes."""
    assert report_html(_context((chain(), empty_chain()))) == plain_text


def test_nothing_is_fetched(hostile_page: _Page) -> None:
    """No attribute names an address outside the page."""
    for tag, attributes in hostile_page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (tag, name, value)
        assert not [name for name in attributes if name.startswith("on")], tag
    style = " ".join(text for tag, _, text in hostile_page.inside if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_names_every_script_and_forbids_the_rest(hostile_page: _Page) -> None:
    """Each script and style is in the policy by its hash; eval, inline handlers and the network are not."""
    policy = next(a["content"] for tag, a in hostile_page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, attributes, text in hostile_page.inside:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, tag


def test_hostile_text_is_shown_as_text(hostile_page: _Page) -> None:
    """Hostile text stands in the page's words, and adds no tag, in markup and in chart data alike."""
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e").replace("\x00", "\\x00")
    assert shown in hostile_page.words
    scripts = [(a, t) for tag, a, t in hostile_page.inside if tag == "script"]
    assert len([a for a, _ in scripts if a.get("type") != "application/json"]) == 2
    for attributes, text in scripts:
        if attributes.get("type") == "application/json":
            assert "<" not in text
            assert ">" not in text


def test_no_hidden_characters(hostile_text: str) -> None:
    """No control character and no mark of reading order reaches the page."""
    body = re.sub(r"<script>.*?</script>", "", hostile_text, flags=re.S)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", body)


def test_the_library_stands_once(plain_text: str) -> None:
    """Vega is inlined once a page, however many charts there are."""
    assert plain_text.count("window.vegaEmbed=") == 1
    assert plain_text.count('class="plot"') >= 4


def test_contents_and_anchors(hostile_page: _Page) -> None:
    """Every link within the page leads to an anchor that exists, and no anchor stands twice."""
    ids = [a["id"] for _, a in hostile_page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = {(a["href"] or "")[1:] for tag, a in hostile_page.tags if tag == "a"}
    assert targets <= set(ids)
    assert {section.name for section in sections()} <= targets


@pytest.mark.parametrize("section", sections(), ids=lambda s: s.name)
def test_every_section_stands_without_data(section) -> None:
    """A section says so where its data are missing, with no chain and with an empty one."""
    for chains in ((), (empty_chain(),)):
        context = ReportContext(FakeCatalogue({}), chains, "calm", "calm")  # type: ignore[arg-type]
        made = re.sub(r"<script.*?</script>|<[^>]*>", "", str(section.build(context)), flags=re.S)
        assert len(made.split()) >= 4


@pytest.mark.parametrize("section", sections(), ids=lambda s: s.name)
def test_every_section_escapes(section) -> None:
    """A section gives back hostile text as text."""
    made = str(section.build(_context((hostile_chain(),), hostile=True)))
    assert "<img" not in made
    assert "<script>window" not in made
    assert "\u202e" not in made


def test_not_calibrated_is_said(plain_text: str) -> None:
    """Where no confidence is given, the page says so."""
    assert "no confidence given" in _Page(plain_text).words


def test_every_link_has_its_tests_and_evidence(plain_text: str) -> None:
    """The page holds each link's grade, tests, query with parameters and first rows."""
    words = _Page(plain_text).words
    for link in chain().links:
        assert link.summary in words
        assert all(test.says in words for test in link.tests)
        assert all(f"postmortem query incident {e.query}" in words for e in link.evidence)
    assert "Rows of rank_iterations" in words


def test_evidence_is_shown_where_the_link_is() -> None:
    """Eight rows around the link's place: its iteration of each rank, its start, the flip's step; all where few."""
    link = replace(chain().links[0], iteration=300, start_ns=at(300))
    its = pl.DataFrame({"rank": [r for r in (0, 1) for _ in range(400)], "iteration": [*range(400)] * 2})
    shown = rows_around(its, link, None)
    assert [tuple(row) for row in shown.cells] == [(r, n) for n in ("298", "299", "300", "301") for r in ("0", "1")]
    assert (shown.around, shown.total) == ("iteration 300", 800)
    calls = pl.DataFrame({"first_arrival_ns": [at(n) for n in range(400)], "seq": range(400)})
    shown = rows_around(calls, link, None)
    assert [row[1] for row in shown.cells] == [str(n) for n in range(296, 304)]
    assert shown.around == clock_text(at(300))
    came = rows_around(calls.select("seq", admitted_ns="first_arrival_ns"), link, None)
    assert [row[0] for row in came.cells] == [str(n) for n in range(296, 304)]
    steps = pl.DataFrame({"step": range(60), "iteration": range(60)})
    shown = rows_around(steps, link, replace(chain().flip, step=58))  # type: ignore[type-var]
    assert [row[0] for row in shown.cells] == [str(n) for n in range(52, 60)]
    assert shown.around == "step 58"
    assert rows_around(steps, replace(link, iteration=0), None).cells[0] == ["0", "0"]
    assert rows_around(steps, replace(link, iteration=99), None).cells[-1] == ["59", "59"]
    assert rows_around(steps.head(8), link, None) == shown_rows(steps.head(8))
    nowhere = pl.DataFrame({"n": range(60)})
    assert rows_around(nowhere, link, None) == shown_rows(nowhere)


def test_the_commands_behind_the_charts_are_given(plain_text: str) -> None:
    """Each chart's rows have their command, with the charts that show them, and the request's steps its own."""
    words = _Page(plain_text).words
    assert "postmortem query incident rank_iterations  # Incident timeline, Lateness by rank" in words
    assert "postmortem query incident request_steps --param=req_id=r-17  # Incident timeline, Margins by step" in words
    assert "postmortem query incident transfer_lines  # Transfers by message size" in words


@pytest.mark.slow
def test_a_chart_with_nothing_to_show_is_named_with_the_reason() -> None:
    """Of a calm bundle no margins are drawn: no request is looked at; the timeline tells its iterations."""
    context = ReportContext(FakeCatalogue(frames(iterations=400)), (), "calm", "calm")  # type: ignore[arg-type]
    words = _Page(report_html(context)).words
    assert "Margins by step: no request has a reference to compare with" in words
    assert "No link is drawn; 400 iterations, of 10 ms in the median, the longest 14 ms." in words
    assert "postmortem query calm rank_iterations  # Incident timeline, Lateness by rank" in words


def test_no_chain_is_no_all_clear() -> None:
    """Without a chain the page says how many requests were compared of how many; of none, that none could be."""
    summary = next(section for section in sections() if section.name == "summary")
    bare = ReportContext(FakeCatalogue({}), (), "calm", "calm")  # type: ignore[arg-type]
    assert "no chain to show: no record tells of any request." in str(summary.build(bare))
    none = ReportContext(FakeCatalogue(frames(iterations=40)), (), "calm", "calm")  # type: ignore[arg-type]
    assert "no chain to show: no request has a reference to compare with." in str(summary.build(none))
    got = frames(iterations=40) | {"compared": pl.DataFrame({"req_id": ["r-17", "r-22"], "reference": "r-3"})}
    some = ReportContext(FakeCatalogue(got), (), "calm", "calm")  # type: ignore[arg-type]
    told = "of 3 requests 2 have a reference to compare with, and none parted from it"
    assert f"no chain to show: {told}." in str(summary.build(some))
    assert some.gathered.absent["request_steps"] == told


def test_flips_are_counted_among_those_that_could_be_compared() -> None:
    """Two flips of two requests with a reference, of three in all: what was not compared did not keep its tokens."""
    summary = next(section for section in sections() if section.name == "summary")
    got = frames(iterations=400) | {"compared": pl.DataFrame({"req_id": ["r-17", "r-22"], "reference": "r-3"})}
    context = ReportContext(FakeCatalogue(got), (chain(),), "incident", "incident")  # type: ignore[arg-type]
    text = re.sub("<[^>]*>", "", str(summary.build(context)))
    assert "2 requests flipped, of 2 with a reference to compare with and 3 in all." in text


def test_a_flip_that_was_only_seen_is_told_as_a_sentence() -> None:
    """Earlier steps are not recorded on both sides: the request was first seen to differ."""
    summary = next(section for section in sections() if section.name == "summary")
    told = chain()
    assert told.flip is not None
    seen = replace(told, flip=replace(told.flip, exact=False))
    assert "<p>It was first seen to differ at step" in str(summary.build(_context((seen,))))
    assert "<p>It flipped at step" in str(summary.build(_context((told,))))


def test_a_request_without_a_reference_leads_back_to_nothing() -> None:
    """Of a chain that parted and one without a reference, one leads back to a cause; of the other no link is missed."""
    summary = next(section for section in sections() if section.name == "summary")
    text = re.sub("<[^>]*>", "", str(summary.build(_context((chain(), empty_chain())))))
    assert "The one walked here leads back to: quant stall (rank 1, replica b): 1." in text
    text = re.sub("<[^>]*>", "", str(summary.build(_context((empty_chain(), empty_chain())))))
    assert "lead back" not in text
    assert "No link can be shown" not in text


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be finished leaves nothing behind, and an older one as it was."""
    target = tmp_path / "report.html"
    target.write_text("older")

    def broken(self: Path, _: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OutputError, match="No space left"):
        write_report(_context(bare=True), target, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "older"


def test_does_not_overwrite(tmp_path: Path) -> None:
    """An existing file is overwritten only when told so."""
    target = tmp_path / "report.html"
    assert write_report(_context(bare=True), target) == target
    first = target.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_report(_context(bare=True), target)
    write_report(_context(bare=True), target, force=True)
    assert target.read_bytes() == first
    with pytest.raises(OutputError, match="is a folder"):
        write_report(_context(bare=True), tmp_path, force=True)
    with pytest.raises(OutputError):
        write_report(_context(bare=True), tmp_path / "absent" / "report.html")
