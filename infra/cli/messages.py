"""A record of each kind of topic as one line for a person."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from rich.highlighter import JSONHighlighter
from rich.text import Text

from features.times import moment_text, short_duration_text
from infra.cli import show
from schemas.codec import UNREADABLE, decode_dead_letter, decode_features, decode_late_row, decode_prediction
from schemas.topics import DEAD_LETTERS, FEATURES, LATE_ROWS, PREDICTIONS

Line = Callable[[Any], Text | str]

OTHERS = (*UNREADABLE, TypeError)
"""What decoding raises of a record that is of another kind, or has no value."""
BAR = 10
"""Characters of a score's bar."""
REMEMBERED = 100_000
"""Dead letters by which a repeat is known."""


def line_of(topic: str) -> Line:
    """How the records of ``topic`` are shown: by its name, and as plain JSON where that says nothing."""
    kind = topic.partition(".")[0]
    kinds = {PREDICTIONS: _prediction, FEATURES: _features, DEAD_LETTERS.name: _dead_letter, LATE_ROWS.name: _late_row}
    shown = kinds.get(kind, _plain)

    def line(record: Any) -> Text:
        text = shown(record)
        text.plain = text.plain.translate(show.CONTROLS)
        return text

    return line


def as_json(record: Any) -> str:
    """The whole record: its value as it is if that is JSON, as text if not; bytes that are no text are in a field in base64."""
    fields = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp}
    return msgspec.json.encode(fields | _field("key", record.key, _text) | _field("value", record.value, _value)).decode()


def _field(name: str, given: bytes | None, read: Callable[[bytes], Any]) -> dict[str, Any]:
    if given is None:
        return {name: None}
    try:
        return {name: read(given)}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(given).decode()}


def _text(given: bytes) -> str:
    return given.decode()


def _value(given: bytes) -> msgspec.Raw | str:
    text = _text(given)
    try:
        msgspec.json.decode(given, type=msgspec.Raw)  # which takes a number that no double holds
        return msgspec.Raw(msgspec.json.format(given, indent=-1))  # in one line
    except (msgspec.DecodeError, RecursionError):
        return text


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
    except OTHERS:
        return _plain(record)
    colour = "red" if prediction.score >= 0.5 else "yellow" if prediction.score >= 0.1 else "green"
    filled = round(max(0.0, min(1.0, prediction.score)) * BAR)
    parts = [
        (f"{moment_text(prediction.event_time)}  ", "dim"),
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
    except OTHERS:
        return _plain(record)
    views: dict[str, list[str]] = {}
    for name, value in vector.features.items():
        view, _, feature = name.partition("__")
        views.setdefault(view, []).append(f"{feature}={_short(value)}")
    values = "  ".join(f"{view}[{' '.join(inner)}]" for view, inner in views.items())
    state = "" if vector.complete else "  incomplete"
    return Text.assemble(
        (f"{moment_text(vector.event_time)}  ", "dim"), (f"{vector.event_id!s:>10}  ", "bold"), values, (state, "yellow")
    )


def _dead_letter(record: Any) -> Text:
    try:
        letter = decode_dead_letter(record.value)
    except OTHERS:
        return _plain(record)
    origin = f"{letter.origin.topic}/{letter.origin.partition}@{letter.origin.offset}"
    value = "" if letter.value is None else letter.value[:120].decode(errors="replace")
    return Text.assemble(
        (f"{moment_text(letter.arrived_at)}  ", "dim"),
        (letter.reason, "red"),
        f"  {letter.detail}  ",
        (f"{origin}  ", "cyan"),
        (value, "dim"),
    )


def _late_row(record: Any) -> Text:
    """Event time, view, how late, what it would have changed, and where the row lies."""
    try:
        row = decode_late_row(record.value)
    except OTHERS:
        return _plain(record)
    return Text.assemble(
        (f"{moment_text(row.event_time)}  ", "dim"),
        (f"{row.view}  ", "bold"),
        (f"{short_duration_text(row.late_ms)} late", "yellow"),
        f"  {row.changed:,} values of {row.vectors:,} feature vectors would differ",
        ("" if row.counted else ", as far as is known", "dim"),
        (f"  {row.origin.topic}/{row.origin.partition}@{row.origin.offset}", "cyan"),
    )


def _plain(record: Any) -> Text:
    value = "(no value)" if record.value is None else record.value.decode(errors="replace")
    return Text.assemble((f"{record.partition}@{record.offset}  ", "dim"), JSONHighlighter()(Text(value)))


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
