"""Whether a file is an NCCL log: by its text, never by its name."""

from __future__ import annotations

import json
import re

from postmortem.ingest.reader import Head
from postmortem.ingest.readers.nccl_log import torch

# From the beginning of a word on: of a line of a megabyte that is one word, each character is looked at once.
_RECORD = re.compile(
    rb"(?<![\w.-])[\w.-]++:\d+:\d+ (?:\[-?\d+\] )?(?:\S+ )?(?:\S+ (?:\(\w+\) )?)?NCCL (?:INFO|WARN|TRACE|CALL) ",
    re.ASCII,
)
_BARE = re.compile(rb"(?:^|[\]>:|] |\n)(?:\[\d+\] )?NCCL (?:INFO|WARN) \S", re.ASCII)
_VERSION = re.compile(rb"^NCCL version \d+\.\d+\S*\+(?:cuda|hip)[\d.]+\s*$", re.M)

# Files that may quote a log among other things: databases, archives, Parquet, Nsight's own.
_BINARY = (b"SQLite format 3\0", b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x7fELF")


# A log some of whose lines are JSON: surer than records told by their fields alone, less than those with a mark.
_AMONG_JSON = 70


def sniff(head: Head) -> int:
    """95: records with their process; 80: PyTorch's watchdog lines; 70: records without, or among JSON; 0: none."""
    data = head.data
    begins = head.begins or data
    if begins.startswith(_BINARY):
        return 0
    if b"NCCL" not in data and not any(mark.encode() in data for mark in torch.MARKS):
        return 0  # spares the patterns on a large text that is nobody's
    if not _other_json(begins):
        return _sure(data)
    if not _whole_json(begins.partition(b"\n")[0]):
        return 0
    # JSON Lines may quote a log; a log may begin with a program's line of JSON.
    return min(_AMONG_JSON, _sure(b"\n".join(line for line in data.split(b"\n") if not _other_json(line))))


def _sure(data: bytes) -> int:
    if _RECORD.search(data):
        return 95
    text = data.decode("utf-8", "replace")
    if any(mark in text for mark in torch.MARKS) and (torch.WATCHDOG.search(text) or torch.STATUS.search(text)):
        return 80
    if _BARE.search(data) or _VERSION.search(data):
        return 70
    return 0


def _other_json(data: bytes) -> bool:
    """JSON Lines or a JSON document, other than a container's ``{"log": ...}`` lines."""
    start = data.lstrip(b"\xef\xbb\xbf\0 \t\r\n")
    if start.startswith(b'{"log":'):
        return False
    return start.startswith((b'{"', b"{\n", b"[{", b"{ "))


def _whole_json(line: bytes) -> bool:
    """Whether a line is a JSON document: what follows it is another."""
    try:
        json.loads(line.lstrip(b"\0").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True
