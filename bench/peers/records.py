"""Topics in and out: made-up transactions, and what the contenders gave."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from bench.common import polled
from bench.peers.contenders import FEATURES, Alive, complaint
from bench.peers.job import Job
from infra.local.broker import Broker

START_SECONDS = 90
POLL_SECONDS = 0.1
BY_THE_BROKER = {"message.timestamp.type": "LogAppendTime"}
"""A record's time is when the broker took it: Quix Streams would say the event's."""

COLUMNS = tuple(f"{function}_{days}d" for days in (1, 7, 30) for function in ("count", "mean"))
Values = np.ndarray[Any, np.dtype[np.float64]]
Features = msgspec.defstruct(
    "Features", [(name, float | None, None) for name in COLUMNS], rename={name: f"spend__{name}" for name in COLUMNS}
)
Flat = msgspec.defstruct("Flat", [("event_id", int), *((name, float | None, None) for name in COLUMNS)])
Nested = msgspec.defstruct("Nested", [("event_id", int), ("features", Features)])


class EndedError(RuntimeError):
    """A contender that ended by itself, or wrote nothing."""


@dataclass
class Vectors:
    """All that a contender wrote."""

    stamps: list[int]
    """When the broker took each record, in order, in ms."""
    values: Values
    """``COLUMNS`` of each event, by its id; NaN where there is none."""

    def differences(self, other: Vectors) -> tuple[int, int]:
        """How many values are not those of ``other``, beyond the rounding of a sum of doubles, of how many that both have."""
        both = ~np.isnan(self.values) & ~np.isnan(other.values)
        return int((~np.isclose(self.values[both], other.values[both], rtol=1e-9, atol=0)).sum()), int(both.sum())


def create(broker: Broker, job: Job, partitions: int) -> None:
    """The topics that a contender writes to."""
    broker.create_topics({"dead_letters": 1, "late_rows": 1})
    broker.create_topics({job.target: partitions}, BY_THE_BROKER)


def wait_for(job: Job, alive: Alive, records: int, seconds: float, at_least: int = 1) -> int:
    """Until the contender has written so many records, or has taken ``seconds`` since it wrote the first ``at_least``.

    Gives how many there are. Raises `EndedError` where it ends, or writes nothing.
    """
    began, first = time.monotonic(), None
    with closing(KafkaConsumer(bootstrap_servers=job.bootstrap)) as consumer:
        while True:
            places = [TopicPartition(job.target, number) for number in consumer.partitions_for_topic(job.target)]
            count = sum(consumer.end_offsets(places).values())
            now = time.monotonic()
            first = first or (now if count >= at_least else None)
            if count >= records or (first and now > first + seconds):
                return count
            if not alive() or (first is None and now > began + START_SECONDS):
                raise EndedError(complaint(job) or f"it ended, or wrote nothing to {job.target} in {START_SECONDS} s")
            time.sleep(POLL_SECONDS)


def read(job: Job, events: int) -> Vectors:
    """All records of the job's target, of event ids below ``events``."""
    decoder, values, stamps = decoder_of(job.target), np.full((events, len(COLUMNS)), np.nan), list[int]()
    for records in polled(job.bootstrap, job.target):
        stamps += [record.timestamp for record in records]
        rows = [msgspec.structs.astuple(decoder.decode(record.value)) for record in records]
        ids = np.array([row[0] for row in rows])
        cells = [msgspec.structs.astuple(row[1]) if len(row) == 2 else row[1:] for row in rows]
        for column, cell in enumerate(np.array(cells, dtype=np.float64).T):
            there = ~np.isnan(cell)
            values[ids[there], column] = cell[there]
    return Vectors(sorted(stamps), values)


def decoder_of(topic: str) -> Any:
    """Headrace's values are one level down."""
    return msgspec.json.Decoder(Nested if topic.startswith(FEATURES) else Flat)
