"""Days, spans and durations, and their texts. Times are UTC milliseconds since 1970, spans are half open."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import msgspec

from features.errors import DefinitionError, SettingError

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIKELY_MS = 100_000_000_000
"""March 1973: before, any number is a time in one unit or another."""
ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-](0[0-9]|1[0-7])(:[0-5][0-9](:[0-5][0-9])?)?|[+-]18(:00(:00)?)?)"
)
"""A time of an event as text, in capitals: ISO 8601 with its offset, as `headrace.formats.JsonColumn` reads it."""
UNITS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
"""Units of durations, as users write them, in milliseconds; the largest first."""


class Span(msgspec.Struct, frozen=True):
    """Times from ``start_ms`` to before ``end_ms``; None: without end.

    >>> 5 in Span(5, 7), 7 in Span(5, 7), 7 in Span(5)
    (True, False, True)
    """

    start_ms: int | None = None
    end_ms: int | None = None

    def __contains__(self, when: int) -> bool:
        return (self.start_ms is None or when >= self.start_ms) and (self.end_ms is None or when < self.end_ms)


ALWAYS = Span()


class EventTimes(msgspec.Struct, frozen=True):
    """Which event times are taken, on the stream and in files (rule 8): none before 1970, none too old, none too far ahead."""

    max_ahead_ms: int = 3_600_000
    max_age_days: int = 18_250
    """Fifty years: a time of today in seconds, read as milliseconds, is of January 1970."""

    def span(self, now_ms: int) -> Span:
        """The times that are taken at ``now_ms``.

        >>> EventTimes(max_ahead_ms=5, max_age_days=1).span(DAY_MS + 7)
        Span(start_ms=7, end_ms=86400013)
        """
        return Span(max(0, now_ms - self.max_age_days * DAY_MS), now_ms + self.max_ahead_ms + 1)


EVENT_TIMES = EventTimes()
"""Those of the settings' defaults."""


def out_of_bounds(when: int, possible: Span, now_ms: int) -> str:
    """What is wrong with an event time that is not in ``possible``; names the unit in which it would be.

    >>> times, now = EVENT_TIMES.span(1_714_550_400_000), 1_714_550_400_000
    >>> [out_of_bounds(now // 1000 * unit, times, now) for unit in (1, 10**6, 10**9)]
    ['looks like seconds', 'looks like microseconds', 'looks like nanoseconds']
    >>> [out_of_bounds(when, times, now) for when in (-1, 0, now + 3_600_001)]
    ['is before 1970', 'is 19844 days old', 'is 3600001 ms ahead of the clock']
    """
    units = {"seconds": when * 1000, "microseconds": when // 1000, "nanoseconds": when // 1_000_000}
    for unit, moment in units.items():
        if moment >= LIKELY_MS and moment in possible:
            return f"looks like {unit}"
    if when < 0:
        return "is before 1970"
    return f"is {(now_ms - when) // DAY_MS} days old" if when < now_ms else f"is {when - now_ms} ms ahead of the clock"


def moment_ms(text: str) -> int | None:
    """A time of an event in `ISO`, lower case too, in UTC milliseconds; None for another text.

    >>> moment_ms("1970-01-01 02:00+02"), moment_ms("1970-01-01t00:00:01.0019z"), moment_ms("1970-01-01T00:00:00")
    (0, 1001, None)
    """
    capitals = text.upper()
    if not re.fullmatch(ISO, capitals):
        return None
    try:
        return to_ms(datetime.fromisoformat(capitals))
    except (ValueError, OverflowError):  # the 30th of February, say
        return None


def to_ms(moment: datetime) -> int:
    """UTC milliseconds; a time without a zone is UTC, and finer digits are cut off."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)


def day_ms(day: date) -> int:
    """The midnight with which a UTC day begins.

    >>> day_ms(date(1970, 1, 2))
    86400000
    """
    return (day - EPOCH.date()).days * DAY_MS


def day_of(ms: int) -> date:
    """The UTC day of a time.

    >>> day_of(86_399_999), day_of(86_400_000)
    (datetime.date(1970, 1, 1), datetime.date(1970, 1, 2))
    """
    return EPOCH.date() + timedelta(days=ms // DAY_MS)


def utc_ms(text: str | None) -> int | None:
    """``2018-06-11`` or ``2018-06-11T12:00:00`` as UTC milliseconds; None stays None. Raises `SettingError`.

    >>> utc_ms("1970-01-01T01:00:00"), utc_ms("1970-01-01T01:00:00+01:00")
    (3600000, 0)
    """
    if text is None:
        return None
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        raise SettingError(
            f"a date is YYYY-MM-DD, with THH:MM:SS if need be, in UTC; got '{text}'; write 2018-06-11, say"
        ) from None


def moment_text(ms: int) -> str:
    """A time, to the second, for a person to read; the milliseconds themselves where no calendar has it.

    >>> moment_text(1_528_712_345_678), moment_text(10**18)
    ('2018-06-11 10:19:05', '1000000000000000000 ms')
    """
    try:
        return (EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=None).isoformat(" ", "seconds")
    except OverflowError:
        return f"{ms} ms"


def duration_ms(what: str, text: str) -> int:
    """``36h`` in milliseconds; the units are s, m, h, d. Raises `DefinitionError`, which begins with ``what``.

    >>> duration_ms("allowed_lateness", "36h")
    129600000
    """
    match = re.fullmatch(r"([0-9]{1,5})([smhd])", text)
    if not match:
        raise DefinitionError(f"{what} is a whole number and a unit (s, m, h, d); got '{text}'; write '36h', say")
    return int(match[1]) * UNITS[match[2]]


def duration_text(ms: int) -> str:
    """All of a duration, in the largest unit that divides it.

    >>> duration_text(604_800_000), duration_text(5_400_000), duration_text(1500)
    ('7d', '90m', '1500ms')
    """
    return next(f"{ms // size}{unit}" for unit, size in UNITS.items() if ms % size == 0)


def short_duration_text(ms: int) -> str:
    """The two largest units of a duration; what is smaller is cut off.

    >>> short_duration_text(97_200_000), short_duration_text(479_999), short_duration_text(0)
    ('1d 3h', '7m 59s', '0ms')
    """
    parts = []
    for unit, size in UNITS.items():
        if ms >= size:
            parts.append(f"{ms // size}{unit}")
            ms %= size
    return " ".join(parts[:2]) or "0ms"


def elapsed_text(seconds: float) -> str:
    """How long something took: below a minute to a tenth of a second, from there as a clock; what is smaller is cut off.

    >>> elapsed_text(0.25), elapsed_text(59.99), elapsed_text(479.9)
    ('0.2 s', '59.9 s', '0:07:59')
    """
    tenths = int(max(seconds, 0) * 10)
    return f"{tenths // 10}.{tenths % 10} s" if tenths < 600 else clock_text(seconds)


def clock_text(seconds: float) -> str:
    """A duration as hours, minutes and seconds; parts of a second are cut off. Less than none, after a clock was set, is none.

    >>> clock_text(479.9), clock_text(90_061), clock_text(-3)
    ('0:07:59', '25:01:01', '0:00:00')
    """
    minutes, whole = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}"
