"""Say which parts of the execution contract were recorded, and what therefore cannot be concluded.

With each gap comes the setting that would record it next time. One line to remember: can this bundle
prove which plan ran?
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from postmortem.cli import stdout
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _run(args: Namespace) -> int:
    with opened(args) as incident:
        found = incident.audit()
        if args.json:
            stdout.write_json(found.to_dict())
        else:
            from postmortem.render.audit_text import audit_text

            stdout.write(audit_text(found, width=stdout.width(), colour=stdout.colour()).encode())
    return Exit.ANSWER


COMMAND = Command("audit", __doc__ or "", _arguments, _run)
