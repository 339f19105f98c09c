"""The contract of a command, and the arguments that several share."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postmortem.cli.stderr import Progress

if TYPE_CHECKING:
    from postmortem.api import Incident


@dataclass(frozen=True)
class Command:
    """One command: ``arguments`` declares its words, ``run`` answers and returns an exit code."""

    name: str
    help: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def bundle_arguments(parser: ArgumentParser) -> None:
    """BUNDLE, --store, --keep-environment."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder or archive with the traces of an incident")
    parser.add_argument("--store", metavar="FILE", help="the store's place (default: the user's cache folder)")
    parser.add_argument(
        "--keep-environment", action="store_true", help="keep environment variables and command lines in the store"
    )


@contextlib.contextmanager
def opened(args: Namespace) -> Iterator[Incident]:
    """The bundle that the arguments name, read first where needed, with progress on a terminal."""
    from postmortem.api import open_bundle

    progress = Progress()
    try:
        incident = open_bundle(args.bundle, store=args.store, keep_environment=args.keep_environment, progress=progress)
    finally:
        progress.done()
    with incident:
        yield incident
