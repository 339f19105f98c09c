"""The one scanner: a package whose modules each hold one thing of one kind.

Adding a format, node kind, chart, section or command is adding a file; nothing
lists them by hand.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class RoomError(RuntimeError):
    """A room of the house is built wrong: a defect of the program, not of a bundle."""


def names(package: ModuleType) -> list[str]:
    """The package's public module names, sorted."""
    found = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    return sorted(found)


def room(package: ModuleType, name: str, constant: str, kind: type[T]) -> T:
    """The one thing that the module ``name`` holds under ``constant``.

    Raises RoomError if it is absent, of another type, or its own name is not the module's.
    """
    module = import_module(f"{package.__name__}.{name}")
    thing = getattr(module, constant, None)
    if not isinstance(thing, kind):
        raise RoomError(f"{module.__name__}: wants {constant} = {kind.__name__}(...)")
    own = getattr(thing, "name", name)
    if own != name:
        raise RoomError(f"{module.__name__}: its {constant} is named {own!r}, its file {name!r}")
    return thing


def rooms(package: ModuleType, constant: str, kind: type[T]) -> dict[str, T]:
    """All things of the package by name, in the order of their names."""
    return {name: room(package, name, constant, kind) for name in names(package)}
