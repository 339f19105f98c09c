"""Chains of postmortem for the scorer: a bundle and a request a line in (JSON), a chain a line out (JSON).

Any tool can stand in for it that answers the same way: ``{"bundle": …, "req_id": …}`` in, the JSON of
``postmortem chain --json`` out, with ``seconds`` beside it.
"""

from __future__ import annotations

import json
import sys
import time

from postmortem import open_bundle
from postmortem.base.errors import PostmortemError


def main() -> None:
    """Answer until the input ends; a bundle stays open while it is asked about."""
    opened, incident = None, None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["bundle"] != opened:
            if incident is not None:
                incident.close()
            opened, incident = asked["bundle"], open_bundle(asked["bundle"])
        assert incident is not None
        start = time.perf_counter()
        try:
            answer = incident.chain(asked["req_id"]).to_dict()
        except PostmortemError as e:
            answer = {"error": str(e)}
        answer["seconds"] = time.perf_counter() - start
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
