"""Days, spans and durations: what their texts mean and how they read."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import times
from features.errors import DefinitionError, SettingError
from features.times import (
    DAY_MS,
    Span,
    clock_text,
    day_ms,
    day_of,
    duration_ms,
    duration_text,
    elapsed_text,
    moment_text,
    short_duration_text,
    utc_ms,
)


def test_the_examples_of_the_docstrings_hold() -> None:
    """What the documentation of the module shows is what it gives."""
    assert doctest.testmod(times).failed == 0


@pytest.mark.parametrize("text", ["2018-06-11", "2018-06-11T00:00:00", "2018-06-11T02:00:00+02:00", "2018-06-11T00:00:00Z"])
def test_a_date_is_utc_unless_it_says_otherwise(text: str) -> None:
    """A day is its midnight; an offset is taken off."""
    assert utc_ms(text) == day_ms(date(2018, 6, 11)) == int(datetime(2018, 6, 11, tzinfo=UTC).timestamp()) * 1000


def test_a_text_that_is_no_date_is_refused() -> None:
    """In one line, with what to write."""
    with pytest.raises(SettingError, match="got 'yesterday'; write 2018-06-11, say"):
        utc_ms("yesterday")


@given(st.integers(-(2**40), 2**42))
def test_a_day_holds_its_times(ms: int) -> None:
    """A time lies in the 24 hours from its day's midnight, before 1970 too."""
    assert 0 <= ms - day_ms(day_of(ms)) < DAY_MS
    assert day_of(day_ms(day_of(ms))) == day_of(ms)


def test_a_span_has_its_first_moment_and_not_its_last() -> None:
    """A side that is left open has no end."""
    assert [when in Span(2, 4) for when in (1, 2, 3, 4)] == [False, True, True, False]
    assert -(2**62) in Span(end_ms=0)
    assert 2**62 in Span(0)


@given(st.integers(1, 99_999), st.sampled_from("smhd"))
def test_a_duration_is_read_back_from_its_text(number: int, unit: str) -> None:
    """As a duration, whatever unit it was written in."""
    ms = duration_ms("it", f"{number}{unit}")
    assert timedelta(milliseconds=ms) == number * {"s": timedelta(0, 1), "m": timedelta(0, 60), "h": timedelta(0, 3600)}.get(
        unit, timedelta(1)
    )
    if len(duration_text(ms)) <= 6:
        assert duration_ms("it", duration_text(ms)) == ms


@pytest.mark.parametrize("text", ["", "1", "d", "1.5h", "1w", "-1d", "100000d"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    """With what it was for."""
    with pytest.raises(DefinitionError, match=f"allowed_lateness is a whole number and a unit .*; got '{text}'"):
        duration_ms("allowed_lateness", text)


@given(st.floats(0, 10**7))
def test_a_clock_has_no_minute_of_60_seconds(seconds: float) -> None:
    """What is shown is never more than has passed, and less than a second less."""
    hours, minutes, whole = map(int, clock_text(seconds).split(":"))
    assert minutes < 60
    assert whole < 60
    assert 0 <= seconds - (hours * 3600 + minutes * 60 + whole) < 1


@given(st.floats(0, 10**7))
def test_an_elapsed_time_is_never_rounded_up(seconds: float) -> None:
    """Nor does it say 60.0 s."""
    text = elapsed_text(seconds)
    if text.endswith(" s"):
        assert -1e-9 <= seconds - float(text.removesuffix(" s")) < 0.1 + 1e-9
        assert seconds < 60
    else:
        assert text == clock_text(seconds)
        assert seconds >= 60


@given(st.integers(-(2**70), 2**70) | st.integers(-70_000_000_000_000, 260_000_000_000_000))
def test_every_time_has_a_text(ms: int) -> None:
    """Those that no calendar has too: a message may hold any."""
    text = moment_text(ms)
    assert text == f"{ms} ms" or utc_ms(text) == ms // 1000 * 1000


def test_a_short_duration_has_two_units() -> None:
    """What is smaller is cut off."""
    assert [short_duration_text(ms) for ms in (999, 59_999, 60_000, 3_599_999, DAY_MS + 1)] == [
        "999ms",
        "59s 999ms",
        "1m",
        "59m 59s",
        "1d 1ms",
    ]
