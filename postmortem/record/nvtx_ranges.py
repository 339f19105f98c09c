"""NVTX ranges and marks in the domain ``postmortem``, or nothing at no cost.

The text of each is ``kind key=value key=value``.
"""

from __future__ import annotations

import os
from types import ModuleType, TracebackType
from typing import Any, Self

DOMAIN = "postmortem"


def text(kind: str, keys: dict[str, object]) -> str:
    """The range's text; white space within a value becomes ``_``, since it parts the keys."""
    if not keys:
        return kind
    return kind + " " + " ".join(f"{k}={_one_word(v)}" for k, v in keys.items())


def _one_word(value: object) -> str:
    return "_".join(str(value).split()) or "_"


def load_nvtx() -> tuple[ModuleType | None, str]:
    """The ``nvtx`` package, or None and why not."""
    try:
        import nvtx
    except Exception as error:  # noqa: BLE001 - a broken native library must not stop a server
        return None, f"nvtx cannot be imported: {type(error).__name__}"
    return nvtx, ""


class _Range:
    """A range as a context manager; one object a use, so that ranges nest."""

    __slots__ = ("_keys", "_kind", "_owner", "_pushed")

    def __init__(self, owner: Ranges, kind: str, keys: dict[str, object]) -> None:
        self._owner = owner
        self._kind = kind
        self._keys = keys
        self._pushed = False

    def __enter__(self) -> Self:
        self._pushed = self._owner.push(self._kind, self._keys)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pushed:
            self._owner.pop()


class _NoRange:
    """What a range is where nobody listens."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


NO_RANGE = _NoRange()


class Ranges:
    """Ranges and marks of one process.

    ``on``: True, False, or None for "only where a profiler listens". The last
    is the default because the ``nvtx`` package keeps every text that it ever
    saw: unique texts (a sequence number in each) would grow for as long as
    the server runs. A profiler announces itself in ``NVTX_INJECTION64_PATH``.

    Ranges nest per thread. Nothing here raises; ``errors`` counts what failed.
    """

    def __init__(self, on: bool | None = None) -> None:
        self.errors = 0
        self.off_because = ""
        self._nvtx: Any = None
        if on is False:
            self.off_because = "switched off"
        elif on is None and not os.environ.get("NVTX_INJECTION64_PATH"):
            self.off_because = "no profiler listens"
        else:
            self._nvtx, self.off_because = load_nvtx()

    @property
    def on(self) -> bool:
        """Whether ranges reach a profiler's library."""
        return self._nvtx is not None

    def range(self, kind: str, keys: dict[str, object]) -> _Range | _NoRange:
        """A range as long as the ``with`` block."""
        if self._nvtx is None:
            return NO_RANGE
        return _Range(self, kind, keys)

    def push(self, kind: str, keys: dict[str, object]) -> bool:
        """Open a nested range; whether it was opened."""
        if self._nvtx is None:
            return False
        try:
            self._nvtx.push_range(text(kind, keys), domain=DOMAIN)
        except Exception:  # noqa: BLE001 - counted and recorded; never into the server
            self.errors += 1
            return False
        return True

    def pop(self) -> None:
        """Close the innermost range of this thread."""
        try:
            self._nvtx.pop_range(domain=DOMAIN)
        except Exception:  # noqa: BLE001 - counted and recorded; never into the server
            self.errors += 1

    def begin(self, kind: str, keys: dict[str, object]) -> object:
        """Open a range that need not nest (a pin held over many iterations); give the result to ``end``."""
        if self._nvtx is None:
            return None
        try:
            handle: object = self._nvtx.start_range(text(kind, keys), domain=DOMAIN)
        except Exception:  # noqa: BLE001 - counted and recorded; never into the server
            self.errors += 1
            return None
        return handle

    def end(self, handle: object) -> None:
        """Close a range that ``begin`` opened."""
        if handle is None or self._nvtx is None:
            return
        try:
            self._nvtx.end_range(handle)
        except Exception:  # noqa: BLE001 - counted and recorded; never into the server
            self.errors += 1

    def mark(self, kind: str, keys: dict[str, object]) -> None:
        """An instant."""
        if self._nvtx is None:
            return
        try:
            self._nvtx.mark(text(kind, keys), domain=DOMAIN)
        except Exception:  # noqa: BLE001 - counted and recorded; never into the server
            self.errors += 1
