"""``headrace batch-views``: the daily rows of a service's batch views, computed and written to the online store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import DefinitionError, SettingError
from features.times import DAY_MS, day_ms, day_of
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, warn
from infra.cli.options import HistoryOption, ServiceArgument, histories

if TYPE_CHECKING:
    from features.service import Service
    from jobs.history.batch_views import Computed

ONE_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)


@app.command("batch-views", epilog="Example: headrace batch-views SERVICE --from 2026-01-01 --to 2026-01-15 --push")
def batch_views(
    service: ServiceArgument,
    start: Annotated[
        str | None,
        typer.Option("--from", help="First day, UTC; none: what is missing of a week.", metavar="DATE", show_default=False),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="To before this day, UTC; none: today's too.", metavar="DATE", show_default=False)
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Write the rows to Feast's online store, too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also compute days that are up to date.")] = False,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compute the daily rows of a service's batch views.

    A day's rows come from the history before its midnight. They are kept in the Parquet file that the view names. A day that
    is there is computed again only if its history or its view has changed.
    """
    from features.definitions.load import load
    from infra.cli import show
    from infra.config import with_settings
    from infra.settings import load_settings
    from jobs.history.batch_views import materialize, push_online

    where = folder(project)
    loaded = with_settings(load(where).service(service), load_settings(where))
    if not loaded.plan.batch:
        raise DefinitionError(f"batch views belong to a service; '{service}' has none; add one, see docs/batch-views.md")
    first, last = _days(loaded, start, end)
    with (
        interruptible(lambda: "the days computed so far are saved, and the same command goes on from there"),
        show.progress() as on_progress,
    ):
        done = materialize(loaded, first, last, histories(history), on_progress, again=again)
        pushed = push_online(loaded, last, since=first, on_progress=on_progress) if push else None
    if as_json:
        show.json([_fields(loaded, one, first, last, pushed) for one in done.values()])
    else:
        columns = ("view", "from", "to", "computed", "kept", "rows", "pushed", "file")
        rows = [_cells(_fields(loaded, one, first, last, pushed)) for one in done.values()]
        show.table("", columns, rows, right=columns[3:7])
    for line in _warnings(loaded, done.values(), last):
        warn(line)


def _days(service: Service, start: str | None, end: str | None) -> tuple[date, date]:
    """The first day and the last."""
    from jobs.history.batch_file import days_of

    today = datetime.now(UTC).date()
    last = today if end is None else _day("--to", end) - ONE_DAY
    if start is None:
        there = [max(days_of(service.folder / view.path), default=last) for view in service.plan.batch]
        first = max(min([last, *(day + ONE_DAY for day in there)]), last - A_WEEK + ONE_DAY)
    else:
        first = _day("--from", start)
    if last > today:
        raise SettingError(f"a day's rows are of what happened before it; {last} has not begun; give --to {today + ONE_DAY}, say")
    if first > last:
        raise SettingError(f"--to is after --from; got --from {first} --to {last + ONE_DAY}; give {first + ONE_DAY}, say")
    return first, last


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingError(f"{option} is a day, YYYY-MM-DD; got '{text}'; write 2026-01-31, say") from None


def _fields(service: Service, one: Computed, first: date, last: date, pushed: dict[str, int] | None) -> dict[str, Any]:
    return {
        "view": one.view,
        "from": first,
        "to": last + ONE_DAY,
        "computed": one.days,
        "kept": one.kept,
        "rows": one.rows,
        "pushed": None if pushed is None else pushed[one.view],
        "file": str(service.folder / next(view.path for view in service.plan.batch if view.view == one.view)),
    }


def _cells(fields: dict[str, Any]) -> list[object]:
    """Days are counted, numbers have commas."""
    counted = {name: len(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    return [f"{value:,}" if isinstance(value, int) else value for value in counted.values()]


def _warnings(service: Service, done: Iterable[Computed], last: date) -> Iterator[str]:
    """Of histories that end long before the last day: its rows are as old as they are."""
    for one in done:
        if one.newest_ms is None or one.newest_ms < day_ms(last) - DAY_MS:
            source = next(view.source for view in service.plan.batch if view.view == one.view)
            ends = "has no row before" if one.newest_ms is None else f"ends on {day_of(one.newest_ms)}, long before"
            yield f"batch view '{one.view}': the history of '{source}' {ends} {last}; the rows of later days are of what is there"
