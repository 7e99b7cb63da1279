"""The scorer: reads ``features.<service>``, writes ``predictions.<service>``, one prediction for every event.

::

    poll ──► decode ──► drop repeats ──► batch rows ──► functions ──► model ──► send ──► commit what is acknowledged
                │                                          │            │
                └───────────────► dead_letters ◄───────────┴────────────┘

A vector that Flink wrote twice, or that had its prediction before a crash, is known by its event id: of the partitions that it is
given, the scorer first reads back the tails of the predictions. No two scorers work on one partition at a time, save one that was
frozen while another took over, and comes back to finish the poll in hand; to fence that one out takes a Kafka transaction for
every poll, which costs several round trips, and readers that wait for its end.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError

from features.errors import SettingError, StackError
from features.feast.cache import Cached
from features.feast.online import ReadRows, open_online_store
from features.plan import Plan
from features.service import Service
from schemas.codec import encode
from schemas.topics import DEAD_LETTERS, LONGEST_BYTES, Topic, predictions, room
from serving.kafka.counts import Counts
from serving.kafka.dead_letters import DeadLetters
from serving.kafka.delivery import COMMIT_SECONDS, Delivery
from serving.kafka.membership import FLUSH_SECONDS, Membership
from serving.kafka.predicted import Predicted, read_back
from serving.models.registry import Registry
from serving.predict.message import TooLargeError, UnscorableError
from serving.predict.predictor import Predictor, check_model
from serving.predict.vector import Vectors

POLL_MS = 100
READ_BACK_RECORDS = 10_000
REPORT_SECONDS = 10.0
TAKEOVER_SECONDS = 2 * COMMIT_SECONDS
"""Before the first read-back: a process that still runs as this instance is refused its next commit, and ends."""

READER: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "allow_auto_create_topics": False,
    "session_timeout_ms": 10_000,  # how long the partitions of a scorer that does not come back go without one
    "heartbeat_interval_ms": 1_000,
    "metrics_enabled": False,
}
PRODUCER_METADATA_MS = 5_000
"""How long a producer goes without looking for new partitions."""
SENDER: dict[str, Any] = {
    "enable_idempotence": True,  # a send that kafka-python tries again is not written twice
    "linger_ms": 0,
    # Room for a poll's records, below Kafka's default message.max.bytes: behind a full batch every record wakes the sender.
    "batch_size": 900 * 1024,
    "max_request_size": LONGEST_BYTES,
    "metadata_max_age_ms": PRODUCER_METADATA_MS,
    "metrics_enabled": False,
}

LOG_LINES: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.JSONRenderer(),
]
"""One JSON object a line, where the caller has not configured structlog."""

log = structlog.get_logger()


class ScorerConfig(msgspec.Struct, frozen=True):
    """What one scorer works with."""

    client: dict[str, Any]
    """What a kafka-python client is given: where Kafka is, and how it is spoken to."""
    isolation_level: str
    """Kafka's ``isolation.level``, of what is read."""
    registry: Path | str
    """The model registry's folder, or its URL."""
    alias: str
    """The alias whose version makes the predictions; the model has the service's name."""
    longest: Mapping[str, int]
    """The longest record that a topic takes, by its name; one that is not here is as we make it."""
    group: str
    """The consumer group."""
    instance: str
    """Which scorer of the group this is. One that starts as an instance that died takes over its partitions at once."""
    dedupe_window: int
    """Event ids remembered of all partitions together: more than Flink repeats after a restart (checkpoint interval × rate)."""
    batch_cache_seconds: float
    batch_cache_rows: int
    max_poll_records: int
    discovery_ms: int
    """Between two looks for new partitions."""
    ready_file: Path | None
    """Written as soon as the scorer has its partitions, and knows which events have a prediction: its plan and its model."""


def run(service: Service, config: ScorerConfig, stop: threading.Event | None = None) -> None:
    """Score until SIGTERM, SIGINT or ``stop``; then finish the poll in hand, and commit.

    Raises `HeadraceError`: at the start where model, plan, topics or online store do not fit, later where Kafka takes no record.
    """
    stop = stop or threading.Event()
    if not structlog.is_configured():
        structlog.configure(processors=LOG_LINES)
    plan = service.plan
    vectors, predictor = load_predictor(service, config)
    client, group = config.client, config.group
    reader = {**READER, "isolation_level": config.isolation_level, "metadata_max_age_ms": config.discovery_ms, **client}
    member = {"group_id": group, "group_instance_id": f"{group}.{config.instance}", "max_poll_records": config.max_poll_records}

    def open_reader() -> closing[Any]:
        return closing(KafkaConsumer(max_poll_records=READ_BACK_RECORDS, **reader))

    with _stopped_by_signals(stop), _collector_as_it_was(), _kafka_errors(config), ExitStack() as clients:
        consumer = clients.enter_context(closing(KafkaConsumer(**member, **reader)))
        producer = KafkaProducer(**SENDER, **client)
        clients.callback(producer.close, timeout=FLUSH_SECONDS)
        scorer = Scorer(plan, vectors, predictor, config, consumer, producer, open_reader)
        _check_topics(plan, consumer)  # once it has subscribed: a consumer that first saw other topics joins its group twice
        while not stop.is_set():
            scorer.step()
        scorer.finish()
        log.info("stop", service=plan.service)


def load_predictor(service: Service, config: ScorerConfig) -> tuple[Vectors, Predictor]:
    """The model on the plan's vectors; raises `HeadraceError` where the two do not fit, or the online store cannot be read."""
    plan = service.plan
    model = Registry(config.registry).get(plan.service, config.alias)
    manifest = model.manifest
    check_model(model, plan)
    vectors = Vectors(plan, manifest.inputs, service.functions)
    rows: ReadRows = lambda view, keys: [None] * len(keys)  # noqa: E731
    if vectors.batch:
        read = open_online_store(service.folder, service.objects, vectors.batch)
        rows = Cached(read, config.batch_cache_seconds, config.batch_cache_rows)
    log.info("start", service=plan.service, plan=plan.short_digest, model=manifest.name, version=manifest.version)
    return vectors, Predictor(model, vectors, rows)


class Scorer:
    """One consumer at work, a poll at a time.

    ``open_reader`` gives a context with a consumer of no group, to read back with.
    """

    def __init__(
        self,
        plan: Plan,
        vectors: Vectors,
        predictor: Predictor,
        config: ScorerConfig,
        consumer: Any,
        producer: Any,
        open_reader: Callable[[], Any],
    ) -> None:
        self._plan = plan
        self._vectors = vectors
        self._predictor = predictor
        self._config = config
        self._consumer = consumer
        self._producer = producer
        self._open_reader = open_reader
        self._membership = Membership(consumer, producer, plan.features_topic)
        self._delivery = Delivery(producer, consumer)
        self._counts = Counts(REPORT_SECONDS)
        self._predicted = Predicted(config.dedupe_window)
        self._dead = DeadLetters(plan.features_topic, _longest(config, DEAD_LETTERS))
        self._room = room(_longest(config, predictions(plan.service)))
        self._adopted = False

    def step(self) -> None:
        """Predict what one poll returns."""
        polled = self._consumer.poll(timeout_ms=POLL_MS)
        assigned = self._membership.take()
        if assigned is not None:  # what was polled is read, and has no prediction yet
            self._adopt({p: polled[p][0].offset if p in polled else self._consumer.position(p) for p in assigned})
        if polled:
            self._predict(polled)
        self._membership.keep()
        self._delivery.settle()
        counts = self._counts.take()
        if counts is not None:
            log.info("counts", **counts)

    def finish(self) -> None:
        """Wait until every record is acknowledged, and commit."""
        self._delivery.drain()
        self._delivery.commit()

    def _adopt(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on with these partitions, from these offsets: first read back what is predicted already."""
        self._delivery.begin(positions)
        if not self._adopted:
            time.sleep(TAKEOVER_SECONDS)
            self._adopted = True
        partitions = sorted(place.partition for place in positions)
        with self._open_reader() as reader:
            _check_topics(self._plan, reader)  # a new partition of the features needs its own among the predictions
            self._predicted = read_back(reader, self._plan.predictions_topic, partitions, self._config.dedupe_window)
            self._dead.read_back(reader)
        self._await_producer(partitions)
        _spare_the_collector()
        log.info("assigned", service=self._plan.service, partitions=partitions, read_back=len(self._predicted))
        if self._config.ready_file is not None:
            model = self._predictor.model
            known = {"plan": self._plan.digest, "model": model.name, "version": model.version, "sha256": model.sha256}
            self._config.ready_file.write_bytes(msgspec.json.encode(known))

    def _await_producer(self, partitions: Sequence[int]) -> None:
        """Return when the producer knows the partitions: of one that was just added it hears when it looks again."""
        deadline = time.monotonic() + 3 * PRODUCER_METADATA_MS / 1000
        while not self._producer.partitions_for(self._plan.predictions_topic).issuperset(partitions):
            if time.monotonic() > deadline:
                raise StackError(
                    f"a prediction has the partition of its features; the producer does not find partitions {partitions} of "
                    f"{self._plan.predictions_topic}; start the scorer again"
                )
            time.sleep(0.1)

    def _predict(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        began = time.perf_counter()
        records, messages, bad = self._new(polled)
        scored = 0
        for record, result in zip(records, self._predictor.predict(messages, [r.timestamp for r in records]), strict=True):
            if isinstance(result, UnscorableError):
                bad.append((record, result))
            elif len(result) + len(record.key or b"") > self._room:
                bad.append((record, _too_large(result, self._room)))
            else:
                self._delivery.send(self._plan.predictions_topic, result, record.key, record.partition)
                scored += 1
        letters = [letter for record, error in bad if (letter := self._dead.of(record, error))]
        for letter in letters:
            self._delivery.send(DEAD_LETTERS.name, encode(letter), letter.origin.text.encode())
        self._delivery.end_poll({place: of_one[-1].offset + 1 for place, of_one in polled.items()})
        repeats = sum(map(len, polled.values())) - scored - len(letters)
        self._counts.add(scored=scored, repeats=repeats, dead_letters=len(letters), seconds=time.perf_counter() - began)

    def _new(
        self, polled: Mapping[TopicPartition, Sequence[Any]]
    ) -> tuple[list[Any], list[Any], list[tuple[Any, UnscorableError]]]:
        """The records that need a prediction, their messages, and those that cannot be decoded. The repeats are gone."""
        records, messages, bad = [], [], []
        decode = self._vectors.decode
        first_time = self._predicted.first_time
        for of_one in polled.values():
            for record in of_one:
                try:
                    message = decode(record.value)
                except UnscorableError as reason:
                    bad.append((record, reason))
                    continue
                if first_time(message.event_id):
                    records.append(record)
                    messages.append(message)
        return records, messages, bad


def _longest(config: ScorerConfig, topic: Topic) -> int:
    """The longest record on a topic of ours."""
    return min(config.longest.get(topic.name, topic.longest), LONGEST_BYTES)


def _too_large(prediction: bytes, room: int) -> TooLargeError:
    return TooLargeError(f"its prediction takes {len(prediction)} bytes; the topic has room for {room}, key included")


def _check_topics(plan: Plan, consumer: Any) -> None:
    topics = (plan.features_topic, plan.predictions_topic, DEAD_LETTERS.name)
    partitions = {topic: len(consumer.partitions_for_topic(topic)) for topic in topics}
    missing = [topic for topic, count in partitions.items() if not count]
    if missing:
        raise SettingError(f"a scorer's topics are made before it starts; Kafka has no {', '.join(missing)}; create them")
    if partitions[plan.predictions_topic] < partitions[plan.features_topic]:
        raise SettingError(
            "a prediction has the partition of its features; "
            f"{plan.features_topic} has {partitions[plan.features_topic]} partitions, {plan.predictions_topic} "
            f"{partitions[plan.predictions_topic]}; add the missing ones"
        )


def _spare_the_collector() -> None:
    """Keep the garbage collector off what lives for good: the modules of Feast and ONNX Runtime, the ids of the events predicted.

    Measured over 200,000 records: 26 full collections of up to 0.2 s, in all 18 µs a record, became none, and 0.3 µs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextmanager
def _kafka_errors(config: ScorerConfig) -> Iterator[None]:
    try:
        yield
    except FencedInstanceIdError:
        raise StackError(
            f"a scorer's instance is one process at a time; another started as instance '{config.instance}' of {config.group}; "
            "give each an instance of its own"
        ) from None
    except KafkaError as error:
        address = ",".join(config.client["bootstrap_servers"])
        raise StackError(f"Kafka at {address} failed: {error!r}; fix that and start the scorer again") from error


@contextmanager
def _collector_as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
