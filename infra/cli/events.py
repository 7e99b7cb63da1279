"""``headrace publish`` and ``headrace tail``: events in, and any topic as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from features.times import elapsed_text
from infra.cli.app import HERE, ProjectOption, app, folder, interruptible, note
from infra.cli.options import FromOption, RateOption, SpeedOption, ToOption, span, span_text

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.settings import Settings
    from jobs.ingest.publish import Due


@app.command(epilog="Example: headrace publish events.parquet --topic TOPIC --rate 2000")
def publish(
    file: Annotated[Path, typer.Argument(help="Events as .parquet, .csv or .jsonl.", show_default=False)],
    topic: Annotated[str, typer.Option(help="The topic that they are sent to.", show_default=False)],
    rate: RateOption = None,
    speed: SpeedOption = None,
    start: FromOption = None,
    end: ToOption = None,
    limit: Annotated[int | None, typer.Option(help="Send at most this many.", min=1, show_default=False)] = None,
    project: ProjectOption = HERE,
) -> None:
    """Send the rows of a file as events.

    An event is JSON, keyed as the project's definitions key the topic; times are UTC milliseconds.
    """
    from infra.cli import show
    from infra.local import stack, topics
    from infra.settings import load_settings
    from jobs.ingest import publish as job
    from jobs.ingest.event_files import row_count

    pace, times, where = due(rate, speed), span(start, end), folder(project)
    settings = load_settings(where)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    topics.require(client, topic)
    feed = job.feed(file, topic, _plans(where, settings, topic))
    total = limit if start or end else min(filter(None, (limit, row_count(file))), default=None)
    with show.sending(total) as on_progress, topics.connected(client):
        sent = job.publish(islice(job.events(feed, times), limit), client, pace, on_progress)
    per_second = sent.events / max(sent.seconds, 1e-3)
    show.out.print(f"{sent.events:,} events to [cyan]{topic}[/] in {elapsed_text(sent.seconds)} ({per_second:,.0f} events/s)")
    if not sent.events:
        note(f"{file} has no event{span_text(times)}; see --from and --to")


@app.command(epilog="Example: headrace tail predictions.SERVICE --from-beginning --limit 10")
def tail(
    topic: Annotated[str, typer.Argument(help="Any topic.", show_default=False)],
    limit: Annotated[int | None, typer.Option(help="Stop after this many.", min=1, show_default=False)] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record, not with the next one.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print each record as one line of JSON.")] = False,
) -> None:
    """Read a topic, one line for each message, until Ctrl-C."""
    from infra.cli import messages
    from infra.local import stack, topics
    from infra.settings import load_settings

    where = folder(project)
    settings = load_settings(where)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    topics.require(client, topic)
    line, read = messages.as_json if as_json else messages.line_of(topic), 0
    with topics.connected(client), interruptible(lambda: f"{read:,} messages of {topic} were read"):
        for record in islice(_records(client, topic, from_beginning), limit):
            read += 1
            messages.write(line(record))


def due(rate: float | None, speed: float | None) -> Due | None:
    """When each event is sent; None: at once."""
    from jobs.ingest import publish as job

    if rate and speed:
        raise SettingError(f"events go at a rate or at a speed; got --rate {rate:g} and --speed {speed:g}; give one of them")
    return job.at_rate(rate) if rate else job.at_speed(speed) if speed else None


def _records(client: dict[str, Any], topic: str, from_beginning: bool) -> Iterator[Any]:
    from contextlib import closing

    from kafka import KafkaConsumer, TopicPartition

    with closing(KafkaConsumer(**client, enable_auto_commit=False)) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()])
        (consumer.seek_to_beginning if from_beginning else consumer.seek_to_end)()
        while True:
            for records in consumer.poll(timeout_ms=500).values():
                yield from records


def _plans(project: Path, settings: Settings, topic: str) -> list[Plan]:
    """The plans that are up, if one reads the topic: no need to import Feast. Else those of definitions.py."""
    from infra.local import stack

    plans = stack.plans_in_use(project, settings)
    if any(source.topic == topic for plan in plans for source in plan.sources):
        return plans
    from features.definitions.load import load

    return load(project).plans
