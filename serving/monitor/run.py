"""``headrace monitor``: predictions from their topic into counters, alarms onto theirs, each once.

::

    predictions.S ──► count ──► state file: counters, alarms to write, offsets ──► alarms
                                 (whole, or as it was before)                      └─ then the state without them
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import structlog
from filelock import FileLock, Timeout
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from features.errors import StackError
from features.inputs.reference import Reference
from features.signals import stopped_by_signals
from schemas.codec import UNREADABLE
from schemas.kafka.group import group_consumer
from schemas.topics import predictions
from serving.log_lines import log_as_json
from serving.monitor.config import MonitorConfig
from serving.monitor.ending import superseded
from serving.monitor.metrics import Seen, metrics_at
from serving.monitor.monitor import GiveReference, Monitor, columns_of
from serving.monitor.outbox import Outbox
from serving.monitor.retraining import Retraining
from serving.monitor.state import State, read_state, write_state

POLL_MS = 500
SAVE_SECONDS = 5.0
END_MS = 253_402_300_800_000
"""The year 10000: no event is so late."""

log = structlog.get_logger()


class _Receipt(msgspec.Struct, gc=False):
    model: str
    version: int
    inputs: dict[str, float | bool | str | None]
    """A number is a double, however it is written: one that is too large for it is refused."""
    segments: dict[str, float | bool | str | None] = {}

    @property
    def values(self) -> dict[str, float | bool | str | None]:
        """What is counted: the inputs, and the columns of the event that are carried beside them."""
        return self.inputs | self.segments if self.segments else self.inputs


class _Predicted(msgspec.Struct, gc=False):
    """What is counted of a prediction."""

    event_id: int | str
    event_time: Annotated[int, msgspec.Meta(ge=0, lt=END_MS)]
    score: float
    receipt: _Receipt


_decode = msgspec.json.Decoder(_Predicted).decode


def run(
    service: str,
    references: GiveReference,
    config: MonitorConfig,
    stop: threading.Event | None = None,
    retraining: Retraining | None = None,
) -> None:
    """Count and judge until SIGTERM, SIGINT or ``stop``; then save. ``retraining`` is told when alarms open.

    Raises `HeadraceError` where the state or Kafka cannot be used.
    """
    stop = stop or threading.Event()
    log_as_json()
    with stopped_by_signals(stop), _kafka_errors(config), ExitStack() as parts:
        parts.enter_context(_alone(config))
        state = read_state(config.state, service, config.rules.window)
        consumer = parts.enter_context(closing(_consumer(config)))
        producer = parts.enter_context(closing(KafkaProducer(enable_idempotence=True, metrics_enabled=False, **config.client)))
        for length, file in config.others.items():
            _supersede(read_state(file, service, length), file, config, consumer, producer)
        loop = Loop(Monitor(state, config.rules, _told(references)), config, consumer, producer)
        loop.outbox.write_left_over()
        loop.look_for_partitions()
        address = parts.enter_context(metrics_at(config.metrics_port, loop.seen))
        log.info("start", service=service, window=config.rules.window, offsets=state.offsets, metrics=address)
        while not stop.is_set():
            opened = loop.step()
            if retraining is not None:
                retraining.step(alarm_opened=opened)
            if config.ready_file and not config.ready_file.exists():
                config.ready_file.write_bytes(msgspec.json.encode({"metrics": address}))
        loop.save()
        log.info("stop", service=service, events=state.events, late=state.late, offsets=state.offsets)


def _supersede(state: State, file: Path, config: MonitorConfig, consumer: Any, producer: Any) -> None:
    """Close the alarms that windows of another length have left open."""
    outbox = Outbox(state, partial(write_state, file, state), consumer, producer)
    if state.outbox:
        outbox.write_left_over()
    alarms = superseded(state, config.rules.window, round(time.time() * 1000))
    if alarms:
        outbox.write(alarms)


def _told(references: GiveReference) -> GiveReference:
    """The same, and the log says of which version there is none."""

    def given(model: str, version: int) -> Reference | None:
        found = references(model, version)
        if found is None:
            log.warning("a version without a reference is not watched", model=model, version=version)
        return found

    return given


class Loop:
    """Reads, counts, saves and writes."""

    def __init__(self, monitor: Monitor, config: MonitorConfig, consumer: Any, producer: Any) -> None:
        self.monitor, self._config, self._consumer = monitor, config, consumer
        self.outbox = Outbox(monitor.state, self.save, consumer, producer)
        self._topic = predictions(monitor.state.service).name
        self._ends: dict[TopicPartition, int] = {}
        self._saved = self._looked = time.monotonic()
        self._lag: dict[int, int] = {}

    def step(self) -> bool:
        """One poll; gives whether an alarm opened."""
        polled = self._consumer.poll(timeout_ms=POLL_MS)
        for place, records in polled.items():
            self._count(place, records)
        until = self._until()
        alarms = [] if until is None else self.monitor.advance(until)
        now = time.monotonic()
        if alarms:
            self.outbox.write(alarms)
        elif now - self._saved > SAVE_SECONDS:
            self.save()
        if now - self._looked > self._config.discovery_ms / 1000:
            self.look_for_partitions()
        return any(alarm.state == "open" for alarm in alarms)

    def save(self) -> None:
        """Have the file say what was counted, and up to where; the group is told too, for others to see."""
        state = self.monitor.state
        write_state(self._config.state, state)
        self._saved = time.monotonic()
        offsets = {TopicPartition(self._topic, number): OffsetAndMetadata(at, "", -1) for number, at in state.offsets.items()}
        if offsets:
            with suppress(KafkaError):  # it counts for nothing here
                self._consumer.commit(offsets)

    def look_for_partitions(self) -> None:
        """Read all partitions that there are; a new one from its beginning."""
        self._looked = time.monotonic()
        state = self.monitor.state
        places = {TopicPartition(self._topic, number) for number in self._consumer.partitions_for_topic(self._topic) or ()}
        if places <= self._consumer.assignment():
            return
        begins, self._ends = self._consumer.beginning_offsets(list(places)), self._consumer.end_offsets(list(places))
        at = {place: self._position(place, begins[place], self._ends[place]) for place in places}
        self._consumer.assign(list(places))
        for place, offset in at.items():
            self._consumer.seek(place, offset)
            state.offsets[place.partition] = offset

    def seen(self) -> Seen:
        """What Prometheus is told; called on another thread."""
        return Seen(self.monitor.state, self._lag)

    def _position(self, place: TopicPartition, begin: int, end: int) -> int:
        """Where to go on. Raises `StackError` where the topic is not the one that was counted."""
        offset = self.monitor.state.offsets.get(place.partition)
        if offset is None:
            return begin
        if offset > end:
            raise StackError(
                f"a monitor goes on where it was; {self._config.state} has counted up to {offset} of {place.topic}-"
                f"{place.partition}, which ends at {end}: it is another topic; remove that file to count it anew"
            )
        if offset < begin:
            log.warning("predictions were deleted before they were counted", partition=place.partition, count=begin - offset)
        return max(begin, offset)

    def _count(self, place: TopicPartition, records: Sequence[Any]) -> None:
        state = self.monitor.state
        by_version: dict[tuple[str, int, bool], list[_Predicted]] = defaultdict(list)
        for record in records:
            try:
                found = _decode(record.value or b"")
            except UNREADABLE:
                state.unreadable += 1
                continue
            receipt = found.receipt
            by_version[receipt.model, receipt.version, bool(receipt.segments)].append(found)  # scorers of two versions of ours
        for (model, version, _), all_of_it in by_version.items():
            reference = self.monitor.reference(model, version)
            some = _countable(all_of_it, reference)
            state.unreadable += len(all_of_it) - len(some)
            if not some:
                continue
            times = np.array([one.event_time for one in some], np.int64)
            values, scores = [one.receipt.values for one in some], [one.score for one in some]
            columns = columns_of(values, scores, reference) if reference else {}
            self.monitor.count(model, version, times, columns, [one.event_id for one in some])
            state.newest[place.partition] = max(state.newest.get(place.partition, 0), int(times.max()))
        state.offsets[place.partition] = records[-1].offset + 1

    def _until(self) -> int | None:
        """How far the stream has come: all that is older has been read, but for what is late.

        A partition that has more to read holds it back at its newest event; one that is read to its end does not. None: nothing
        is known of a partition yet.
        """
        state, unread = self.monitor.state, []
        for place in self._consumer.assignment():
            end = max(self._ends.get(place, 0), self._consumer.highwater(place) or 0)
            self._lag[place.partition] = behind = max(0, end - self._consumer.position(place))
            if behind:
                unread.append(state.newest.get(place.partition))
        if None in unread or not state.newest:
            return None
        return min([one for one in unread if one is not None], default=max(state.newest.values()))


def _countable(found: list[_Predicted], reference: Reference | None) -> list[_Predicted]:
    """Those that have no text where the reference has a number: no version's receipts do."""
    bins = [histogram.bins for histogram in reference.histograms] if reference else []
    numbers = [one.name for one in bins if one.kind == "number"]
    return [one for one in found if not _has_text(one.receipt.values, numbers)]


def _has_text(values: Mapping[str, Any], numbers: Sequence[str]) -> bool:
    return any(type(values.get(name)) is str for name in numbers)


def _consumer(config: MonitorConfig) -> Any:
    return group_consumer(
        config.client,
        config.group,
        isolation_level=config.isolation_level,
        max_poll_records=config.max_poll_records,
        discovery_ms=config.discovery_ms,
    )


@contextmanager
def _alone(config: MonitorConfig) -> Iterator[None]:
    """Hold the service's states, of windows of any length. Raises `StackError` where another monitor does."""
    config.state.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for file in (config.state, *config.others.values()):
            try:
                held.enter_context(FileLock(file.with_suffix(".lock"), timeout=0).acquire())
            except Timeout:
                raise StackError(
                    f"one monitor of a service at a time; another holds {file}; stop it first: 'headrace up' with "
                    "monitor.run = false stops a stack's, Ctrl-C one started by hand"
                ) from None
        yield


@contextmanager
def _kafka_errors(config: MonitorConfig) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        address = ",".join(config.client["bootstrap_servers"])
        raise StackError(f"Kafka at {address} failed: {error!r}; fix that and start 'headrace monitor' again") from error
