"""``headrace schedule``: what has cron, systemd or Kubernetes run the daily work of a service."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import DefinitionError, SettingError
from infra.cli.app import HERE, ProjectOption, app, folder
from infra.cli.options import ServiceArgument


@app.command(epilog="Example: headrace schedule SERVICE --format systemd")
def schedule(
    service: ServiceArgument,
    written: Annotated[str, typer.Option("--format", help="cron, systemd or kubernetes.", metavar="NAME")] = "cron",
    at: Annotated[str, typer.Option(help="The time of day, UTC.", metavar="HH:MM")] = "00:10",
    image: Annotated[
        str | None,
        typer.Option(help="For kubernetes: one with Headrace and the project.", metavar="NAME", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Print what has a scheduler of yours run 'headrace batch-views SERVICE --push' each day.

    Nothing is installed. A day's rows are of what happened before its midnight, UTC; so run it after that, once the history of
    the day before is there.
    """
    from features.definitions.load import load
    from infra import schedule as texts

    where = folder(project).absolute()
    hour, minute = _time(at)
    if written not in texts.FORMATS:
        raise SettingError(f"--format is {', '.join(texts.FORMATS)}; got '{written}'; write one of them")
    if written == "kubernetes" and not image:
        raise SettingError("a CronJob runs an image; got none; give --image, one that has Headrace, and the project in /project")
    if not load(where).service(service).plan.batch:
        raise DefinitionError(f"what runs daily is a service's batch views; '{service}' has none; there is nothing to schedule")
    if written == "kubernetes":
        job = texts.batch_views(service, ("headrace",), Path(texts.IN_THE_IMAGE), hour, minute)
        text = texts.kubernetes(job, str(image))
    else:
        job = texts.batch_views(service, _program(), where, hour, minute)
        text = texts.cron(job) if written == "cron" else texts.systemd(job)
    typer.echo(text, nl=False)


def _time(written: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", written)
    if not found:
        raise SettingError(f"--at is a time of day, HH:MM in UTC; got '{written}'; write 00:10, say")
    return int(found[1]), int(found[2])


def _program() -> tuple[str, ...]:
    """This Headrace, by its full path: a scheduler has another PATH."""
    beside = Path(sys.executable).with_name("headrace")
    return (str(beside),) if beside.is_file() else (sys.executable, "-P", "-m", "infra.cli")
