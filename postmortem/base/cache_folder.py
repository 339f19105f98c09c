"""Where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path

from postmortem.base.errors import StoreError


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/postmortem``, else ``~/.cache/postmortem``; a relative one is ignored, as its standard says.

    Raises StoreError where no home folder is known: a container may run as a user without one.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "postmortem"
    except RuntimeError as e:
        raise StoreError("cache folder", "no home folder is known", "set XDG_CACHE_HOME to a place for it") from e
