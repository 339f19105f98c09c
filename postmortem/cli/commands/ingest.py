"""Read a bundle into its store and say what was read.

The bundle itself is only read. A store that is still fresh is read again here all the same.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from postmortem.base.units import count
from postmortem.cli import stderr, stdout
from postmortem.cli.command import Command, bundle_arguments
from postmortem.cli.stderr import Exit

TOLD = 10  # notes on the whole bundle: the table of its files stays on the screen


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _run(args: Namespace) -> int:
    from postmortem.api import Incident, read_bundle
    from postmortem.ingest.files import shown

    start = time.perf_counter()
    progress = stderr.Progress()
    try:
        store = read_bundle(
            args.bundle, store=args.store, keep_environment=args.keep_environment, progress=progress, fresh=True
        )
    finally:
        progress.done()
    seconds = time.perf_counter() - start
    with Incident(Path(args.bundle), store) as incident:
        sources = incident.catalogue.rows("sources")
        rejects = sum(s["rejected"] for s in sources)
        if args.json:
            keys: tuple[str, ...] = (
                "path",
                "kind",
                "bytes",
                "sha256",
                "rows",
                "rejected",
                "ignored",
                "first_ns",
                "last_ns",
            )
            keys += ("rank", "replica", "seconds", "error")
            answer = {
                "schema": "postmortem.ingest/1",
                "store": shown(str(store)),
                "sources": [{k: s[k] for k in keys} for s in sources],
                "rejects": rejects,
                "seconds": round(seconds, 3),
            }
            stdout.write_json(answer)
            return Exit.ANSWER
        from postmortem.render.format import Look
        from postmortem.render.formats import format_named

        columns = ["path", "kind", "rows", "rejected", "ignored", "replica", "rank", "error"]
        frame = incident.sources.select(columns)
        stdout.write(format_named("table").write(frame, Look(stdout.width(), stdout.colour())))
        for s in sources:
            if s["error"]:
                stderr.note(f"{s['path']}: {s['error']}")
        whole = [n["message"] for n in incident.catalogue.rows("notes") if n["path"] is None]
        for message in whole[:TOLD]:
            stderr.note(message)
        if len(whole) > TOLD:
            stderr.note(f"{len(whole) - TOLD} more on the whole bundle: postmortem query {args.bundle} notes")
        if rejects:
            stderr.note(f"{count(rejects, 'record')} could not be read: postmortem query {args.bundle} rejects")
        stderr.note(f"store: {store}")
    return Exit.ANSWER


COMMAND = Command("ingest", __doc__ or "", _arguments, _run)
