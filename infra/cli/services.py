"""``headrace up``, ``down``, ``status``, and the processes of a service: ``stream`` and ``scorer``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder

if TYPE_CHECKING:
    from features.plan import Plan


@app.command(epilog="Example: headrace setup")
def setup() -> None:
    """Fetch and build the jars that are missing.

    Kafka's broker and Flink's Kafka connector come from Maven Central; the operator is built here.
    """
    from infra import jars
    from infra.cli import show

    with show.steps() as on_step:
        jars.ensure(on_step)


@app.command(epilog="Example: headrace up --project examples/fraud")
def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; none: those of headrace.toml.", show_default=False)
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Start Kafka, and each service's stream job and scorer.

    What runs already is left alone.
    """
    from infra import stack
    from infra.cli import show
    from infra.settings import load_settings

    where = folder(project)
    with show.steps() as on_step:
        started = stack.up(where, load_settings(where), services or (), on_step)
    show.out.print(f"Kafka on {started.bootstrap}; services: {', '.join(started.services)}; see 'headrace status'")


@app.command(epilog="Example: headrace down --project examples/fraud --wipe")
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete Kafka's data and the checkpoints.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Stop what `headrace up` started.

    Data stay for the next time.
    """
    from infra import stack
    from infra.cli import show
    from infra.settings import load_settings

    where = folder(project)
    with show.steps() as on_step:
        stack.down(where, load_settings(where), on_step, wipe=wipe)


@app.command(epilog="Example: headrace status --project examples/fraud --json")
def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show what runs, since when, where, and its log."""
    from infra import stack
    from infra.cli import show
    from infra.settings import load_settings

    where = folder(project)
    rows = stack.status(where, load_settings(where))
    if as_json:
        show.json([row._asdict() for row in rows])
    elif not rows:
        show.out.print("nothing runs; start it with 'headrace up'")
    else:
        show.table("", ("name", "state", "pid", "up", "address", "log"), [_cells(row) for row in rows], right=("pid", "up"))


@app.command(epilog="Example: headrace stream fraud --project examples/fraud")
def stream(
    service: Annotated[str, typer.Argument(help="A feature service.")],
    plan: Annotated[Path | None, typer.Option(help="Its compiled plan; none: compile it.", show_default=False)] = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the stream job of a service until it is stopped."""
    from infra import jars, stack
    from infra.settings import load_settings, run_folder
    from jobs.stream import StreamConfig, run

    where = folder(project)
    settings = load_settings(where)
    if settings.kafka.security_protocol != "PLAINTEXT":
        raise SettingError(
            f"the stream job speaks PLAINTEXT to Kafka; got kafka.security_protocol={settings.kafka.security_protocol}; "
            "give it a listener of its own, or a proxy"
        )
    folders = stack.Folders(run_folder(where, settings))
    _log_plainly()
    config = StreamConfig(
        bootstrap=stack.bootstrap(where, settings),
        jars=jars.flink_jars(),
        checkpoints=folders.checkpoints,
        ready_file=_fresh(folders.ready(f"stream-{service}")),
        logs=folders.run / "logs",
        **settings.stream.model_dump(),
    )
    run(_plan(where, service, plan), config)


@app.command(epilog="Example: headrace scorer fraud --project examples/fraud")
def scorer(service: Annotated[str, typer.Argument(help="A feature service.")], project: ProjectOption = HERE) -> None:
    """Run the scorer of a service until it is stopped."""
    from features.load import load
    from infra import stack
    from infra.settings import load_settings, run_folder
    from serving.scorer import ScorerConfig, run

    where = folder(project)
    settings = load_settings(where)
    folders = stack.Folders(run_folder(where, settings))
    _log_plainly()
    address = stack.bootstrap(where, settings)
    config = ScorerConfig(
        bootstrap=address,
        registry=where / settings.registry,
        ready_file=_fresh(folders.ready(f"scorer-{service}")),
        client={name: value for name, value in settings.kafka.client(address).items() if name != "bootstrap_servers"},
        **settings.scorer.model_dump(),
    )
    loaded = load(where)
    run(loaded, loaded.plan(service), config)


def _plan(project: Path, service: str, file: Path | None) -> Plan:
    if file is None:
        from features.load import load

        return load(project).plan(service)
    import msgspec

    from features.plan import Plan

    return msgspec.json.decode(file.read_bytes(), type=Plan)


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


def _cells(row: tuple[object, ...]) -> list[object]:
    name, state, pid, seconds, address, log = row
    up = None if not isinstance(seconds, float) else f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f}"
    colour = {"running": "green", "starting": "yellow"}.get(str(state), "red")
    return [name, f"[{colour}]{state}[/]", pid, up, address, log]
