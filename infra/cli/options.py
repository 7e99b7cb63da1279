"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.errors import SettingError

ServiceArgument = Annotated[str, typer.Argument(help="A feature service.", show_default=False)]
OutOption = Annotated[Path, typer.Option(help="The Parquet file to write.", show_default=False)]
EventsOption = Annotated[
    Path | None,
    typer.Option(help="The events that get feature vectors, .parquet, .csv or .jsonl; none: the history.", show_default=False),
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
HistoryOption = Annotated[
    list[str] | None, typer.Option(help="Another history of a source.", metavar="SOURCE=FILE", show_default=False)
]


def histories(written: list[str] | None) -> dict[str, Path]:
    """``SOURCE=FILE``, several times."""
    pairs = [item.partition("=") for item in written or ()]
    for source, _, file in pairs:
        if not file:
            raise SettingError(f"a history is SOURCE=FILE; got '{source}'; write --history payments=old.parquet, say")
    return {source: Path(file) for source, _, file in pairs}
