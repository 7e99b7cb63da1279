"""``headrace features`` and ``headrace score``: what the stream would have given for past events."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from features.times import utc_ms
from infra.cli.app import HERE, ProjectOption, app, folder
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import EventsOption, FromOption, HistoryOption, OutOption, ServiceArgument, ToOption, histories


@app.command(epilog="Example: headrace features SERVICE --from 2026-01-01 --to 2026-01-15 --out features.parquet")
def features(
    service: ServiceArgument,
    out: OutOption,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Compute the features of past events.

    The values are those that the stream would have given.
    """
    from features.definitions.load import load
    from infra.cli import show
    from infra.config import with_settings
    from infra.settings import load_settings
    from jobs.history.batch_rows import batch_rows
    from jobs.history.compute import compute, write

    where = folder(project)
    of = with_settings(load(where).service(service), load_settings(where))
    with show.progress() as on_progress:
        table = compute(
            of,
            start_ms=utc_ms(start),
            end_ms=utc_ms(end),
            events=events,
            histories=histories(history),
            on_progress=on_progress,
        )
        write(table, out)
    show.out.print(f"{table.num_rows:,} rows, {len(table.column_names)} columns in {out}")
    warn_of_batch_rows(batch_rows(of.plan, table), service)


@app.command(epilog="Example: headrace score SERVICE --from 2026-01-08 --to 2026-01-15 --out scores.parquet")
def score(
    service: ServiceArgument,
    out: OutOption,
    model: Annotated[str | None, typer.Option(help="A model of the registry; none: the service's.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help="A version or an alias; none: the scorer's.", show_default=False)] = None,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Score past events.

    The scores are those that the scorer would have given.
    """
    from features.definitions.load import load
    from features.inputs.output import scores
    from infra.cli import show
    from infra.config import with_settings
    from infra.settings import load_settings
    from jobs.history.batch_rows import batch_rows
    from jobs.history.compute import write
    from jobs.predict.score import score_history
    from serving.models.registry import Registry
    from serving.models.session import load_session

    where = folder(project)
    settings = load_settings(where)
    of = with_settings(load(where).service(service), settings)
    chosen = Registry(where / settings.registry).get(model or service, version or settings.scorer.alias)
    with show.progress() as on_progress:
        table = score_history(
            of,
            partial(scores, load_session(chosen)),
            inputs=chosen.manifest.inputs,
            start_ms=utc_ms(start),
            end_ms=utc_ms(end),
            events=events,
            histories=histories(history),
            on_progress=on_progress,
        )
        write(table, out)
    show.out.print(f"{table.num_rows:,} scores by {chosen.manifest.name} v{chosen.manifest.version} in {out}")
    warn_of_batch_rows(batch_rows(of.plan, table), service)
