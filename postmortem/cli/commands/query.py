"""Ask a question: a query or finding of the library by name, or your own read-only SQL.

Without NAME: the list of queries.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from postmortem.base.errors import OutputError, UsageError
from postmortem.cli import stderr, stdout
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit

FORMATS = ("table", "csv", "json", "jsonl", "parquet")


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="a query's name")
    parser.add_argument("--param", metavar="K=V", action="append", default=[], help="a parameter; may be repeated")
    parser.add_argument("--sql", metavar="TEXT", help="your own SELECT over the store's tables")
    parser.add_argument("--format", choices=FORMATS, default="table", help="(default: table)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of stdout")


def _run(args: Namespace) -> int:
    from postmortem.findings import absent
    from postmortem.ingest.files import lies_in
    from postmortem.render.format import Look
    from postmortem.render.formats import format_named
    from postmortem.render.words import visible

    if args.name and args.sql is not None:
        raise UsageError("query", "takes NAME or --sql, not both")
    if args.param and not args.name:
        raise UsageError("--param", "belongs to a NAME")
    if args.output and lies_in(Path(args.output), Path(args.bundle)):
        raise OutputError(args.output, "lies in the bundle, which is only read", "choose another place with -o")
    params = {}
    for pair in args.param:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--param {pair}", "must have the form K=V")
        params[key] = value
    form = format_named(args.format)
    shown = args.output is None and stdout.terminal()
    if shown and form.binary:
        raise UsageError(f"--format {form.name}", "is binary, which a terminal cannot show", "write a file with -o")
    with opened(args) as incident:
        if args.sql is not None:
            frame = incident.sql(args.sql)
        elif args.name:
            frame = incident.query(args.name, **params)
            if frame.is_empty():
                for missing in absent(incident.catalogue, args.name, params.get("source")):
                    stderr.note(missing)
        else:
            frame = incident.queries
        rows = form.write(frame, Look(stdout.width(), stdout.colour()))
        if shown and form.name != "table":  # which writes its own colours, and hidden characters out
            rows = visible(rows.decode(), keep="\n\t").encode()
        stdout.write(rows, args.output)
    return Exit.ANSWER


COMMAND = Command("query", __doc__ or "", _arguments, _run)
