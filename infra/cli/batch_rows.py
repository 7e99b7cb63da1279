"""What commands do with batch rows and say of them: a replay that changes days, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.times import DAY_MS
from infra.cli.app import warn

if TYPE_CHECKING:
    from features.plan import Plan
    from infra.run.day_by_day import DayByDay
    from infra.settings import Settings
    from jobs.history.batch_rows import BatchRows
    from jobs.ingest.publish import Event


def warn_of_batch_rows(found: Iterable[BatchRows], service: str, what: str = "events") -> None:
    """What is to be said of the batch rows that the events of a table had, or ``what`` else they are."""
    from jobs.history.batch_rows import warnings

    for line in warnings(found, service, what):
        warn(line)


def warn_of_predictions(project: Path, settings: Settings) -> None:
    """What the newest predictions of each service say of its batch views; nothing where there is no Kafka to ask."""
    from infra.local import stack

    plans = [plan for plan in stack.plans_in_use(project, settings) if plan.batch]
    if not plans:
        return
    from kafka.errors import KafkaError

    from infra.run import receipts

    client = settings.kafka.client(stack.bootstrap(project, settings))
    with suppress(KafkaError):
        for plan in plans:
            for line in receipts.warnings(plan, receipts.newest(client, plan.predictions_topic)):
                warn(line)


@contextmanager
def day_by_day(
    project: Path, settings: Settings, plan: Plan, client: dict[str, Any], *, wanted: bool
) -> Iterator[DayByDay | None]:
    """What changes the days of a replay; None where there is nothing to change, or it is not ``wanted``."""
    if not wanted or not plan.batch:
        yield None
        return
    missing = [view for view in plan.batch if not (project / view.path).is_file()]
    if missing:
        warn(
            f"batch view '{missing[0].view}' is not pushed: no file {project / missing[0].path}; "
            f"compute it with 'headrace batch-views {plan.service} --from DAY --to DAY'"
        )
        yield None
        return
    from features.definitions.load import load
    from infra.run.day_by_day import DayByDay
    from infra.run.watch import Watch

    with closing(Watch(client, plan)) as watch:
        service = load(project).service(plan.service)
        yield DayByDay(service, watch, settings.scorer.batch_cache_seconds, settings.stream.vectors_from_ms)


def tell_of_days(days: DayByDay, service: str) -> None:
    """What was pushed in a replay, and what was not."""
    from infra.cli import show

    if days.days:
        pushed = len(days.days) - len(days.without_rows)
        show.out.print(
            f"batch rows pushed for {pushed} of {len(days.days)} days; the online store is now as of {days.days[-1]}; "
            f"'headrace batch-views {service} --push' brings today's"
        )
    if days.without_rows:
        first, end = min(days.without_rows), max(days.without_rows) + timedelta(days=1)
        warn(
            f"without batch rows: {len(days.without_rows)} of {len(days.days)} days; their events had older ones or none; "
            f"compute them with 'headrace batch-views {service} --from {first} --to {end}'"
        )
    if days.unpredicted:
        warn(f"{days.unpredicted:,} events had no prediction when the next day's batch rows were pushed: theirs may be too new")


def noting_days(stream: Iterable[Event], days: set[int]) -> Iterator[Event]:
    """The events as they come; ``days`` gets their days since 1970."""
    for event in stream:
        days.add(event.time // DAY_MS)
        yield event


def tell_of_no_push(plans: Iterable[Plan], topic: str, days: set[int]) -> None:
    """Where events of several days were published to a spine: that its batch views stayed as they were."""
    from infra.cli import show

    services = [plan.service for plan in plans if plan.batch and plan.spine_source.topic == topic]
    if len(days) > 1 and services:
        show.err.print(
            f"the online store's batch rows stayed as they are for all {len(days)} days; to change them with the days, use "
            f"'headrace replay {services[0]}'",
            soft_wrap=True,
        )
