"""Walk one request back from its flipped token to what set it off, link by link.

Each link is graded and names the queries that show it. Where the evidence ends, the chain ends.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from postmortem.cli import stdout
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("--req", metavar="ID", required=True, help="the request whose answer is in question")
    parser.add_argument("--vs", metavar="ID", help="the request to compare with (default: found in its replay group)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _run(args: Namespace) -> int:
    with opened(args) as incident:
        chain = incident.chain(args.req, args.vs)
        if args.json:
            stdout.write_json(chain.to_dict())
        else:
            from postmortem.render.tree import chain_tree

            stdout.write(chain_tree(chain, width=stdout.width(), colour=stdout.colour()).encode())
    return Exit.ANSWER


COMMAND = Command("chain", __doc__ or "", _arguments, _run)
