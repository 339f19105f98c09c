"""postmortem: why an LLM inference cluster gave two answers to one request.

The public names; each is imported when first asked for, so that
``import postmortem`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postmortem.api import Incident, open_bundle
    from postmortem.base.errors import PostmortemError
    from postmortem.chain.model import Chain, Link
    from postmortem.record import Recorder

__version__ = "0.1.0"

__all__ = ["Chain", "Incident", "Link", "PostmortemError", "Recorder", "__version__", "open_bundle"]

_HOMES = {
    "Chain": "postmortem.chain.model",
    "Incident": "postmortem.api",
    "Link": "postmortem.chain.model",
    "PostmortemError": "postmortem.base.errors",
    "Recorder": "postmortem.record",
    "open_bundle": "postmortem.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
