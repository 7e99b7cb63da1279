"""The scorer: reads ``features.<service>``, writes ``predictions.<service>``, one prediction for every event.

::

    poll ──► decode ──► drop repeats ──► batch rows ──► functions ──► model ──► send ──► commit what is acknowledged
                │                                          │            │         │
                └───────────────► dead_letters ◄───────────┴────────────┘         └──► shadows, on their own thread

A vector that Flink wrote twice, or that had its prediction before a crash, is known by its event id: of the partitions that it is
given, the scorer first reads back the tails of the predictions. Another lineup of models is taken between two polls, and so is
another turn: which events are this plan's where it takes over from another, or another from it (`serving.kafka.turns`). No two
scorers work on one partition at a time: one that was frozen while another took over sends nothing of what it had in hand
(`Lease`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from kafka import TopicPartition

from features.errors import SettingError, StackError
from features.plan import Plan
from schemas.codec import UNREADABLE, encode
from schemas.topics import DEAD_LETTERS, predictions, room
from schemas.trace import carried
from serving.kafka.batches import Batches, Record, prediction_of
from serving.kafka.config import PRODUCER_METADATA_MS, ScorerConfig
from serving.kafka.counts import Counts
from serving.kafka.dead_letters import DeadLetters
from serving.kafka.delivery import COMMIT_SECONDS, Delivery
from serving.kafka.lease import Lease
from serving.kafka.membership import Membership
from serving.kafka.metrics import ScorerMetrics, lag_of
from serving.kafka.predicted import Predicted, read_back
from serving.kafka.shadows import Shadows
from serving.kafka.turns import Turn, TurnWatch
from serving.kafka.watch import Watch
from serving.predict.message import OtherPlanError, TooLargeError, UnscorableError

POLL_MS = 100
WAITING_MS = 10
"""Of a poll that gives nothing, as the scorer stands still."""
REPORT_SECONDS = 10.0
BEHIND = 0.5
"""So much of the largest poll says that there is more to read than the loop has read."""
TAKEOVER_SECONDS = 2 * COMMIT_SECONDS
"""Before the first read-back: a process that still runs as this instance is refused its next commit, and ends."""

log = structlog.get_logger()


class _Place(msgspec.Struct, gc=False):
    """Where an event lies; its topic is the spine's."""

    partition: int
    offset: int


_decode_place = msgspec.json.Decoder(_Place).decode


class Scorer:
    """One consumer at work, a poll at a time. Any step may raise `LostError`: then another has its partitions.

    ``open_reader`` gives a context with a consumer of no group, to read back with.
    """

    def __init__(
        self,
        plan: Plan,
        watch: Watch,
        shadows: Shadows,
        config: ScorerConfig,
        consumer: Any,
        producer: Any,
        lease: Lease,
        open_reader: Callable[[], Any],
        metrics: ScorerMetrics | None = None,
    ) -> None:
        self._plan = plan
        self._watch = watch
        self._loaded = watch.current
        self._shadows = shadows
        self._config = config
        self._consumer = consumer
        self._producer = producer
        self._open_reader = open_reader
        self._membership = Membership(consumer, producer, plan.features_topic, lease)
        self._delivery = Delivery(producer, Batches(producer, plan.predictions_topic), consumer, lease)
        self._counts = Counts(REPORT_SECONDS)
        self._predicted = Predicted(config.dedupe_window)
        self._dead = DeadLetters(plan.features_topic, config.longest_of(DEAD_LETTERS))
        self._room = room(config.longest_of(predictions(plan.service)))
        self._next: dict[TopicPartition, int] = {}
        self._adopted = False
        self._turns = TurnWatch(config.turns, plan.service, plan.short_digest, config.instance)
        self._turn: Turn | None = None
        self._stands_still = False
        self._address = metrics.address if metrics else None
        self._metrics = metrics and metrics.of(plan.service, lambda: self._loaded.lineup, lambda: lag_of(consumer, self._next))

    def step(self) -> None:
        """Predict what one poll returns."""
        waits = self._turns.waits()
        if not waits:
            self._take_turn()
        polled = self._consumer.poll(timeout_ms=WAITING_MS if waits else POLL_MS)
        self._shadows.give_way(sum(map(len, polled.values())) > BEHIND * self._config.max_poll_records)
        self._delivery.check()
        assigned = self._membership.take()
        if assigned is not None:  # what was polled is read, and has no prediction yet
            self._adopt({p: polled[p][0].offset if p in polled else self._consumer.position(p) for p in assigned})
        if waits:
            self._stand_still(polled)
            polled = {}
        offered = self._watch.offered()
        if offered is not None and self._adopted:
            self._loaded = offered
            self._watch.taken(offered, self._next)
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

    def _stand_still(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Read nothing on: neither what was just polled, nor what partitions hold that were given meanwhile."""
        for place, of_one in polled.items():
            self._consumer.seek(place, of_one[0].offset)
        self._consumer.pause(*self._consumer.assignment())
        self._stands_still = True

    def _take_turn(self) -> None:
        """Go on, where the scorer stood still, and to where another turn begins."""
        turn, before = self._turns.turn, self._turn
        if self._stands_still:
            self._consumer.resume(*self._consumer.paused())
            self._stands_still = False
        if turn is before:
            return
        self._turn = turn
        if turn is None or (before is not None and turn.reads_from == before.reads_from):
            return
        places = self._next.keys() & self._consumer.assignment()
        begins = {place: turn.reads_from.get(place.partition, self._next[place]) for place in places}
        for place, offset in begins.items():
            self._consumer.seek(place, offset)
        if any(offset < self._next[place] for place, offset in begins.items()):
            self._adopt(begins, everywhere=True)

    def _adopt(self, positions: Mapping[TopicPartition, int], *, everywhere: bool = False) -> None:
        """Go on with these partitions, from these offsets: first read back what is predicted already.

        It is in the same partitions, or ``everywhere``, where another plan gave events other keys.
        """
        self._delivery.begin(positions)
        if not self._adopted:
            time.sleep(TAKEOVER_SECONDS)
            self._adopted = True
        partitions = sorted(place.partition for place in positions)
        with self._open_reader() as reader:
            check_topics(self._plan, reader)  # a new partition of the features needs its own among the predictions
            topic = self._plan.predictions_topic
            places = sorted(reader.partitions_for_topic(topic)) if everywhere else partitions
            self._predicted = read_back(reader, topic, places, self._config.dedupe_window)
            self._dead.read_back(reader)
        self._await_producer(partitions)
        _spare_the_collector()
        log.info("assigned", service=self._plan.service, partitions=partitions, read_back=len(self._predicted))
        self._next = dict(positions)
        self._watch.taken(self._loaded, self._next)
        if self._config.ready_file is not None:
            model = self._loaded.lineup.production.predictor.manifest
            known = {"plan": self._plan.digest, "model": model.name, "version": model.version, "sha256": model.sha256}
            known |= {"metrics": self._address} if self._address else {}
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
        lineup = self._loaded.lineup
        records, messages, bad = self._new(polled)
        featured = [record.timestamp for record in records]
        events = lineup.vectors.events(messages, featured)
        keys = [_key(record, message) for record, message in zip(records, messages, strict=True)] if lineup.canary else ()
        results = lineup.predict(events, keys)
        scored_at = int(time.time() * 1000)
        self._delivery.check()
        scored: list[Record] = []
        for record, message, result in zip(records, messages, results, strict=True):
            if not isinstance(result, UnscorableError):
                if len(result) + len(record.key or b"") <= self._room:
                    scored.append(prediction_of(record, result))
                    continue
                result = _too_large(result, self._room)
            bad.append((record, result))
            self._predicted.forget(message.event_id)  # published again, for another model, it is no repeat
        self._delivery.predict(scored)
        letters = []
        for record, error in bad:
            letter = self._dead.of(record, error)
            if letter is not None:
                letters.append(letter)
                headers = carried(record.headers)
                self._delivery.send(DEAD_LETTERS.name, encode(letter), letter.origin.text.encode(), headers)
        done = {place: of_one[-1].offset + 1 for place, of_one in polled.items()}
        self._delivery.end_poll(done)
        self._next |= done
        repeats = sum(map(len, polled.values())) - len(scored) - len(letters)
        seconds = time.perf_counter() - began
        skipped = self._shadows.feed(lineup, events, records)
        self._counts.add(scored=len(scored), repeats=repeats, dead_letters=len(letters), skipped=skipped, seconds=seconds)
        if self._metrics:
            self._metrics.polled(scored=len(scored), repeats=repeats, letters=letters, skipped=skipped, seconds=seconds)
            event, arrived = [one.event_time for one in messages], [one.arrived_at for one in messages]
            self._metrics.times(event, arrived, featured, scored_at)

    def _new(
        self, polled: Mapping[TopicPartition, Sequence[Any]]
    ) -> tuple[list[Any], list[Any], list[tuple[Any, UnscorableError]]]:
        """The records that need a prediction, their messages, and those that cannot be decoded. The repeats are gone."""
        records, messages, bad = [], [], []
        decode = self._loaded.lineup.vectors.decode
        first_time, turn = self._predicted.first_time, self._turn if self._turn and self._turn.is_bounded else None
        for of_one in polled.values():
            for record in of_one:
                try:
                    message = decode(record.value)
                    is_ours = turn is None or turn.has(*_place_of(message))
                except UnscorableError as reason:
                    if not (isinstance(reason, OtherPlanError) and reason.plan in self._turns.others):
                        bad.append((record, reason))
                    continue
                if is_ours and first_time(message.event_id):
                    records.append(record)
                    messages.append(message)
        return records, messages, bad


def _place_of(message: Any) -> tuple[int, int]:
    """Partition and offset of the event. Raises `UnscorableError` where the message does not say."""
    try:
        place = _decode_place(message.origin)
    except UNREADABLE as error:
        raise UnscorableError(f"origin: {error}") from None
    return place.partition, place.offset


def _key(record: Any, message: Any) -> bytes:
    """What a canary's share is of: the record's key, or the event's id where it has none."""
    return record.key or str(message.event_id).encode()


def _too_large(prediction: bytes, room: int) -> TooLargeError:
    return TooLargeError(f"its prediction takes {len(prediction)} bytes; the topic has room for {room}, key included")


def check_topics(plan: Plan, consumer: Any) -> None:
    """Raise `SettingError` where a topic is missing, or the predictions have fewer partitions than the features."""
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
