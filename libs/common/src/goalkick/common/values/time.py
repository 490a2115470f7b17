"""Time: UTC nanoseconds since the Unix epoch as int64; durations in the same unit."""

import re
from datetime import UTC, datetime, timedelta

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
NS_PER_YEAR = 365 * NS_PER_DAY
"""Crypto trades every day: annualised figures use 365 days."""

_UNITS = {
    "ms": NS_PER_MS,
    "s": NS_PER_SECOND,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as `60s`, `5m`, `1h`, `1d`, `250ms`.

    Raises:
        ValueError: the text is no number followed by ms, s, m, h, d or w.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", text)
    if not match:
        raise ValueError(f"expected a duration such as 60s, 5m, 1h or 1d, found {text!r}")
    return round(float(match[1]) * _UNITS[match[2]])


def format_duration(duration_ns: int) -> str:
    """The shortest exact form of a duration: `5m`, `90s`, `1d`; `0s` for none."""
    if not duration_ns:
        return "0s"
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if duration_ns % _UNITS[unit] == 0:
            return f"{duration_ns // _UNITS[unit]}{unit}"
    return f"{duration_ns}ns"


def parse_time(text: str) -> int:
    """UTC nanoseconds of an ISO date or time; a text without an offset is UTC.

    Raises:
        ValueError: the text is not ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"expected an ISO date or time such as 2023-06-01 or 2023-06-01T12:00, found {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def format_time(time_ns: int) -> str:
    """ISO 8601 in UTC with as many digits as are needed: `2023-06-01T12:00:00Z`."""
    seconds, rest = divmod(time_ns, NS_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"
