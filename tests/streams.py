"""The stream job in tests: on a real broker and a real Flink, over topics of the test's own."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

from features.load import Project
from features.plan import Plan
from infra import jars
from infra.broker import Broker
from jobs.event_files import ALWAYS, Span
from jobs.publish import feed, merged, publish
from jobs.stream import StreamConfig, run
from schemas import DeadLetter, FeatureVector
from schemas.codec import decode_dead_letter, decode_features

PARTITIONS = 2


def own_topics(broker: Broker, plan: Plan, **changes: Any) -> Plan:
    """``plan`` with topics of its own, made on the broker, so that tests don't meet."""
    mark = uuid.uuid4().hex[:8]
    sources = tuple(msgspec.structs.replace(s, topic=f"{s.topic}-{mark}") for s in plan.sources)
    plan = msgspec.structs.replace(plan, service=f"{plan.service}-{mark}", sources=sources, **changes)
    topics = (*(source.topic for source in sources), plan.features_topic, plan.predictions_topic)
    broker.create_topics(dict.fromkeys(topics, PARTITIONS))
    broker.create_topics({"dead_letters": 1}, {"max.message.bytes": str(8 * 1024 * 1024)})
    return plan


def publish_history(broker: Broker, project: Project, plan: Plan, span: Span = ALWAYS) -> None:
    """The histories of all sources of ``plan``, merged in order of event time."""
    feeds = [feed(project.folder / source.history, source.topic, [plan]) for source in plan.sources]
    publish(merged(feeds, span), {"bootstrap_servers": broker.bootstrap})


def run_to_end(broker: Broker, plan: Plan, folder: Path, **changes: Any) -> None:
    """The job over what the topics hold, in a process of its own, until it has read them to the end."""
    settings = {"bootstrap": broker.bootstrap, "jars": jars.flink_jars(), "checkpoints": folder, "bounded": True, **changes}
    job = multiprocessing.get_context("spawn").Process(target=run, args=(plan, StreamConfig(**settings)))
    job.start()
    job.join(240)
    if job.is_alive():
        job.kill()
        job.join()
    assert job.exitcode == 0


def records(broker: Broker, topic: str) -> Iterator[Any]:
    """All records of a topic, partition by partition as they come."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, max_poll_records=5000)) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for polled in consumer.poll(timeout_ms=500).values():
                yield from polled


def vectors(broker: Broker, plan: Plan) -> list[FeatureVector]:
    """All feature vectors of the plan."""
    return [decode_features(record.value) for record in records(broker, plan.features_topic)]


def dead_letters(broker: Broker, plan: Plan) -> list[DeadLetter]:
    """The dead letters of the plan's own topics."""
    topics = {source.topic for source in plan.sources}
    letters = [decode_dead_letter(record.value) for record in records(broker, "dead_letters")]
    return [letter for letter in letters if letter.origin.topic in topics]
