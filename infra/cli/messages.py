"""A record of each kind of topic as one line for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.highlighter import JSONHighlighter
from rich.text import Text

from features.times import short_duration_text
from infra.cli import show
from schemas.codec import decode_dead_letter, decode_features, decode_late_row, decode_prediction
from schemas.topics import DEAD_LETTERS, FEATURES, LATE_ROWS, PREDICTIONS

Line = Callable[[Any], Text | str]

BAR = 10
"""Characters of a score's bar."""
REMEMBERED = 100_000
"""Dead letters by which a repeat is known."""


def line_of(topic: str) -> Line:
    """How the records of ``topic`` are shown: by its name, and as plain JSON where that says nothing."""
    kind = topic.partition(".")[0]
    kinds = {PREDICTIONS: _prediction, FEATURES: _features, DEAD_LETTERS.name: _dead_letter, LATE_ROWS.name: _late_row}
    return kinds.get(kind, _plain)


def as_json(record: Any) -> str:
    """The whole record, its value as it is if that is JSON and as text if not."""
    key = None if record.key is None else record.key.decode(errors="replace")
    fields = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp}
    return msgspec.json.encode({**fields, "key": key, "value": _value(record.value)}).decode()


def _value(value: bytes | None) -> msgspec.Raw | str | None:
    if value is None:
        return None
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value.decode(errors="replace")
    return msgspec.Raw(value)


def without_repeats(dead_letters: Iterable[Any]) -> Iterator[Any]:
    """Each of the last `REMEMBERED` dead letters once: a repeat has the same key, the origin of its record."""
    seen: dict[bytes | None, None] = {}
    for record in dead_letters:
        if record.key is not None and record.key in seen:
            continue
        yield record
        seen[record.key] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]


def write(line: Text | str) -> None:
    """One line on stdout."""
    if isinstance(line, str):
        show.out.out(line)
    else:
        show.out.print(line)


def _prediction(record: Any) -> Text:
    """Event time, event id, score as a bar, model and version, and the milliseconds from the event to its prediction."""
    try:
        prediction = decode_prediction(record.value)
    except (msgspec.DecodeError, TypeError):
        return _plain(record)
    colour = "red" if prediction.score >= 0.5 else "yellow" if prediction.score >= 0.1 else "green"
    filled = round(max(0.0, min(1.0, prediction.score)) * BAR)
    parts = [
        (f"{_clock(prediction.event_time)}  ", "dim"),
        (f"{prediction.event_id!s:>10}  ", "bold"),
        (f"{'█' * filled}{'░' * (BAR - filled)} {prediction.score:6.4f}", colour),
        (f"  {prediction.receipt.model} v{prediction.receipt.version}", "cyan"),
        (f"  {record.timestamp - prediction.receipt.arrived_at} ms", ""),
        ("" if prediction.receipt.complete else f"  incomplete{_reasons(prediction.receipt.incomplete)}", "yellow"),
    ]
    return Text.assemble(*parts)


def _reasons(incomplete: Mapping[str, str]) -> str:
    """Why batch views had no row to use."""
    return "".join(f" {view}={reason}" for view, reason in incomplete.items())


def _features(record: Any) -> Text:
    try:
        vector = decode_features(record.value)
    except (msgspec.DecodeError, TypeError):
        return _plain(record)
    views: dict[str, list[str]] = {}
    for name, value in vector.features.items():
        view, _, feature = name.partition("__")
        views.setdefault(view, []).append(f"{feature}={_short(value)}")
    values = "  ".join(f"{view}[{' '.join(inner)}]" for view, inner in views.items())
    state = "" if vector.complete else "  incomplete"
    return Text.assemble(
        (f"{_clock(vector.event_time)}  ", "dim"), (f"{vector.event_id!s:>10}  ", "bold"), values, (state, "yellow")
    )


def _dead_letter(record: Any) -> Text:
    try:
        letter = decode_dead_letter(record.value)
    except (msgspec.DecodeError, TypeError):
        return _plain(record)
    origin = f"{letter.origin.topic}/{letter.origin.partition}@{letter.origin.offset}"
    value = "" if letter.value is None else letter.value[:120].decode(errors="replace")
    return Text.assemble(
        (f"{_clock(letter.arrived_at)}  ", "dim"),
        (letter.reason, "red"),
        f"  {letter.detail}  ",
        (f"{origin}  ", "cyan"),
        (value, "dim"),
    )


def _late_row(record: Any) -> Text:
    """Event time, view, how late, what it would have changed, and where the row lies."""
    try:
        row = decode_late_row(record.value)
    except (msgspec.DecodeError, TypeError):
        return _plain(record)
    return Text.assemble(
        (f"{_clock(row.event_time)}  ", "dim"),
        (f"{row.view}  ", "bold"),
        (f"{short_duration_text(row.late_ms)} late", "yellow"),
        f"  {row.changed:,} values of {row.vectors:,} feature vectors would differ",
        ("" if row.counted else ", as far as is known", "dim"),
        (f"  {row.origin.topic}/{row.origin.partition}@{row.origin.offset}", "cyan"),
    )


def _plain(record: Any) -> Text:
    value = "(no value)" if record.value is None else record.value.decode(errors="replace")
    return Text.assemble((f"{record.partition}@{record.offset}  ", "dim"), JSONHighlighter()(Text(value)))


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
