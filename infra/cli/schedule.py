"""``headrace schedule``: what has cron, systemd or Kubernetes run the daily work of a service."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import DefinitionError, SettingError
from features.times import duration_ms
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
    entities: Annotated[
        str | None,
        typer.Option(
            help="Have 'headrace score SERVICE --entities PLACE --online' run instead.", metavar="PLACE", show_default=False
        ),
    ] = None,
    holds: Annotated[
        str | None,
        typer.Option(help="With --entities: how long a prediction holds.", metavar="DURATION", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Print what has a scheduler of yours run 'headrace batch-views SERVICE --push' each day, or the scores of entities.

    Nothing is installed. A day's rows are of what happened before its midnight, UTC; so run it after that, once the history of
    the day before is there. Entities are scored after the rows of batch views are there, and a prediction should hold a little
    longer than a day: until the next run is done.
    """
    from features.definitions.load import load
    from infra import schedule as texts

    where = folder(project).absolute()
    hour, minute = _time(at)
    if written not in texts.FORMATS:
        raise SettingError(f"--format is {', '.join(texts.FORMATS)}; got '{written}'; write one of them")
    if written == "kubernetes" and not image:
        raise SettingError("a CronJob runs an image; got none; give --image, one that has Headrace, and the project in /project")
    if holds is not None:
        if entities is None:
            raise SettingError("--holds is of the predictions of entities; got it without --entities; add --entities PLACE")
        duration_ms("--holds", holds)
    plan = load(where).service(service).plan
    if entities is None and not plan.batch:
        raise DefinitionError(f"what runs daily is a service's batch views; '{service}' has none; there is nothing to schedule")
    if entities is not None and not plan.entity:
        raise DefinitionError(
            f"predictions are stored by an entity's key; the features of '{service}' have none; leave --entities out"
        )
    program, there = _program(), where
    if written == "kubernetes":
        program, there = ("headrace",), Path(texts.IN_THE_IMAGE)
    elif entities is not None:
        from jobs.history.places import located

        entities = str(located(Path.cwd(), entities))
    if entities is None:
        job = texts.batch_views(service, program, there, hour, minute)
    else:
        job = texts.score(service, program, there, hour, minute, entities=entities, holds=holds)
    if written == "kubernetes":
        text = texts.kubernetes(job, str(image))
    else:
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
