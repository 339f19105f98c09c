"""The displays for notebooks."""

from __future__ import annotations

import re
from dataclasses import replace

from postmortem.chain.scan import Scan
from postmortem.render.notebook import chain_html, link_html, scan_html
from postmortem.render.scan_tree import scan_text
from tests.render.samples import chain, empty_chain, hostile_chain


def test_a_chain_shows_its_links() -> None:
    """The chain's display holds verdict, narrative and every link."""
    made = chain_html(chain())
    assert "explained" in made
    assert all(link.summary in made for link in chain().links)


def test_an_empty_chain_shows() -> None:
    """A chain without links has a display too."""
    assert "no reference" in chain_html(empty_chain())


def test_a_scan_shows_what_the_terminals_scan_shows() -> None:
    """What timed out, late ranks, a slow fabric and near flips stand in the display too, each with its figures."""
    late = {"rank": 1, "replica": "b", "last": 9, "iterations": 10, "first_iteration": 60, "excess_ms": 5.5}
    late |= {"p_value": 0.004, "saved_ms": 5.25, "share": 0.9, "share_low": 0.8, "share_high": 1.0}
    slow = {"regime": "congested", "replica": "b", "ratio": 3.0, "ratio_low": 2.0, "ratio_high": 4.0}
    slow |= {"first_iteration": 70, "last_iteration": 75}
    near = {"step": 7, "margin": 0.0312, "reference_margin": None, "noise": 0.0625, "risk": 0.25, "steps": 3}
    rows = tuple(near | {"req_id": f"b-{n}", "risk_any": 0.5} for n in range(12))
    hang = {"op": "BROADCAST", "seq": 78, "gave_up": "1-3, 5-7", "silent": "0", "ran_ms": 600096.0, "replica": None}
    hang |= {"behind": None}
    hang |= {"began_ns": 1_754_794_450_000_000_000, "told_ns": 1_754_795_050_096_000_000}
    p2p = {"op": "RECV", "seq": None, "gave_up": "5", "silent": None, "ran_ms": 9000.0, "replica": "b"}
    p2p |= {"began_ns": None, "told_ns": None, "behind": None}
    late_one = hang | {"seq": 9, "behind": "0, 4"}
    scan = Scan("calm", 20, 19, (), (), (late,), (slow,), rows, (hang, p2p, late_one))
    shown, terminal = scan_html(scan), " ".join(scan_text(scan, 200).split())
    told = ["rank 1, replica b: last in 9 of 10 iterations", "fabric congested, replica b: transfers took 3x"]
    told += ["12 requests near the edge", "0.0312", "and 2 more"]
    told += [
        "BROADCAST 78: the watchdog gave up on ranks 1-3, 5-7 after 600 s (2025-08-10 02:54:10.000 to 03:04:10.096"
    ]
    told += ["; rank 0 of the same group told no timeout", "RECV, replica b: the watchdog gave up on rank 5 after 9 s"]
    told += ["; ranks 0, 4 told a lower last enqueued: look there first"]
    told += ["their lines: postmortem query … collective_timeouts"]
    for words in told:
        assert words in re.sub("<[^>]*>", "", shown)
        assert words in terminal


def test_a_long_word_is_broken() -> None:
    """A kernel's name as a tactic would push the table out of the page; where words are short, none is broken."""
    told = chain()
    long = replace(told, links=(replace(told.links[0], summary="step 85 ran " + "sm90_xmma_gemm_" * 6),))
    assert chain_html(long).count("overflow-wrap:anywhere") == 1
    assert "overflow-wrap" not in chain_html(told)


def test_hostile_text_stays_text() -> None:
    """Neither display lets hostile text become markup."""
    hostile = hostile_chain()
    for made in (chain_html(hostile), *(link_html(link) for link in hostile.links)):
        assert "<script" not in made
        assert "<img" not in made
        assert "\u202e" not in made


def test_dollar_signs_are_no_formula() -> None:
    """MathJax, which Jupyter runs over a display, is told to leave it: an id like $a$ would be set as a formula."""
    for made in (chain_html(chain()), link_html(chain().links[0]), scan_html(Scan("calm", 2, 1, (), (), (), (), ()))):
        assert re.match(r'<div class="[^"]*\bmathjax_ignore\b', made)
