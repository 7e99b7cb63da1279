"""An explained event in words: what is printed and what is on the page are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from features.times import duration_text, moment_text, short_duration_text
from jobs.audit.comparison import UNEXPLAINED, Cause
from jobs.audit.explain import BatchRow, Explanation, Value, Windows
from jobs.audit.rows import Row

WHY: dict[Cause, str] = {
    "late_row": "a row of its window came too late",
    "late_batch_row": "the batch row was not online yet",
    "changed_definition": "served by other definitions",
    "incomplete": "the receipt says that something was missing",
    "began_empty": "the windows began empty: no backfill",
    "unexplained": "UNEXPLAINED",
}


VALUE_COLUMNS = ("feature", "what it is", "rows", "served", "by history", "why they differ")
"""The columns of `value_rows`."""


def value_rows(explained: Explanation) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Each feature, as it was served and by history; ``rows``: in its window."""
    for value in explained.values:
        rows = "" if value.rows is None else f"{value.rows:,}"
        served = text(value.served) if value.was_served else "–"
        why = WHY[value.cause] if value.cause else ""
        if value.cause == UNEXPLAINED and not explained.in_history:
            why = "history lacks the event, and may lack rows"
        yield value.feature, _what(value), rows, served, text(value.recomputed), why


def sentences(explained: Explanation) -> Iterator[str]:
    """What the event is, what it was given, and by whom."""
    yield f"event {explained.event_id} of service {explained.service}, {moment_text(explained.event_time)} UTC"
    columns = ", ".join(f"{name} {text(value)}" for name, value in explained.event.items())
    yield columns if explained.in_history else f"{columns}; history has no such event: its values are as if it came last"
    if explained.published:
        other = {
            name: value
            for name, value in explained.published.items()
            if name in explained.event and value != explained.event[name]
        }
        if other:
            yield "published with " + ", ".join(f"{name} {text(value)}" for name, value in other.items())
    if explained.headers:
        yield "headers of its record: " + ", ".join(f"{name} {value}" for name, value in explained.headers.items())
    if explained.prediction is None:
        yield "never served: no prediction was found"
        return
    receipt = explained.prediction.receipt
    yield f"score {explained.prediction.score:g}, by {receipt.model} v{receipt.version}"
    plan = "the definitions as they are" if receipt.plan == explained.plan else f"other definitions than now, {explained.plan}"
    yield f"plan {receipt.plan}: {plan}"
    vector, score = receipt.featured_at - receipt.arrived_at, receipt.scored_at - receipt.featured_at
    yield f"arrived {moment_text(receipt.arrived_at)}, feature vector after {vector:,} ms, score after {score:,} ms more"
    if not receipt.complete:
        views = ", ".join(f"{view}: {why}" for view, why in receipt.incomplete.items())
        yield f"not complete: {views or 'rows of its windows were gone'}"


def stage_title(stage: Windows) -> str:
    """Which rows a stage has."""
    key = ", ".join(f"{name} {text(value)}" for name, value in stage.key.items())
    inside = sum(row.where == "in" for row in stage.rows)
    return f"{stage.source} of {key}: {inside:,} rows in the longest window, {duration_text(stage.longest_ms)}"


def stage_columns(stage: Windows) -> tuple[str, ...]:
    """The columns of `stage_rows`."""
    return ("time", "before the event", "event", *stage.columns, "windows", "")


def stage_rows(explained: Explanation, stage: Windows, most: int) -> Iterator[tuple[str, ...]]:
    """The newest rows of the longest window, with those just out of it on both sides."""
    lengths = sorted({value.window_ms for value in explained.values if value.of == stage.stage and value.window_ms is not None})
    late = {(row.event_id, row.event_time): row.arrived_at for row in stage.late}
    inside = [row for row in stage.rows if row.where == "in"]
    left = max(0, len(inside) - most)
    before, after = ([row for row in stage.rows if row.where == where] for where in ("before", "after"))
    for row in before:
        yield _row(explained, stage, row, lengths, "just out: too old")
    if left:
        yield (f"… {left:,} more", *[""] * (len(stage_columns(stage)) - 1))
    for row in inside[left:]:
        arrived = late.get((row.event_id, row.event_time))
        came = "" if arrived is None else f"LATE: came {moment_text(arrived)}, after the event had its vector"
        own = row.event_id == explained.event_id and row.event_time == explained.event_time
        yield _row(explained, stage, row, lengths, came or ("the event itself" if own else ""))
    for row in after:
        same = row.event_time == explained.event_time
        yield _row(explained, stage, row, lengths, "out: came after it" if same else "out: later")


def batch_sentence(explained: Explanation, row: BatchRow) -> str:
    """Which row of a batch view the event had, of which window, and which it should have had."""
    key = ", ".join(f"{name} {text(value)}" for name, value in row.key.items())
    made = f"{_batch_row(explained, row.as_of)}, made of all {row.source} before that"
    true = f"none is to be used ({row.incomplete})" if row.incomplete else made
    said = f"batch view {row.view} of {key}: by history {true}"
    if explained.prediction is None:
        return said
    if (row.served_as_of, row.served_incomplete) == (row.as_of, row.incomplete):
        return f"{said}; the same was served"
    if row.served_incomplete:
        return f"{said}; none was served, as the online store's was {row.served_incomplete}"
    return f"{said}; served was {_batch_row(explained, row.served_as_of)}"


def text(value: Any) -> str:
    """A value as a person reads it: a double to 6 digits."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(text, value)) or "an empty list" if isinstance(value, list) else str(value)


def _what(value: Value) -> str:
    if value.inputs is None:
        return value.text
    given = ", ".join(f"{name}={text(one)}" for name, one in value.inputs.items())
    return f"function of {given}"


def _batch_row(explained: Explanation, as_of: int | None) -> str:
    if as_of is None:
        return "none"
    return f"the row of {moment_text(as_of)}, {short_duration_text(explained.event_time - as_of)} before the event"


def _row(explained: Explanation, stage: Windows, row: Row, lengths: list[int], said: str) -> tuple[str, ...]:
    age = explained.event_time - row.event_time
    windows = [duration_text(length) for length in lengths if row.where == "in" and age < length]
    values = [text(value) for value in row.values.values()]
    before = short_duration_text(age) if age >= 0 else f"-{short_duration_text(-age)}"
    return moment_text(row.event_time), before, str(row.event_id), *values, " ".join(windows), said
