"""``headrace publish`` and ``headrace tail``: events in, and any topic as a person reads it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import SettingError
from features.times import Span, elapsed_text
from infra.cli.app import HERE, Interrupted, ProjectOption, app, folder, interruptible, note, terminated_as_interrupted
from infra.cli.batch_rows import noting_days, tell_of_no_push
from infra.cli.options import FromOption, NoCheckOption, RateOption, SkipOption, SpeedOption, ToOption, span, span_text

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.settings import Settings
    from jobs.ingest.event_files import Feed
    from jobs.ingest.publish import Due, Event, Published


@app.command(epilog="Example: headrace publish events.parquet --topic TOPIC --rate 2000")
def publish(
    file: Annotated[Path, typer.Argument(help="Events as .parquet, .csv or .jsonl.", show_default=False)],
    topic: Annotated[str, typer.Option(help="The topic that they are sent to.", show_default=False)],
    rate: RateOption = None,
    speed: SpeedOption = None,
    start: FromOption = None,
    end: ToOption = None,
    limit: Annotated[int | None, typer.Option(help="Send at most this many.", min=1, show_default=False)] = None,
    skip: SkipOption = 0,
    no_check: NoCheckOption = False,
    project: ProjectOption = HERE,
) -> None:
    """Send the rows of a file as events, in its order.

    An event is JSON, keyed as the project's definitions key the topic; times are UTC milliseconds. docs/files.md says how a file
    is read.
    """
    from infra.cli import show
    from infra.config import resources_of
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import load_settings
    from jobs.ingest import publish as job
    from jobs.ingest.event_files import has_times

    pace, times, where = due(rate, speed), span(start, end), folder(project)
    settings = load_settings(where)
    client = settings.kafka.client(stack.bootstrap(where, settings))
    rights.require(client, rights.of_publisher([topic]))
    topics.require(client, topic)
    plans, days = _plans(where, settings, topic), set[int]()
    feed = job.feed(file, topic, plans, settings.stream.event_times, resources_of(settings.history, where))
    if speed is not None and not has_times(feed):
        raise SettingError(
            f"a speed is that of event times, and those of {file} are not known; give --rate, or name {topic} in a source"
        )
    noted = partial(noting_days, days=days)
    sent = send([feed], times, job.events(feed, times), client, pace, skip=skip, limit=limit, no_check=no_check, follow=noted)
    per_second = sent.events / max(sent.seconds, 1e-3)
    show.out.print(f"{sent.events:,} events to [cyan]{topic}[/] in {elapsed_text(sent.seconds)} ({per_second:,.0f} events/s)")
    if not sent.events:
        note(f"{file} has no event{span_text(times)}; see --from and --to")
    tell_of_no_push(plans, topic, days)


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
    """Read a topic, one line for each message, until Ctrl-C.

    A dead letter that is there again, after a restart say, is shown once.
    """
    from infra.cli import messages
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import load_settings
    from schemas.topics import DEAD_LETTERS

    where = folder(project)
    settings = load_settings(where)
    client, reader = (of(stack.bootstrap(where, settings)) for of in (settings.kafka.client, settings.kafka.reader))
    rights.require(client, rights.of_reader(topic))
    topics.require(client, topic)
    line, read = messages.as_json if as_json else messages.line_of(topic), 0
    with topics.connected(client), interruptible(lambda: f"{read:,} messages of {topic} were read"):
        records = _records(reader, topic, from_beginning)
        if topic == DEAD_LETTERS.name:
            records = messages.without_repeats(records)
        for record in islice(records, limit):
            read += 1
            messages.write(line(record))


def due(rate: float | None, speed: float | None) -> Due | None:
    """When each event is sent; None: at once."""
    from jobs.ingest import publish as job

    for option, number in (("--rate", rate), ("--speed", speed)):
        if number is not None and not 0 < number < math.inf:
            raise SettingError(f"{option} is a number above 0; got {number:g}; leave it out to send as fast as can be")
    if rate is not None and speed is not None:
        raise SettingError(f"events go at a rate or at a speed; got --rate {rate:g} and --speed {speed:g}; give one of them")
    if rate is not None:
        return job.at_rate(rate)
    return None if speed is None else job.at_speed(speed)


def send(
    feeds: Sequence[Feed],
    span: Span,
    stream: Iterator[Event],
    client: dict[str, Any],
    pace: Due | None,
    *,
    skip: int,
    limit: int | None = None,
    no_check: bool = False,
    follow: Callable[[Iterator[Event]], Iterator[Event]] = iter,
    clock: Callable[[], float] = time.monotonic,
) -> Published:
    """Check the files of ``feeds``, unless ``no_check``, and publish ``stream``, their events, as ``follow`` passes them on.

    Ctrl-C, or SIGTERM, ends the command; it says how many events were sent.
    """
    from infra.cli import show
    from infra.local import topics
    from jobs.ingest import publish as job
    from jobs.ingest.event_files import checked

    total = limit
    if not no_check:
        with show.err.status(f"checking {', '.join(str(feed.file) for feed in feeds)}"):
            rows = max(0, sum(checked(feed, span) for feed in feeds) - skip)
        total = rows if limit is None else min(limit, rows)
    events = follow(islice(stream, skip, None if limit is None else skip + limit))
    with terminated_as_interrupted(), show.sending(total) as on_progress, topics.connected(client):
        sent = job.publish(events, client, pace, on_progress, skipped=skip, clock=clock)
    if not sent.interrupted:
        return sent
    raise Interrupted(f"{sent.events:,} events were sent; go on after them with --skip {skip + sent.events}")


def _records(reader: dict[str, Any], topic: str, from_beginning: bool) -> Iterator[Any]:
    from contextlib import closing

    from kafka import TopicPartition

    from schemas.kafka.consumer import KafkaConsumer

    # earliest: what retention deletes while it is read is passed over, and not all up to the end
    with closing(KafkaConsumer(**reader, enable_auto_commit=False, auto_offset_reset="earliest")) as consumer:
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
