"""The parser, from the commands that stand in commands/; errors become one line and a code."""

from __future__ import annotations

import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import postmortem
import postmortem.cli.commands as package
from postmortem.base.errors import PostmortemError
from postmortem.base.rooms import rooms
from postmortem.cli import stderr
from postmortem.cli.command import Command
from postmortem.cli.stderr import Exit


def parser() -> ArgumentParser:
    """The whole command line."""
    top = ArgumentParser(
        prog="postmortem",
        description="Why an LLM inference cluster gave two answers to one request: link by link, with the evidence.",
        epilog="Exit codes: 0 an answer, 1 no answer can be given, 2 wrong usage, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"postmortem {postmortem.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, command in rooms(package, "COMMAND", Command).items():
        first = command.help.strip().splitlines()[0]
        sub = commands.add_parser(name, help=first[0].lower() + first[1:].rstrip("."), description=command.help)
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def run() -> NoReturn:
    """The command itself: ends without taking the interpreter apart, which takes longer than many an answer.

    Nothing waits for that: answers are written and stores closed where they are made.
    """
    # JSON Schema's checker of URIs, which comes with JupyterLab, compiles 39 grammars when Altair is imported: two
    # seconds, and nothing here asks it. This process does without.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    # Modules and answers are kept to the end: to look through them for cycles at every 700th new object, as is the
    # default, takes a fourteenth of a chain's time and finds nothing.
    gc.set_threshold(100_000)
    for name in ("stdout", "stderr"):  # closed by who started us (``>&-``): nobody listens
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  to the end
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    try:
        top = parser()
        args, rest = top.parse_known_args(argv)
        # Python 3.11 takes an optional word for absent where an option stands between it and BUNDLE.
        if len(rest) == 1 and not rest[0].startswith("-") and getattr(args, "name", "") is None:
            args.name = rest.pop()
        if rest:
            top.error(f"unrecognized arguments: {' '.join(rest)}")
        return int(args.run(args))
    except PostmortemError as e:
        stderr.error(str(e))
        return e.exit_code
    except KeyboardInterrupt:
        stderr.error("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.ANSWER  # the reader of our output went away (``| head``): nobody is left to tell
    except Exception as e:
        if os.environ.get("POSTMORTEM_DEBUG"):
            raise
        if str(e) == "Query interrupted":  # what DuckDB raises of a Ctrl-C that came while it ran
            stderr.error("interrupted")
            return Exit.INTERRUPTED
        said = str(e).strip().splitlines()
        where = f"{type(e).__name__}: {said[0]}" if said else type(e).__name__
        help_us = "set POSTMORTEM_DEBUG=1 for a traceback, and please report it"
        stderr.error(f"internal error in postmortem: {where}; {help_us}")
        return Exit.NO_ANSWER
