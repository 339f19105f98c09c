"""Write the report for the review meeting: one HTML file that needs no network.

Without --req it shows the requests that flipped, the earliest first, then those that got another input.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from postmortem.cli import stderr
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE.html", required=True, help="the report")
    parser.add_argument("--req", metavar="ID", action="append", help="a request to show; may be repeated")
    parser.add_argument("--force", action="store_true", help="overwrite the file where it exists")


def _run(args: Namespace) -> int:
    with opened(args) as incident:
        path = incident.report(args.output, req_ids=args.req, force=args.force)
    stderr.note(f"wrote {path}")
    return Exit.ANSWER


COMMAND = Command("report", __doc__ or "", _arguments, _run)
