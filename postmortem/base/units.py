"""The only unit conversions and the only number formatting.

Times are UTC epoch nanoseconds (``*_ns``, int), durations milliseconds
(``*_ms``, float), memory MiB (``*_mb``, float).
"""

from __future__ import annotations

from datetime import UTC, datetime

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def ms(ns: float) -> float:
    """Nanoseconds as milliseconds."""
    return ns / NS_PER_MS


def clock_text(ns: int) -> str:
    """A UTC epoch time in ns as ``10:00:03.125`` (milliseconds, UTC).

    >>> clock_text(1_700_000_000_125_000_000)
    '22:13:20.125'
    """
    seconds, rest = divmod(ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{rest // NS_PER_MS:03d}"


def day_text(ns: int) -> str:
    """The UTC day of an epoch time in ns: ``2026-11-02``."""
    return f"{datetime.fromtimestamp(ns // NS_PER_S, UTC):%Y-%m-%d}"


def date_text(ns: int) -> str:
    """A UTC epoch time in ns as ``2026-11-02 10:00:03.125 UTC``."""
    return f"{day_text(ns)} {clock_text(ns)} UTC"


def stretch_text(first_ns: int, last_ns: int) -> str:
    """From one UTC epoch time in ns to another; the second day is told where it is another.

    >>> stretch_text(1_700_000_000_125_000_000, 1_700_000_001_000_000_000)
    '2023-11-14 22:13:20.125 to 22:13:21.000 UTC'
    >>> stretch_text(1_700_000_000_125_000_000, 1_700_007_000_000_000_000)
    '2023-11-14 22:13:20.125 to 2023-11-15 00:10:00.000 UTC'
    """
    last = clock_text(last_ns) if day_text(first_ns) == day_text(last_ns) else date_text(last_ns).removesuffix(" UTC")
    return f"{day_text(first_ns)} {clock_text(first_ns)} to {last} UTC"


def number(value: float, digits: int = 3) -> str:
    """A figure with ``digits`` significant digits, without an exponent where it is readable so.

    >>> number(0.00213), number(1234.5), number(12.0)
    ('0.00213', '1234', '12')
    """
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1) and abs(value) < 1e15:
        return f"{value:.0f}"
    if abs(value) >= 1e-4:
        text = f"{value:.{digits}g}"
        return text if "e" not in text else f"{float(text):f}".rstrip("0").rstrip(".")
    return f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share as ``98.7 %``: what is less than all never reads 100 %.

    >>> percent(0.987), percent(1.0), percent(0.99996), percent(0.00002), percent(0.0)
    ('98.7 %', '100 %', '99.996 %', '0.002 %', '0 %')
    """
    digits = 3
    while (text := number(100 * share, digits)) == "100" and share < 1 and digits < 12:
        digits += 1
    return f"{text} %"


def percents(low: float, high: float) -> str:
    """An interval of shares as ``97.5 to 100 %``, either end as ``percent`` writes it.

    >>> percents(0.975, 1.0), percents(0.9996, 0.9998)
    ('97.5 to 100 %', '99.96 to 99.98 %')
    """
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


#: Units that are counted: one of them is written without its s.
_COUNTED = frozenset({"cycles", "iterations", "logits", "sequences", "steps", "tokens"})


def with_unit(value: float, unit: str) -> str:
    """A figure and its unit: ``1.9 ms``; a plain ratio is written ``2.0x``, below and near one with a digit more.

    >>> with_unit(2.04, "ratio"), with_unit(1.04, "ratio"), with_unit(0.918, "ratio")
    ('2.0x', '1.04x', '0.92x')
    >>> with_unit(1.0, "steps"), with_unit(12.0, "steps"), with_unit(1.0, "ms")
    ('1 step', '12 steps', '1 ms')
    """
    if unit == "ratio":
        digits = 2 if abs(value) < 1.05 else 1  # what would read 1.0x, or 0.9x from 0.85 to 0.95
        return f"{value:.{digits}f}x" if abs(value) < 10 else f"{number(value)}x"
    text = number(value)
    return f"{text} {unit[:-1] if text == '1' and unit in _COUNTED else unit}".rstrip()


def count(n: int, noun: str) -> str:
    """A number of things: ``1 row``, ``12 rows``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def bytes_text(size: int) -> str:
    """A size in bytes as B, KiB, MiB or GiB.

    >>> bytes_text(532), bytes_text(3 << 20)
    ('532 B', '3.0 MiB')
    """
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            break
    return f"{value:.1f} {unit}"
