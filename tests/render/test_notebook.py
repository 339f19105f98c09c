"""The displays for notebooks."""

from __future__ import annotations

from postmortem.render.notebook import chain_html, link_html
from tests.render.samples import chain, empty_chain, hostile_chain


def test_a_chain_shows_its_links() -> None:
    """The chain's display holds verdict, narrative and every link."""
    made = chain_html(chain())
    assert "explained" in made
    assert all(link.summary in made for link in chain().links)


def test_an_empty_chain_shows() -> None:
    """A chain without links has a display too."""
    assert "no reference" in chain_html(empty_chain())


def test_hostile_text_stays_text() -> None:
    """Neither display lets hostile text become markup."""
    hostile = hostile_chain()
    for made in (chain_html(hostile), *(link_html(link) for link in hostile.links)):
        assert "<script" not in made
        assert "<img" not in made
        assert "\u202e" not in made
