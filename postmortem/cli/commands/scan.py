"""Find every divergence of a bundle and the incidents that they belong to, worst first.

An incident is a stretch of time with one root cause: walk any of its requests with "chain".
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from postmortem.cli import stdout
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit, Progress


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _run(args: Namespace) -> int:
    with opened(args) as incident:
        progress = Progress()
        try:
            found = incident.scan(lambda done, of: progress.draw(f"{done:,} of {of:,} requests walked back"))
        finally:
            progress.done()
        if args.json:
            stdout.write_json(found.to_dict())
        else:
            from postmortem.render.scan_tree import scan_text

            stdout.write(scan_text(found, width=stdout.width(), colour=stdout.colour()).encode())
    return Exit.ANSWER


COMMAND = Command("scan", __doc__ or "", _arguments, _run)
