"""NCCL debug logs, versions 2.3 to 2.30, and PyTorch's watchdog lines among them.

A log says which ranks, hosts, processes and devices there were, how they were connected, which
algorithm was chosen, what failed and which calls were made in which order. It holds no duration
of a collective, often no time, and nothing at all of what CUDA graphs replay.
"""

from __future__ import annotations

from postmortem.ingest.reader import Reader
from postmortem.ingest.readers.nccl_log.read import read
from postmortem.ingest.readers.nccl_log.sniff import sniff

READER = Reader(
    name="nccl_log",
    says="NCCL debug log (NCCL_DEBUG=INFO), with PyTorch's watchdog lines",
    sniff=sniff,
    read=read,
    anywhere=True,
)
