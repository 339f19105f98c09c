"""Times in front of a record, and whose they are: NCCL's own, the launcher's, the container's.

Another clock than the collectives': NCCL's is the host's at the moment of printing, the others'
often the moment of reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

_DAY = r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_ZONE = r"\s?(Z|UTC|[+-]\d\d:?\d\d)?"
ANY = re.compile(_DAY + _ZONE, re.ASCII)
# NCCL's default since 2.26.2: ``[%F %T] `` directly before the host, any number of digits.
OWN = re.compile(r"\[?" + _DAY + _ZONE + r"\]? ?$", re.ASCII)

NS_DIGITS = 9  # digits of a fraction of a second that make nanoseconds
QUARTER_NS = 900 * 10**NS_DIGITS  # zones lie whole quarters of an hour from UTC


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time: UTC epoch ns, whose it is, and whether its zone was printed.

    Without a zone (``local``) the ns are the wall-clock digits read as if they were UTC.
    """

    ns: int
    whose: str
    local: bool


@lru_cache(maxsize=65_536)  # one entry a second of log: a long log repeats few of them
def seconds_of(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """UTC epoch seconds of a day and time; None for one that no calendar has."""
    try:
        # A leap second is read as the last second of its minute: datetime knows none.
        return int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp())
    except ValueError:
        return None


def year_of(ns: int) -> int | None:
    """The year of a UTC epoch time in ns; None outside of what a calendar knows."""
    try:
        return datetime.fromtimestamp(ns // 10**NS_DIGITS, UTC).year
    except (ValueError, OverflowError, OSError):
        return None


def _offset(zone: str | None) -> int:
    """Seconds east of UTC."""
    if not zone or zone in {"Z", "UTC"}:
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _stamp(match: re.Match[str], whose: str) -> Stamp | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    base = seconds_of(int(year), int(month), int(day), int(hour), int(minute), int(second))
    if base is None:
        return None
    ns = (base - _offset(zone)) * 10**NS_DIGITS + int((fraction or "").ljust(NS_DIGITS, "0"))
    return _within(ns, whose, zone is None)


def _within(ns: int, whose: str, local: bool) -> Stamp | None:
    """A stamp; None where int64 cannot hold its ns (years beyond 2262: broken digits)."""
    return Stamp(ns, whose, local) if abs(ns) < 1 << 63 else None


def in_zone_of(stamp: Stamp | None, other: Stamp | None) -> Stamp | None:
    """A record's time; where its zone is not printed, in that which another time on its line tells. Else the other."""
    if stamp is None or other is None or not stamp.local or other.local:
        return stamp or other
    return _within(stamp.ns + round((other.ns - stamp.ns) / QUARTER_NS) * QUARTER_NS, stamp.whose, False)


def container_time(text: str) -> Stamp | None:
    """The time that docker or CRI put on a line (RFC 3339)."""
    match = ANY.match(text)
    return _stamp(match, "container") if match else None


class Clock:
    """Finds the time of a record in what stands before it.

    time_format: the deployment's own strptime format (bundle.toml), tried first; ``%1f`` to
    ``%9f`` and ``%f`` are fractions, ``_`` stands for a blank as in NCCL's own setting.
    Raises ValueError for a directive that is not understood or stands twice.
    """

    def __init__(self, time_format: str | None) -> None:
        self._custom = re.compile(pattern_of(time_format), re.ASCII) if time_format else None

    def find(self, lead: str) -> tuple[Stamp | None, int]:
        """The time in ``lead`` and where NCCL's own time begins there (else its length)."""
        if self._custom is not None:
            matches = list(self._custom.finditer(lead))
            if matches:
                found = matches[-1]  # the one nearest to the record
                own = not lead[found.end() :].strip("] ")
                stamp = _custom_stamp(found, "nccl" if own else "launcher")
                if stamp is not None:
                    return stamp, found.start() if own else len(lead)
        if "-" not in lead or ":" not in lead:
            return None, len(lead)
        own_match = OWN.search(lead)
        if own_match is not None:
            bracketed = lead[own_match.start()] == "["
            stamp = _stamp(own_match, "nccl" if bracketed else "launcher")
            if stamp is not None and (before := ANY.search(lead, 0, own_match.start())):
                stamp = in_zone_of(stamp, _stamp(before, "launcher"))
            return stamp, own_match.start() if bracketed else len(lead)
        match = ANY.search(lead)
        return (_stamp(match, "launcher") if match else None), len(lead)


_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "m": r"(?P<m>\d\d?)", "d": r"(?P<d>\d\d?)", "H": r"(?P<H>\d\d?)",
    "M": r"(?P<M>\d\d)", "S": r"(?P<S>\d\d)", "f": r"(?P<f>\d{1,9})", "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
    "b": r"(?P<b>[A-Z][a-z]{2})", "s": r"(?P<s>\d{9,11})", "e": r" ?(?P<d>\d\d?)", "y": r"(?P<y>\d\d)",
    "Z": r"(?:[A-Z]{2,5})", "%": "%",
    "a": "[A-Z][a-z]{2}",
}  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def pattern_of(time_format: str) -> str:
    """A regular expression for a strptime/strftime format; ValueError where one is unknown or stands twice."""
    text = time_format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").strip()
    out = []
    at = 0
    while at < len(text):
        if text[at] == "%":
            digits = re.compile(r"\d?").match(text, at + 1)
            at = digits.end() if digits else at + 1
            letter = text[at : at + 1]
            if letter not in _DIRECTIVES:
                raise ValueError(f"logs.time_format {time_format!r}: %{letter} is not understood")
            out.append(_DIRECTIVES[letter])
        elif text[at] in "_ ":
            out.append("[_ ]")
        else:
            out.append(re.escape(text[at]))
        at += 1
    pattern = "".join(out)
    names = re.findall(r"\(\?P<(\w)>", pattern)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"logs.time_format {time_format!r}: %{twice[0]} stands twice")
    return pattern


def _custom_stamp(match: re.Match[str], whose: str) -> Stamp | None:
    got = match.groupdict()
    fraction = int((got.get("f") or "").ljust(NS_DIGITS, "0"))
    if got.get("s"):
        return _within(int(got["s"]) * 10**NS_DIGITS + fraction, whose, False)
    year = int(got["Y"]) if got.get("Y") else 2000 + int(got["y"]) if got.get("y") else 0
    name = got.get("b")
    month = _MONTHS.index(name) + 1 if name in _MONTHS else int(got.get("m") or 0)
    base = seconds_of(
        year, month, int(got.get("d") or 0),
        int(got.get("H") or 0), int(got.get("M") or 0), int(got.get("S") or 0),
    )  # fmt: skip
    if base is None:
        return None
    zone = got.get("z")
    return _within((base - _offset(zone)) * 10**NS_DIGITS + fraction, whose, zone is None)
