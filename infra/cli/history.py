"""``headrace features``: what the stream would have given for past events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from features.errors import SettingError
from infra.cli.app import HERE, ProjectOption, app, folder, interruptible, warn
from infra.cli.batch_rows import warn_of_batch_rows
from infra.cli.options import (
    EventsOption,
    FromOption,
    HistoryOption,
    OutOption,
    ServiceArgument,
    ToOption,
    histories,
    note_if_empty,
    parquet_file,
    span,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from infra.settings import Settings

AsOf = Literal["event-time", "served"]
Engine = Literal["duckdb", "flink"]


@app.command(epilog="Example: headrace features SERVICE --from 2026-01-01 --to 2026-01-15 --out features.parquet")
def features(
    service: ServiceArgument,
    out: OutOption,
    start: FromOption = None,
    end: ToOption = None,
    events: EventsOption = None,
    history: HistoryOption = None,
    label: Annotated[
        bool, typer.Option("--label", help="Add the column 'label' of [train.SERVICE]: what is known to have happened.")
    ] = False,
    label_of: Annotated[
        str | None,
        typer.Option("--label-of", help="Add the column 'label', of this column.", metavar="SOURCE.COLUMN", show_default=False),
    ] = None,
    as_of: Annotated[
        AsOf, typer.Option(help="event-time: what was true at each event; served: what the model was given, by its receipts.")
    ] = "event-time",
    receipts: Annotated[
        str | None,
        typer.Option(help="With --as-of served: a .jsonl of predictions; none: the topic.", metavar="FILE", show_default=False),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="What computes the windows: duckdb, on this machine; flink, a cluster (docs/cluster.md).")
    ] = "duckdb",
    flink: Annotated[
        str | None,
        typer.Option(help="With --engine flink: the cluster; none: stream.cluster.", metavar="HOST:PORT", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Compute the features of past events.

    The values are those that the stream would have given, or with --as-of served those that it gave. With a label, a model of
    one's own can be trained on the file.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.predicted import predicted
    from infra.settings import load_settings

    times, others, where = span(start, end), histories(history), folder(project)
    parquet_file(out)
    if receipts is not None and as_of != "served":
        raise SettingError(f"--receipts is for what was served; got --as-of {as_of}; add --as-of served")
    settings = load_settings(where)
    labelled = _label(service, settings) if label and label_of is None else label_of
    cluster = _cluster(engine, flink, as_of, settings)
    with interruptible(lambda: f"{out} was not written"), show.progress() as on_progress:
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.history.batch_rows import Counted
        from jobs.history.rows_file import write
        from jobs.history.served import Told, stream_served

        of = with_settings(load(where).service(service), settings)
        counted, told = Counted(of.plan), Told(of.plan)
        served = as_of == "served"
        compute = (
            partial(stream_served, records=predicted(where, settings, service, receipts))
            if served
            else _computed(cluster, settings, where)
        )
        tables = compute(
            of,
            start_ms=times.start_ms,
            end_ms=times.end_ms,
            events=events,
            histories=others,
            label=labelled,
            on_progress=on_progress,
        )
        written = write(counted.of(tables) if as_of == "event-time" else told.of(tables), out)
    show.out.print(f"{written.rows:,} rows, {written.columns} columns in {show.escape(str(out))}")
    note_if_empty(written.rows, times, events)
    warn_of_batch_rows(counted.rows(), service)
    for line in told.warnings():
        warn(line)


def _cluster(engine: Engine, flink: str | None, as_of: AsOf, settings: Settings) -> str | None:
    """The cluster that computes the windows; None: this machine does. Raises `SettingError` for options that contradict."""
    if engine == "duckdb":
        if flink is not None:
            raise SettingError(f"--flink is the cluster of --engine flink; got --engine {engine}; add --engine flink")
        return None
    if as_of == "served":
        raise SettingError("--engine flink computes windows; --as-of served reads values that were computed; leave out --engine")
    cluster = flink or settings.stream.cluster
    if cluster is None:
        raise SettingError(
            "--engine flink computes on a Flink cluster; none is named; "
            "write --flink HOST:PORT, or set stream.cluster in headrace.toml"
        )
    host, _, port = cluster.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingError(f"a Flink cluster is HOST:PORT, of its REST API; got {cluster}; write localhost:8081, say")
    return cluster


def _computed(cluster: str | None, settings: Settings, project: Path) -> Callable[..., Iterator[pa.Table]]:
    """What computes features: DuckDB, and the cluster for the windows where there is one."""
    from jobs.history.compute import stream_features

    if cluster is None:
        return stream_features
    from infra.config import cluster_config
    from jobs.cluster.run import require
    from jobs.cluster.windows import windows_on

    require(cluster, settings.stream.parallelism)
    return partial(stream_features, windows=partial(windows_on, config=cluster_config(settings, project, cluster)))


def _label(service: str, settings: Settings) -> str:
    """The label of ``[train.<service>]``. Raises `SettingError` where there is none."""
    if service not in settings.train:
        raise SettingError(f"--label is of [train.{service}], which headrace.toml does not have; add it, or write --label-of")
    return settings.train[service].label
