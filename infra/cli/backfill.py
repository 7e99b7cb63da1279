"""``headrace backfill``: stream jobs that begin with full windows."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder
from infra.cli.options import HistoryOption, histories, until_of


@app.command(epilog="Example: headrace backfill SERVICE --until 2024-05-08 --project DIR")
def backfill(
    services: Annotated[list[str], typer.Argument(help="Feature services.", show_default=False)],
    until: Annotated[
        str, typer.Option(help="The history is whole up to this event time, UTC; events from it on get vectors.", metavar="DATE")
    ],
    history: HistoryOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Fill the windows of stream jobs from files, and start the jobs: as `headrace up` does, but with a history.

    Rows that can still matter at that time are read: the longest window and the allowed lateness before it. What the topics get
    meanwhile waits in Kafka. A row that the history and a topic have counts once.
    """
    from features.definitions.load import load
    from infra.cli import show
    from infra.local import stack
    from infra.run.backfill import load_history
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    until_ms = until_of(until)
    files = histories(history)
    with show.steps() as on_step:
        on_step("reading definitions.py")
        loaded = load(where)
        plans = [loaded.service(service).plan for service in dict.fromkeys(services)]
        stack.check_models(where, settings, plans)
        done = load_history(where, settings, plans, until_ms, files, on_step)
        stack.up(where, settings, services, on_step)
    if as_json:
        show.json([msgspec.to_builtins(one) for one in done])
        return
    cells = [
        (", ".join(one.services), source, rows, moment_text(one.from_ms[source]), moment_text(one.until_ms))
        for one in done
        for source, rows in one.rows.items()
    ]
    show.table("", ("services", "source", "rows", "from", "until"), cells, right=("rows",))
