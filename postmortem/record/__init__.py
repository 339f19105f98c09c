"""For servers: leave x and s records and NVTX ranges behind, cheaply and safely.

    from postmortem.record import Recorder

    with Recorder("records", replica="b", rank=5) as rec:
        rec.x(req_id="r-17", effective_tokens=2048, admitted_ns=time.time_ns())
        with rec.range("iteration", n=880, batch=32):
            ...
        rec.s(iteration=880, ts_ns=start_ns, gpu_ms=21.4, comm_ms=6.2)

Brings nothing of this project with it: the standard library and, where it is
installed, the ``nvtx`` package.
"""

from __future__ import annotations

from postmortem.record.nvtx_ranges import DOMAIN, Ranges, text
from postmortem.record.recorder import Recorder

__all__ = ["DOMAIN", "Ranges", "Recorder", "text"]
