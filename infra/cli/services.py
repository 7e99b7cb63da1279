"""``headrace up``, ``down``, ``status``, and their processes: ``stream``, of one job, and ``scorer``, of one service."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from features.times import clock_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.local.stack import Row
    from infra.settings import Settings

SettingsOption = Annotated[
    Path | None,
    typer.Option(help="Settings as 'headrace up' writes them; none: the project's.", metavar="FILE", show_default=False),
]


@app.command(epilog="Example: headrace setup")
def setup() -> None:
    """Fetch and build the jars that are missing.

    Kafka's broker and Flink's Kafka connector come from Maven Central; the operator is built here.
    """
    from infra.cli import show
    from infra.local import jars

    with show.steps() as on_step:
        jars.ensure(on_step)


@app.command(epilog="Example: headrace up --project DIR")
def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; none: those of headrace.toml.", show_default=False)
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Start Kafka, the stream jobs and each service's scorer.

    Services of one spine and one mode share a job. What runs already is left alone.
    """
    from infra.cli import show
    from infra.local import stack
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    with interruptible(lambda: _still_running(where, settings)), show.steps() as on_step:
        started = stack.up(where, settings, services or (), on_step)
    show.out.print(f"Kafka on {started.bootstrap}; services: {', '.join(started.services)}; see 'headrace status'")


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
    """Show what runs, since when, where, and its log."""
    from infra.cli import show
    from infra.local import stack
    from infra.settings import load_settings

    where = folder(project)
    rows = stack.status(where, load_settings(where))
    if as_json:
        show.json([row._asdict() for row in rows])
    elif not rows:
        show.out.print("nothing runs; start it with 'headrace up'")
    else:
        columns = ("name", "state", "pid", "up", "serves", "address", "log")
        show.table("", columns, [_cells(row) for row in rows], right=("pid", "up"))


@app.command(epilog="Example: headrace stream SERVICE --project DIR")
def stream(
    services: Annotated[list[str], typer.Argument(help="Feature services of one spine and one mode.", show_default=False)],
    plan: Annotated[
        list[Path] | None, typer.Option(help="A compiled plan, one for each service; none: compile them.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the stream job of one or more services until it is stopped."""
    from features.job import job_plan
    from infra.config import stream_config
    from infra.kafka.listening import listening
    from infra.local import stack
    from infra.settings import run_folder
    from jobs.stream.job import run

    where = folder(project)
    read = _settings(where, settings)
    if read.kafka.security_protocol != "PLAINTEXT":
        raise SettingError(
            f"the stream job speaks PLAINTEXT to Kafka; got kafka.security_protocol={read.kafka.security_protocol}; "
            "give it a listener of its own, or a proxy"
        )
    folders = stack.Folders(run_folder(where, read))
    _log_plainly()
    bootstrap = stack.bootstrap(where, read)
    listening(read.kafka.client(bootstrap))
    job = job_plan(_plans(where, services, plan or ()))
    config = stream_config(
        read.stream,
        bootstrap=bootstrap,
        checkpoints=folders.checkpoints,
        ready_file=_fresh(folders.ready(f"stream-{job.name}")),
        logs=folders.logs,
    )
    run(job, config)


@app.command(epilog="Example: headrace scorer SERVICE --project DIR")
def scorer(
    service: Annotated[str, typer.Argument(help="A feature service.")],
    settings: SettingsOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the scorer of a service until it is stopped."""
    from infra.config import scorer_config
    from infra.kafka.listening import listening
    from infra.local import stack
    from infra.settings import run_folder
    from serving.kafka.scorer import run

    where = folder(project)
    read = _settings(where, settings)
    folders = stack.Folders(run_folder(where, read))
    _log_plainly()
    config = scorer_config(
        read.scorer,
        service,
        client=read.kafka.client(stack.bootstrap(where, read)),
        registry=where / read.registry,
        ready_file=_fresh(folders.ready(f"scorer-{service}")),
    )
    listening(config.client)
    from features.definitions.load import load  # slow

    run(load(where).service(service), config)


def _still_running(project: Path, settings: Settings) -> str:
    """What `headrace up` or `headrace down` leaves where it is interrupted."""
    from infra.local import stack

    left = [row.name for row in stack.status(project, settings) if row.pid]
    if not left:
        return "nothing runs"
    return f"{', '.join(left)} still run; 'headrace up' starts the rest, 'headrace down' stops them"


def _settings(project: Path, file: Path | None) -> Settings:
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


def _fresh(ready: Path) -> Path:
    """The file, gone: it says that this run is ready, not one before."""
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    return ready


def _log_plainly() -> None:
    """Logs for files: one line each, without colours where no one looks."""
    import structlog

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # its errors reach us as exceptions
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ]
    )


def _cells(row: Row) -> list[object]:
    colour = {"running": "green", "starting": "yellow"}.get(row.state, "red")
    up = None if row.uptime is None else clock_text(row.uptime)
    return [row.name, f"[{colour}]{row.state}[/]", row.pid, up, ", ".join(row.services), row.address, row.log]
