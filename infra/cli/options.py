"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from features.times import Span, moment_text, utc_ms
from infra.cli.app import note

if TYPE_CHECKING:
    from infra.settings import Settings
    from jobs.training.config import TrainConfig

ServiceArgument = Annotated[str, typer.Argument(help="A feature service.", show_default=False)]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model: the newest version, or the one of a number or an alias.", metavar="MODEL[@VERSION]", show_default=False
    ),
]
OutOption = Annotated[Path, typer.Option(help="The Parquet file to write.", show_default=False)]
EventsOption = Annotated[
    str | None,
    typer.Option(
        help="The events that get feature vectors: a file, a URL or a table (docs/files.md); none: the history.",
        metavar="PLACE",
        show_default=False,
    ),
]
FromOption = Annotated[str | None, typer.Option("--from", help="From this event time, UTC.", metavar="DATE", show_default=False)]
ToOption = Annotated[str | None, typer.Option("--to", help="To before this event time, UTC.", metavar="DATE", show_default=False)]
RateOption = Annotated[
    float | None, typer.Option(help="Events a second; none: as fast as they can be sent.", metavar="NUMBER", show_default=False)
]
SpeedOption = Annotated[
    float | None, typer.Option(help="How many times as fast as the events happened.", metavar="NUMBER", show_default=False)
]
SkipOption = Annotated[int, typer.Option(help="Leave out the first events, which were sent before.", metavar="N", min=0)]
NoCheckOption = Annotated[
    bool,
    typer.Option("--no-check", help="Send at once; else the files are read as a whole before the first event is sent."),
]
PictureOption = Annotated[
    Path | None,
    typer.Option("--out", help="Draw it too: a file that ends in .html, .svg or .png.", metavar="FILE", show_default=False),
]
HistoryOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Another history of a source: a file, a glob, a URL or a table (docs/files.md).",
        metavar="SOURCE=PLACE",
        show_default=False,
    ),
]


def until_of(written: str) -> int:
    """The end of a history."""
    until_ms = utc_ms(written)
    if until_ms is None:
        raise SettingError("a history ends at a time; got none; write --until 2024-05-08, say")
    return until_ms


def histories(written: list[str] | None) -> dict[str, str | Path]:
    """``SOURCE=PLACE``, several times; paths are relative to the working folder."""
    pairs = [item.partition("=") for item in written or ()]
    for source, _, file in pairs:
        if not file:
            raise SettingError(f"a history is SOURCE=PLACE; got '{source}'; write --history payments=old.parquet, say")
    return {source: file for source, _, file in pairs}


def span(start: str | None, end: str | None) -> Span:
    """``--from`` and ``--to``. Raises `SettingError` where one is no date, or no time lies between them."""
    found = Span(utc_ms(start), utc_ms(end))
    if found.start_ms is not None and found.end_ms is not None and found.start_ms >= found.end_ms:
        raise SettingError(f"a span goes from --from to before --to, which is later; got --from {start} --to {end}; swap them")
    return found


def span_text(span: Span) -> str:
    """A span for a person to read; empty where it has no end.

    >>> span_text(Span(0)), span_text(Span(None, 0)), span_text(Span())
    (' from 1970-01-01 00:00:00', ' before 1970-01-01 00:00:00', '')
    """
    start = "" if span.start_ms is None else f" from {moment_text(span.start_ms)}"
    end = "" if span.end_ms is None else f" before {moment_text(span.end_ms)}"
    return start + end


def note_if_empty(rows: int, times: Span, events: str | None) -> None:
    """Say that a span is without events: a wrong year looks like a quiet day."""
    if not rows:
        note(f"{events or 'the history of the spine'} has no event{span_text(times)}; see --from and --to")


def parquet_file(out: Path) -> Path:
    """``--out``, checked before hours of work: a Parquet file that can be written. Raises `SettingError`."""
    return _file(out, "a Parquet file", (".parquet",))


def picture_file(out: Path) -> Path:
    """``--out``, checked before any work: a picture that can be drawn and written. Raises `SettingError`."""
    from jobs.audit import drawing

    drawing.require()
    return _file(out, "a picture", drawing.KINDS)


def _file(out: Path, what: str, suffixes: Sequence[str]) -> Path:
    rule = f"--out is {what} that is written; got {out}"
    if out.suffix not in suffixes:
        raise SettingError(f"{rule}; give it a name that ends in {' or '.join(suffixes)}")
    if out.is_dir():
        raise SettingError(f"{rule}, which is a folder; name a file in it")
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SettingError(f"{rule}, and nothing can be written in {there}; name another folder")
    return out


def day(written: str) -> date:
    """An option that is a day."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise SettingError(f"a day is YYYY-MM-DD; got '{written}'; write 2026-01-31, say") from None


def train_config(settings: Settings, service: str, why: str = "training needs a label") -> TrainConfig:
    """What ``[train.<service>]`` says. Raises `SettingError`, which begins with ``why``, where there is none."""
    if service not in settings.train:
        has = "".join(f", but [train.{name}]" for name in settings.train)
        raise SettingError(f"{why}; headrace.toml has no [train.{service}]{has}; add it, with a label")
    return settings.train[service].config
