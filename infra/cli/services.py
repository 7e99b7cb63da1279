"""``headrace up``, ``down``, ``status``, and their processes: ``stream``, of one job, and ``scorer``, of one service."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from features.errors import SettingError
from features.times import clock_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.batch_rows import warn_of_predictions
from infra.cli.options import HistoryOption, histories, until_of
from schemas.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.local.stack import Row, Served
    from infra.run import takeover
    from infra.settings import Settings

ReadyOption = Annotated[str | None, typer.Option(help="The name under which it says that it works.", hidden=True)]
SettingsOption = Annotated[
    Path | None,
    typer.Option(help="Settings as 'headrace up' writes them; none: the project's.", metavar="FILE", show_default=False),
]


@app.command(epilog="Example: headrace setup")
def setup() -> None:
    """Fetch and build the jars that are missing.

    Kafka's broker and Flink's Kafka connector come from Maven Central. The operator is built here, or comes with the wheel.
    """
    from infra.cli import show
    from infra.local import jars

    with show.steps() as on_step:
        jars.ensure(on_step)
    for name, place in jars.places().items():
        show.out.print(f"{name:8}  {place}")


@app.command(epilog="Example: headrace up --project DIR")
def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; none: those of headrace.toml.", show_default=False)
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Stop what runs another plan than definitions.py has now, and start the new one without history."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done for each service, and do nothing.")] = False,
    until: Annotated[
        str | None,
        typer.Option(
            help="A new plan begins with files that have every event up to this time, UTC; none: as the one before it did.",
            metavar="DATE",
            show_default=False,
        ),
    ] = None,
    history: HistoryOption = None,
    scorers: Annotated[
        int | None,
        typer.Option(help="Scorers of each service; none: scorer.processes.", min=1, metavar="N", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Start Kafka, the stream jobs, each service's scorers and, where the settings have [http], the HTTP service.

    Services of one spine and one mode share a job. What runs already is left alone, unless its settings are others now: then it
    is started again, a stream job and the broker excepted. Scorers follow the model registry by themselves. Where definitions.py
    has another plan than runs, a job of the new plan is started beside the one that runs, and takes over once it has caught up;
    if that fails, the one before runs on.
    """
    from infra.cli import show
    from infra.local import stack
    from infra.run import takeover
    from infra.settings import load_settings, run_folder

    if replace and (until or history):
        raise SettingError("--replace starts without history; got --until or --history; leave them out, or --replace")
    where = folder(project)
    settings = load_settings(where, **({"scorer": {"processes": scorers}} if scorers else {}))
    wanted = takeover.Wanted(None if until is None else until_of(until), histories(history))
    if dry_run:
        with show.steps() as on_step:
            rows = takeover.rows(where, settings, services or (), wanted, on_step, replace=replace)
        _show_steps(rows)
        return
    take_over = takeover.TakeOver(wanted, lambda call, work: _show_steps(takeover.rows_of(call, work, wanted)))
    with interruptible(lambda: _still_running(where, settings)), show.steps() as on_step:
        started = stack.up(where, settings, services or (), on_step, replace=replace, take_over=take_over)
    running = stack.served(where, settings)
    show.out.print(f"Kafka on [cyan]{started.bootstrap}[/]")
    if http := stack.http_address(where, settings):
        show.out.print(f"HTTP on [cyan]{http}[/], described at {http}/docs; the page is [cyan]{http}/[/]")
    show.out.print()
    show.table("", ("service", "plan", "model", "publish events to", "read predictions from"), map(_service_cells, running))
    _show_differences(running)
    _show_told(where, settings)
    logs = stack.Folders(run_folder(where, settings)).logs
    show.out.print(f"\nbad events go to {DEAD_LETTERS.name}; logs are in {logs}; see 'headrace status', 'headrace tail TOPIC'")


@app.command(epilog="Example: headrace down --project DIR --wipe")
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete Kafka's data and the checkpoints.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Stop what `headrace up` started.

    Data stay for the next time.
    """
    from infra.cli import show
    from infra.local import stack
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    with interruptible(lambda: _still_running(where, settings)), show.steps() as on_step:
        stack.down(where, settings, on_step, wipe=wipe)


@app.command(epilog="Example: headrace status --project DIR --json")
def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show what runs, since when, where, with which plan and models, and what differs from the definitions as they are now."""
    from infra.cli import show
    from infra.local import stack
    from infra.settings import load_settings, run_folder

    where = folder(project)
    settings = load_settings(where)
    rows = stack.status(where, settings)
    other = stack.other_stack(where, settings)
    if as_json:
        show.json([row._asdict() | {"environments": [one._asdict() for one in row.environments]} for row in rows])
    elif other:
        show.out.print(other)
    elif rows:
        columns = ("name", "state", "pid", "up", "serves", "plan", "address")
        show.table("", columns, [_cells(row) for row in rows], right=("pid", "up"))
        show.out.print(f"logs: {stack.Folders(run_folder(where, settings)).logs / 'NAME.log'}", markup=False)
        _show_environments(rows)
        _show_differences(stack.served(where, settings))
        _show_told(where, settings)
    else:
        show.out.print("nothing runs; start it with 'headrace up'")
    if not other:
        warn_of_predictions(where, settings)


@app.command(epilog="Example: headrace stream SERVICE --project DIR")
def stream(
    services: Annotated[list[str], typer.Argument(help="Feature services of one spine and one mode.", show_default=False)],
    plan: Annotated[
        list[Path] | None, typer.Option(help="A compiled plan, one for each service; none: compile them.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    ready: ReadyOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the stream job of one or more services until it is stopped."""
    from features.job import job_plan
    from infra.config import stream_config, with_free_port
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import run_folder
    from jobs.stream.beside import as_recorded
    from jobs.stream.files import checkpoint_folder
    from jobs.stream.job import run
    from schemas.topics import DEAD_LETTERS

    where = folder(project)
    read = settings_of(where, settings)
    folders = stack.Folders(run_folder(where, read))
    log_plainly()
    bootstrap = stack.bootstrap(where, read)
    job = job_plan(_plans(where, services, plan or ()))
    client = read.kafka.client(bootstrap)
    config = stream_config(
        read.stream,
        bootstrap=bootstrap,
        client=read.kafka.properties(),
        kafka=client,
        isolation_level=read.kafka.isolation_level,
        longest=topics.longest_records(client, [DEAD_LETTERS.name, *(plan.features_topic for plan in job.plans)]),
        checkpoints=folders.checkpoints,
        ready_file=folders.ready(ready or f"stream-{job.name}"),
        logs=folders.logs,
    )
    config = msgspec.structs.replace(config, metrics_port=with_free_port(config.metrics_port, ready))
    group = as_recorded(config, checkpoint_folder(job, config)).sql.group_of(job)
    rights.require(client, rights.of_stream(job, group))
    run(job, config)


@app.command(epilog="Example: headrace scorer SERVICE --project DIR")
def scorer(
    services: Annotated[list[str], typer.Argument(help="Feature services.", show_default=False)],
    instance: Annotated[
        int | None,
        typer.Option(
            help="Which scorer of these services this is, of all; none: scorer.instance.",
            min=0,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = None,
    ready: ReadyOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the scorer of one or more services until it is stopped.

    Several services share the process, each with a thread and clients of its own. Where one fails the others go on; what it
    failed for is in the log, and ends the process once none is left.
    """
    from infra.cli.scorers import run_scorers

    where = folder(project)
    log_plainly()
    run_scorers(where, settings_of(where, settings), services, instance, ready)


def _still_running(project: Path, settings: Settings) -> str:
    """What `headrace up` or `headrace down` leaves where it is interrupted."""
    from infra.local import stack

    left = [row.name for row in stack.status(project, settings) if row.pid]
    if not left:
        return "nothing runs"
    return f"{', '.join(left)} still run; 'headrace up' starts the rest, 'headrace down' stops them"


def settings_of(project: Path, file: Path | None) -> Settings:
    """The settings of ``file``, which `headrace up` wrote; else the project's."""
    from infra.settings import load_settings, read_settings

    return read_settings(file) if file else load_settings(project)


def _plans(project: Path, services: Sequence[str], files: Sequence[Path]) -> list[Plan]:
    if not files:
        from features.definitions.load import load

        loaded = load(project)
        return [loaded.service(service).plan for service in dict.fromkeys(services)]
    from infra.local.stack import read_plan

    return [read_plan(file) for file in files]


def log_plainly() -> None:
    """Logs for files: one line each, without colours where no one looks."""
    import structlog

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_of_use)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ]
    )


def _is_of_use(record: logging.LogRecord) -> bool:
    """Not what is for a library's own developers.

    py4j's errors reach us as exceptions; by its file, since it logs to the root too and PyFlink sets its loggers' levels. And
    kafka-python takes any of its steps of over 0.1 s for a loop that blocks, on a busy machine too.
    """
    is_slow_step = record.name == "kafka.net.selector" and "blocking the event loop" in record.getMessage()
    return Path(record.pathname).parent.name != "py4j" and not is_slow_step


def _show_steps(rows: Sequence[takeover.Row]) -> None:
    """What is done for each service."""
    from infra.cli import show

    show.table("", ("service", "does", ""), rows)


def _cells(row: Row) -> list[object]:
    colour = {"running": "green", "starting": "yellow"}.get(row.state, "red")
    up = None if row.uptime is None else clock_text(row.uptime)
    plans = ", ".join(dict.fromkeys(digest[:12] for digest in row.plans.values()))
    return [row.name, f"[{colour}]{row.state}[/]", row.pid, up, ", ".join(row.services), plans, row.address]


def _show_environments(rows: Sequence[Row]) -> None:
    """What each scorer serves in each environment, as it said last, and why a version is not in service."""
    from infra.cli import show

    found = [(row, one) for row in rows for one in row.environments]
    if not found:
        return
    columns = ("scorer", "environment", "version", "share", "state", "since", "events", "errors", "skipped", "events/s", "p99 ms")
    cells = [
        (
            row.name,
            one.alias,
            f"{one.model} v{one.version}",
            None if one.share is None else f"{one.share:.0%}",
            f"[{'green' if one.state == 'serving' else 'red'}]{one.state}[/]",
            clock_text(one.age),
            one.events,
            one.errors,
            one.skipped,
            one.events_per_second,
            one.p99_ms,
        )
        for row, one in found
    ]
    show.out.print()
    show.table("", columns, cells, right=columns[5:])
    for row, one in found:
        if one.error:
            show.out.print(f"\n[yellow]{row.name}[/] does not serve {one.model} v{one.version} in {one.alias}:")
            show.out.print(f"  {one.error}", markup=False)


def _service_cells(one: Served) -> list[object]:
    plan = one.plan
    model = None if one.version is None else f"v{one.version}"
    if plan is None:
        return [one.service, None, model, None, None]
    return [one.service, plan.short_digest, model, ", ".join(source.topic for source in plan.sources), plan.predictions_topic]


def _show_differences(running: Sequence[Served]) -> None:
    """What runs otherwise than it would after a start now, and the command for it."""
    from infra.cli import show

    for one in running:
        for lines, fix in ((one.changes, "up"), (one.notes, "up")):
            if lines:
                show.out.print(f"\n[yellow]{one.service}[/] runs, and 'headrace {fix}' would change:")
            for line in lines:
                show.out.print(f"  {line}", markup=False)


def _show_told(project: Path, settings: Settings) -> None:
    """What runs with other settings than there are now, and the command that starts it with these."""
    from infra.cli import show
    from infra.local import stack
    from infra.local.processes import Processes
    from infra.settings import run_folder

    processes = Processes(run_folder(project, settings))
    for name, lines in stack.told_otherwise(processes, settings, processes.names()).items():
        fix = "'headrace up'" if stack.starts_again(name) else "'headrace down', then 'headrace up'"
        show.out.print(f"\n[yellow]{name}[/] runs with other settings; {fix} would change:")
        for line in lines:
            show.out.print(f"  {line}", markup=False)
