"""``headrace explain``: why an event has the values that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from features.times import utc_ms
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, note
from infra.cli.audit import audited
from infra.cli.options import HistoryOption, PictureOption, ServiceArgument, histories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.audit.explain import Explanation, Windows


@app.command(epilog="Example: headrace explain SERVICE 30143 --out event.html")
def explain(
    service: ServiceArgument,
    event_id: Annotated[str, typer.Argument(help="The id of an event of the spine.", show_default=False)],
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Look from the predictions written then on; none: the newest first.", metavar="DATE", show_default=False
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Show so many rows of each stage, the newest.", min=1, metavar="N")] = 12,
    history: HistoryOption = None,
    out: PictureOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show what an event was given, what history says, and the rows that each value is made of.

    An event that was never served is explained by history alone. With --json, all rows of the windows are printed.
    """
    from infra.cli import show

    since, others = utc_ms(at), histories(history)
    with audited(service, folder(project), out) as (loaded, reader, on_progress, begins):
        from jobs.audit import explain as job
        from jobs.audit.find import find_prediction
        from jobs.audit.rows import event_id_of

        wanted = event_id_of(loaded.plan, event_id)
        found = find_prediction(loaded.plan, reader, wanted, since, on_progress)
        explained = job.explain(loaded, reader, wanted, found, others, on_progress, begins)
        if out is not None:
            from jobs.audit.event_picture import draw

            draw(explained, out)
    if as_json:
        import msgspec

        show.json(msgspec.to_builtins(explained))
        return
    _print(explained, rows)
    if out is not None:
        show.out.print(f"\n→ {show.escape(str(out))}")
    if found is None:
        note(f"{loaded.plan.predictions_topic} has no prediction of event {event_id}: it was never served, or not since --at")


def _print(explained: Explanation, rows: int) -> None:
    from infra.cli import show
    from jobs.audit.words import VALUE_COLUMNS, value_rows

    for line in _head(explained):
        show.out.print(line)
    rows_of_values = [tuple(map(show.escape, row)) for row in value_rows(explained)]
    show.out.print()
    show.table("Values", VALUE_COLUMNS, rows_of_values, right=VALUE_COLUMNS[2:5])
    for stage in explained.windows:
        show.out.print()
        _print_stage(explained, stage, rows)
    for line in _batch(explained):
        show.out.print(line)


def _head(explained: Explanation) -> Iterator[str]:
    from infra.cli import show
    from jobs.audit.words import sentences

    first, *others = sentences(explained)
    yield f"[bold]{show.escape(first)}[/]"
    for line in others:
        yield f"  {show.escape(line)}"


def _print_stage(explained: Explanation, stage: Windows, rows: int) -> None:
    """The newest rows of the windows, and those just out."""
    from infra.cli import show
    from jobs.audit.words import stage_columns, stage_rows, stage_title

    shown = stage_rows(explained, stage, rows)
    columns = stage_columns(stage)
    right = ("before the event", *stage.columns)
    show.table(show.escape(stage_title(stage)), columns, [tuple(map(show.escape, row)) for row in shown], right=right)


def _batch(explained: Explanation) -> Iterator[str]:
    from infra.cli import show
    from jobs.audit.words import batch_sentence

    for row in explained.batch:
        yield f"\n{show.escape(batch_sentence(explained, row))}"
