"""``headrace online``: feature vectors from their topic, a poll at a time, into the online store; then offsets are committed.

So a row is written at least once. One that comes again, or late, or from another writer does no harm: the store keeps the newest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from kafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, RebalanceInProgressError, UnknownMemberIdError

from features.errors import StackError
from features.feast.online_windows import WriteWindows, open_windows_for_writing
from features.service import Service
from features.signals import stopped_by_signals
from jobs.online.vectors import OtherPlanError, RowsOf
from schemas.codec import UNREADABLE
from schemas.kafka.group import group_consumer

POLL_MS = 500
RETRY_SECONDS = 1.0
STORE_SECONDS = 120.0
"""How long a store may fail before the writer gives up: less than Kafka waits for a poll."""
REPORT_SECONDS = 60.0
LOST = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""What a commit says where another writer has the partitions by now: it reads these records again."""

log = structlog.get_logger()


class WriterConfig(msgspec.Struct, frozen=True):
    """What one writer works with."""

    client: dict[str, Any]
    """What a kafka-python client is given: where Kafka is, and how it is spoken to."""
    isolation_level: str
    group: str
    """The consumer group, which the writers of a service share."""
    max_poll_records: int
    discovery_ms: int
    """Between two looks for new partitions."""
    ready_file: Path | None
    """Written as soon as the store is open and Kafka is read."""


class Counts(msgspec.Struct):
    """What a writer has done."""

    vectors: int = 0
    written: int = 0
    """Rows: of each view and poll, the newest of each key, unless the store had a newer one."""
    other_plan: int = 0
    unreadable: int = 0


def run(service: Service, config: WriterConfig, stop: threading.Event | None = None) -> None:
    """Write until SIGTERM, SIGINT or ``stop``. Raises `HeadraceError` where the store or Kafka cannot be used."""
    stop = stop or threading.Event()
    writer = Writer(RowsOf(service), open_windows_for_writing(service))
    topic = service.plan.features_topic
    log.info("start", service=service.plan.service, plan=service.plan.short_digest, views=writer.views)
    with stopped_by_signals(stop), _kafka_errors(config), closing(_consumer(config, topic)) as consumer:
        reported = time.monotonic()
        while not stop.is_set():
            polled = consumer.poll(timeout_ms=POLL_MS)
            if config.ready_file and not config.ready_file.exists() and consumer.assignment():
                config.ready_file.write_bytes(b"{}")
            if polled:
                writer.write([record.value for records in polled.values() for record in records], stop)
                _commit(consumer)
            if time.monotonic() - reported > REPORT_SECONDS:
                log.info("so far", service=service.plan.service, **msgspec.to_builtins(writer.counts))
                reported = time.monotonic()
        log.info("stop", service=service.plan.service, **msgspec.to_builtins(writer.counts))


class Writer:
    """Writes what one poll gave."""

    def __init__(self, rows_of: RowsOf, write: WriteWindows) -> None:
        self._rows_of = rows_of
        self._write = write
        self.counts = Counts()

    @property
    def views(self) -> list[str]:
        """The views that are written."""
        return [view.name for view in self._rows_of.views]

    def write(self, values: Sequence[bytes | None], stop: threading.Event) -> None:
        """Write the rows of these messages; raises `StackError` where the store fails for two minutes, or after ``stop``."""
        rows, counts = self._rows_of.empty(), self.counts
        for value in values:
            try:
                self._rows_of.add(value, rows)
            except OtherPlanError as error:
                if not counts.other_plan:
                    log.warning("feature vectors of another plan are not written", error=str(error))
                counts.other_plan += 1
            except UNREADABLE:  # the scorer makes a dead letter of it
                counts.unreadable += 1
        for view, some in rows.items():
            if some:
                counts.written += _until_it_works(partial(self._write, view, some), stop)
        counts.vectors += len(values)


def _until_it_works(write: Callable[[], int], stop: threading.Event) -> int:
    deadline = time.monotonic() + STORE_SECONDS
    while True:
        try:
            return write()
        except Exception as error:  # each online store has errors of its own
            if time.monotonic() > deadline or stop.is_set():
                raise StackError(
                    f"rows go to the store of feature_store.yaml; it said: {type(error).__name__}: {error}; fix that and start "
                    "'headrace online' again: it goes on where it was"
                ) from error
            log.warning("the online store failed; trying again", error=f"{type(error).__name__}: {error}")
            stop.wait(RETRY_SECONDS)


def _consumer(config: WriterConfig, topic: str) -> Any:
    consumer = group_consumer(
        config.client,
        config.group,
        isolation_level=config.isolation_level,
        max_poll_records=config.max_poll_records,
        discovery_ms=config.discovery_ms,
    )
    consumer.subscribe([topic])
    return consumer


def _commit(consumer: Any) -> None:
    try:
        consumer.commit()
    except LOST as error:
        log.warning("another writer has the partitions now, and writes these rows again", error=repr(error))


@contextmanager
def _kafka_errors(config: WriterConfig) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        address = ",".join(config.client["bootstrap_servers"])
        raise StackError(f"Kafka at {address} failed: {error!r}; fix that and start 'headrace online' again") from error
