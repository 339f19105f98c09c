"""Write the incident notebook, pointed at the bundle, into this folder, and open it in JupyterLab.

It is written as NAME.ipynb, never beside the evidence and never over another file.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from postmortem.cli import stderr, stdout
from postmortem.cli.command import Command, bundle_arguments, opened
from postmortem.cli.stderr import Exit


def _arguments(parser: ArgumentParser) -> None:
    bundle_arguments(parser)
    parser.add_argument("--no-launch", action="store_true", help="write the notebook and do not open it")


def _run(args: Namespace) -> int:
    with opened(args) as incident:  # read now, so that the notebook opens at once, and a bad bundle is told here
        name = incident.name
    place = _free(Path(f"{name}.ipynb"), Path(args.bundle))
    from postmortem.render.notebook import pointed_at

    options: dict[str, str | bool] = {"store": str(Path(args.store).absolute())} if args.store else {}
    if args.keep_environment:
        options["keep_environment"] = True
    notebook = pointed_at(str(Path(args.bundle).resolve()), **options)
    stdout.write(json.dumps(notebook, indent=1).encode() + b"\n", str(place))
    stderr.note(f"notebook: {place}")
    if args.no_launch:
        return Exit.ANSWER
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        stderr.error(f"{place}: JupyterLab is not installed; pip install 'postmortem[notebooks]', or --no-launch")
        return Exit.NO_ANSWER
    import subprocess

    return subprocess.call([sys.executable, "-m", "jupyterlab", str(place)])  # noqa: S603  our own interpreter


def _free(place: Path, bundle: Path) -> Path:
    """The first of NAME.ipynb, NAME-2.ipynb … that is not there yet. Raises OutputError inside the bundle."""
    from postmortem.base.errors import OutputError
    from postmortem.ingest.files import lies_in

    if lies_in(place, bundle):
        raise OutputError(str(place), "would lie in the bundle, which is only read", "run it in another folder")
    number = 2
    free = place
    while free.exists():
        free = place.with_stem(f"{place.stem}-{number}")
        number += 1
    return free


COMMAND = Command("notebook", __doc__ or "", _arguments, _run)
