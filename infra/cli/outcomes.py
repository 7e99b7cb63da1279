"""``headrace outcomes``: predictions meet what happened, and how right they were."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from features.times import DAY_MS, day_of, duration_ms
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, note, warn
from infra.cli.options import HistoryOption, ServiceArgument, histories, parquet_file, train_config
from infra.cli.outcomes_job import run_outcomes
from infra.cli.services import SettingsOption, settings_of
from schemas import topics
from schemas.topics import PRODUCTION

if TYPE_CHECKING:
    from infra.local.stack import Folders
    from jobs.outcomes.performance import Performance
    from jobs.training.bootstrap import Interval
    from jobs.training.config import TrainConfig
    from schemas.outcomes_report import OutcomesReport


@app.command(epilog="Example: headrace outcomes SERVICE --by COLUMN --out outcomes.parquet")
def outcomes(
    service: ServiceArgument,
    predictions: Annotated[
        str | None, typer.Option(help="A .jsonl of predictions; none: the topic.", metavar="FILE", show_default=False)
    ] = None,
    alias: Annotated[str, typer.Option(help="The environment whose topic is read.")] = "production",
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0, max=3650)] = 7,
    horizon: Annotated[
        str | None,
        typer.Option(
            help="How far a label's time may be from its event's, either way; none: horizon of [train.SERVICE].",
            metavar="DURATION",
            show_default=False,
        ),
    ] = None,
    joined: Annotated[
        bool, typer.Option("--joined", help="Read what --stream has joined, outcomes.SERVICE, in place of joining anew.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Join what comes, write it to outcomes.SERVICE, and print nothing, until stopped.")
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Show each segment too: a column of the events, or an input; several times. None: segments of [train.SERVICE].",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the outcomes, a Parquet file with a row for each event.", show_default=False)
    ] = None,
    history: HistoryOption = None,
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Join predictions with the label of [train.SERVICE], and show how right they were.

    Only event days whose labels are due are measured: overall, by version, by segment and by day, each number with its interval
    and the share of events whose label is known. What counts as a label is in docs/outcomes.md. What was found in production
    stays in the run folder, where the page of 'headrace serve' reads it.

    With --stream a Flink job joins them as they come. 'headrace up' runs it where outcomes.run is true.
    """
    other = alias != PRODUCTION
    of_join: dict[str, object] = {"--predictions": predictions, "--horizon": horizon, "--alias": other}
    of_report = {"--joined": joined, "--by": by, "--out": out, "--history": history, "--json": as_json}
    where = folder(project)
    if stream:
        _refuse(of_join | of_report, "--stream joins the predictions in production as they come, and prints nothing")
        run_outcomes(service, where, settings)
    else:
        if joined:
            _refuse(of_join, "--joined reads what --stream has joined, by horizon of [train.SERVICE]")
        _report(service, where, settings, predictions, alias, delay, horizon, joined, by, out, history, as_json)


def _refuse(options: Mapping[str, object], rule: str) -> None:
    """Raises `SettingError` for the first of the options that is given."""
    given = [name for name, value in options.items() if value]
    if given:
        raise SettingError(f"{rule}; got {given[0]}; leave it out")


def _report(
    service: str,
    where: Path,
    written: Path | None,
    predictions: str | None,
    alias: str,
    delay: int,
    horizon: str | None,
    is_joined: bool,
    by: list[str] | None,
    out: Path | None,
    history: list[str] | None,
    as_json: bool,
) -> None:
    from infra.cli import show
    from infra.config import with_settings
    from infra.local import stack
    from infra.predicted import of_topic_now, predicted
    from infra.settings import run_folder
    from serving.models.lifecycle import check_alias

    settings, others = settings_of(where, written), histories(history)
    if out is not None:
        parquet_file(out)
    check_alias(alias)
    config = train_config(settings, service, "what happened is a label")
    horizon = horizon or settings.train[service].horizon
    horizon_ms = duration_ms("--horizon", horizon)
    with interruptible(lambda: "nothing was written"), show.progress() as on_progress:
        import jobs.training  # noqa: F401 - says which extra is missing, before anything is read
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.history.rows_file import write
        from jobs.outcomes.join import OWN, already_joined, join
        from jobs.outcomes.performance import LOWEST_COVERAGE, performances
        from jobs.outcomes.report import report
        from jobs.training.keys import key_of

        of = with_settings(load(where).service(service), settings)
        key = next(iter(key_of(of.plan, config)), None)
        columns = list(dict.fromkeys(name for name in (key, *(by or ())) if name is not None))
        if_there = [] if by else [name for name in config.segments if name not in columns]
        wanted: dict[str, Any] = {"columns": columns, "if_there": if_there, "histories": others, "on_progress": on_progress}
        if is_joined:
            records = of_topic_now(where, settings, topics.outcomes(service).name)
            joined = already_joined(of, records, **wanted)
        else:
            records = predicted(where, settings, service, predictions, alias)
            joined = join(of, records, config.label, horizon_ms, **wanted)
        _check_labels(joined.table["label"].drop_null().to_pylist(), config)
        there = set(joined.table.column_names) - set(OWN)
        segments = list(dict.fromkeys(by or (name for name in config.segments if name in there)))
        until_ms = joined.matured_until(delay) * DAY_MS
        until = day_of(until_ms)
        frame = joined.table.to_pandas()
        matured = frame[frame["event_time"] < until_ms]
        found = performances(matured, config.task, key, segments, on_progress=on_progress) if len(matured) else []
        rows = write(joined.table, out).rows if out is not None else joined.table.num_rows
        told = None
        if rows and alias == PRODUCTION:
            told = report(
                frame,
                found,
                service=service,
                source=topics.outcomes(service).name if is_joined else predictions or topics.predictions(service).name,
                label=config.label,
                task=config.task,
                key=key,
                segments=segments,
                delay_days=delay,
                matured_until=until_ms,
                now_ms=round(time.time() * 1000),
                on_progress=on_progress,
            )
    if as_json:
        summary = {
            "service": service,
            "label": config.label,
            "predictions": rows,
            "matured": len(matured),
            "matured_until": str(until),
        }
        show.json(summary | {"performances": [_as_json(one) for one in found]})
    else:
        _print(service, config, rows, len(matured), until, found)
        if out is not None:
            show.out.print(f"\n→ {show.escape(str(out))}")
    if told is not None:
        _leave(told, stack.Folders(run_folder(where, settings)))
    left_out = [] if by or not rows else [name for name in config.segments if name not in segments]
    if left_out:
        note(
            f"there is nothing by {', '.join(left_out)}, segments of [train.{service}]: "
            + ("an outcome that --stream wrote has no inputs" if is_joined else "no receipt of these predictions has them")
        )
    if not rows:
        note(f"there are no predictions of {service} to be joined; see 'headrace tail predictions.{service}'")
    elif not found:
        warn(
            f"no event day is due yet: labels of days before {until} are, {delay} days after their events; "
            "bring the history of labels up to date, or wait"
        )
    elif found[0].coverage < LOWEST_COVERAGE:
        warn(
            f"of {found[0].rows:,} events of days that are due {found[0].rows - found[0].labelled:,} have no label within "
            f"{horizon}: what is measured is of the others, which may be of another kind"
        )


def _leave(report: OutcomesReport, folders: Folders) -> None:
    """Write what was found for the page of `headrace serve`, in place of what was there."""
    import msgspec

    from infra.local.files import write_whole, writing

    with writing(folders.run):
        write_whole(folders.outcomes_of(report.service), msgspec.json.encode(report))


def _check_labels(labels: list[float], config: TrainConfig) -> None:
    """Raises `SettingError` for a label that is none of a classification."""
    other = [label for label in labels if label not in (0, 1)] if config.task == "classification" else []
    if other:
        raise SettingError(
            f"a label of a classification is 0 or 1; got {other[0]:g} in {config.label} ({len(other)} rows); fix them, or set "
            'task = "regression" in [train]'
        )


def _print(service: str, config: TrainConfig, rows: int, matured: int, until: date, found: list[Performance]) -> None:
    from infra.cli import show

    show.out.print(
        f"[bold]service {show.escape(service)}[/], label {config.label}: {rows:,} predictions, {matured:,} of them of event days "
        f"before {until}, whose labels are due"
    )
    titles = {"matured": "All", "version": "By version", "day": "By day"}
    for (kind, column), of_kind in groupby(found, lambda one: (one.kind, one.column)):
        some, title = list(of_kind), titles.get(kind, f"By {show.escape(column)}")
        names = list(dict.fromkeys(name for one in some for name in one.metrics))
        columns = ("", "events", "labels", *(name.replace("_", " ") for name in names))
        cells = [
            (
                show.escape(one.name),
                f"{one.rows:,}",
                f"{one.coverage:.1%}",
                *(_interval_text(one.metrics.get(name)) for name in names),
            )
            for one in some
        ]
        show.out.print()
        show.table(title, columns, cells, right=columns[1:])


def _interval_text(found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{found.value:.4f}" if found.low != found.low else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _as_json(one: Performance) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(one)
    return fields | {"coverage": one.coverage}
