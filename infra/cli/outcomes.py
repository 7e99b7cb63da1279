"""``headrace outcomes``: predictions meet what happened, and how right they were."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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
    from infra.settings import Settings
    from jobs.history.queries import Progress
    from jobs.outcomes.performance import Performance
    from jobs.training.bootstrap import Interval
    from jobs.training.config import TrainConfig
    from schemas.outcomes_report import CohortKind, OutcomesReport

DELAY_DAYS = 7
TITLES: dict[CohortKind, str] = {"matured": "All", "version": "By version", "day": "By day"}
"""Of the tables, but for those of segments, which have their column's."""


class Wanted(NamedTuple):
    """What the options say."""

    predictions: str | None
    alias: str
    delay_days: int
    horizon: str
    joined: bool
    by: list[str]
    out: Path | None
    histories: Mapping[str, str | Path]


class Found(NamedTuple):
    """What was measured."""

    rows: int
    """Predictions, matured or not."""
    has_labels: bool
    """Whether there is any: without one, no day is due."""
    matured: int
    until: date
    """The day before which labels are due."""
    performances: list[Performance]
    left_out: list[str]
    """The segments of ``[train.<service>]`` that none of the outcomes has."""
    report: OutcomesReport | None
    """For the page; None without predictions, and of a shadow."""


@app.command(epilog="Example: headrace outcomes SERVICE --by COLUMN --out outcomes.parquet")
def outcomes(
    service: ServiceArgument,
    predictions: Annotated[
        str | None, typer.Option(help="A .jsonl of predictions; none: the topic.", metavar="FILE", show_default=False)
    ] = None,
    alias: Annotated[str, typer.Option(help="The environment whose topic is read.")] = "production",
    delay: Annotated[int | None, typer.Option(help="Days until labels are known.", min=0, max=3650, show_default="7")] = None,
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
    of_join: dict[str, object] = {"--predictions": predictions, "--horizon": horizon, "--alias": alias != PRODUCTION}
    of_report = {"--delay": delay, "--joined": joined, "--by": by, "--out": out, "--history": history, "--json": as_json}
    where = folder(project)
    if stream:
        _refuse(of_join | of_report, "--stream joins the predictions in production as they come, and prints nothing")
        run_outcomes(service, where, settings)
    else:
        if joined:
            _refuse(of_join, "--joined reads what --stream has joined, by horizon of [train.SERVICE]")
        found = settings_of(where, settings)
        config = train_config(found, service, "what happened is a label")
        horizon = found.train[service].horizon if horizon is None else horizon
        days = DELAY_DAYS if delay is None else delay
        wanted = Wanted(predictions, alias, days, horizon, joined, by or [], out, histories(history))
        _report(service, where, found, config, wanted, as_json)


def _refuse(options: Mapping[str, object], rule: str) -> None:
    """Raises `SettingError` for the first of the options that is given."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise SettingError(f"{rule}; got {given[0]}; leave it out")


def _report(service: str, where: Path, settings: Settings, config: TrainConfig, wanted: Wanted, as_json: bool) -> None:
    """Join, measure, show what was found, and leave that of production for the page."""
    from infra.cli import show
    from infra.local import stack
    from infra.settings import run_folder
    from serving.models.lifecycle import check_alias

    if wanted.out is not None:
        parquet_file(wanted.out)
    check_alias(wanted.alias)
    with interruptible(lambda: "nothing was left for the page"), show.progress() as on_progress:
        found = _measured(service, where, settings, config, wanted, on_progress)
    if as_json:
        show.json(_as_json(service, config, found))
    else:
        _print(service, config, found)
        if wanted.out is not None:
            show.out.print(f"\n→ {show.escape(str(wanted.out))}")
    if found.report is not None:
        _leave(found.report, stack.Folders(run_folder(where, settings)))
    _warn(service, wanted, found)


def _measured(service: str, where: Path, settings: Settings, config: TrainConfig, wanted: Wanted, on_progress: Progress) -> Found:
    """What was found; with ``wanted.out`` the outcomes are there."""
    horizon_ms = duration_ms("--horizon", wanted.horizon)
    import jobs.training  # noqa: F401 - says which extra is missing, before anything is read
    from features.definitions.load import load  # slow: after all that is quickly refused
    from features.inputs.columns import input_columns
    from infra.config import with_settings
    from infra.predicted import of_topic_now, predicted
    from jobs.history.rows_file import write
    from jobs.outcomes.join import OWN, already_joined, join
    from jobs.outcomes.performance import frame_of, performances
    from jobs.outcomes.report import report
    from jobs.training.keys import key_of
    from jobs.training.reference import check_segments

    of = with_settings(load(where).service(service), settings)
    check_segments(config.segments, of.plan, input_columns(of.plan, of.plan.inputs))
    key = next(iter(key_of(of.plan, config)), None)
    columns = list(dict.fromkeys(name for name in (key, *wanted.by) if name is not None))
    if_there = [] if wanted.by else [name for name in config.segments if name not in columns]
    common: dict[str, Any] = {"columns": columns, "if_there": if_there, "histories": wanted.histories, "on_progress": on_progress}
    if wanted.joined:
        joined = already_joined(of, of_topic_now(where, settings, topics.outcomes(service).name), **common)
    else:
        records = predicted(where, settings, service, wanted.predictions, wanted.alias)
        joined = join(of, records, config.label, horizon_ms, **common)
    _check_labels(joined.table["label"].drop_null().to_pylist(), config)
    there = set(joined.table.column_names) - set(OWN)
    segments = list(dict.fromkeys(wanted.by or (name for name in config.segments if name in there)))
    until_ms = joined.matured_until(wanted.delay_days) * DAY_MS
    if wanted.out is not None:
        write(joined.table, wanted.out)
    has_labels, frame = joined.newest_label is not None, frame_of(joined.table, [*([] if key is None else [key]), *segments])
    del joined  # what is not measured of the outcomes is most of them
    matured = frame[frame["event_time"] < until_ms]
    found = performances(matured, config.task, key, segments, on_progress=on_progress) if len(matured) else []
    left = None
    if len(frame) and wanted.alias == PRODUCTION:
        source = topics.outcomes(service) if wanted.joined else topics.predictions(service)
        left = report(
            frame,
            found,
            service=service,
            source=wanted.predictions or source.name,
            label=config.label,
            task=config.task,
            key=key,
            segments=segments,
            delay_days=wanted.delay_days,
            matured_until=until_ms,
            now_ms=round(time.time() * 1000),
            on_progress=on_progress,
        )
    left_out = [] if wanted.by or not len(frame) else [name for name in config.segments if name not in segments]
    return Found(len(frame), has_labels, len(matured), day_of(until_ms), found, left_out, left)


def _warn(service: str, wanted: Wanted, found: Found) -> None:
    """Say what makes the numbers few, or odd."""
    from jobs.outcomes.join import OWN
    from jobs.outcomes.performance import LOWEST_COVERAGE

    if found.left_out:
        why = "an outcome that --stream wrote has no inputs" if wanted.joined else "no receipt of these predictions has them"
        taken = [name for name in found.left_out if name in OWN]
        others = [name for name in found.left_out if name not in OWN]
        for names, reason in ((others, why), (taken, "an outcome has columns of its own that are called so")):
            if names:
                note(f"there is nothing by {', '.join(names)}, segments of [train.{service}]: {reason}")
    if not found.rows:
        note(f"there are no predictions of {service} to be joined; see 'headrace tail predictions.{service}'")
    elif not found.has_labels:
        warn("there is no label yet, so no event day is due; bring the history of labels up to date, or wait")
    elif not found.performances:
        warn(
            f"no event day is due yet: labels of days before {found.until} are, {wanted.delay_days} days after their events; "
            "bring the history of labels up to date, or wait"
        )
    elif found.performances[0].coverage < LOWEST_COVERAGE:
        whole = found.performances[0]
        warn(
            f"of {whole.rows:,} events of days that are due {whole.rows - whole.labelled:,} have no label within "
            f"{wanted.horizon}: what is measured is of the others, which may be of another kind"
        )


def _leave(report: OutcomesReport, folders: Folders) -> None:
    """Write what was found for the page of `headrace serve`, in place of what was there."""

    from features.disk import keep
    from infra.local.files import writing

    with writing(folders.run):
        keep(folders.outcomes_of(report.service), report)


def _check_labels(labels: list[float], config: TrainConfig) -> None:
    """Raises `SettingError` for a label that is none of a classification."""
    other = [label for label in labels if label not in (0, 1)] if config.task == "classification" else []
    if other:
        raise SettingError(
            f"a label of a classification is 0 or 1; got {other[0]:g} in {config.label} ({len(other)} rows); fix them, or set "
            'task = "regression" in [train]'
        )


def _print(service: str, config: TrainConfig, found: Found) -> None:
    from infra.cli import show

    due = f"{found.matured:,} of them of event days before {found.until}, whose labels are due"
    show.out.print(
        f"[bold]service {show.escape(service)}[/], label {config.label}: {found.rows:,} predictions, "
        f"{due if found.has_labels else 'and no label'}"
    )
    for (kind, column), of_kind in groupby(found.performances, lambda one: (one.kind, one.column)):
        some, title = list(of_kind), TITLES.get(kind, f"By {show.escape(column)}")
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
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})" if found.is_known else f"{found.value:.4f}"


def _as_json(service: str, config: TrainConfig, found: Found) -> dict[str, Any]:
    import msgspec

    return {
        "service": service,
        "label": config.label,
        "predictions": found.rows,
        "matured": found.matured,
        "matured_until": str(found.until),
        "performances": [msgspec.to_builtins(one) | {"coverage": one.coverage} for one in found.performances],
    }
