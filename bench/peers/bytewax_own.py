"""Bytewax, the rows of a customer in memory, in a stateful operator. Runs in ``.venv-bench``.

It runs without recovery, as it does unless told otherwise: after a crash its state is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import cluster_main

from bench.peers.job import Job
from bench.peers.own_code import Rescan

Keyed = tuple[str, dict[str, Any]]


class Customer(StatefulBatchLogic):
    """The windows of one customer."""

    def __init__(self, state: type[Rescan], job: Job) -> None:
        self.made = lambda customer: state(*job.rows(customer))
        self.spend: Rescan | None = None

    def on_batch(self, values: list[dict[str, Any]]) -> tuple[Iterable[dict[str, Any]], bool]:
        """A feature vector for each event; the state is never given up."""
        self.spend = self.spend or self.made(values[0]["customer_id"])
        features = self.spend.features
        return [
            {"event_id": event["transaction_id"], **features(event["event_time"], round(event["amount"] * 100))}
            for event in values
        ], False

    def snapshot(self) -> Any:
        """What recovery would write."""
        return self.spend and (list(self.spend.times), list(self.spend.cents))


def flow(job: Job, state: type[Rescan]) -> Dataflow:
    """Kafka, decode, windows by customer, encode, Kafka."""

    def decode(messages: list[KafkaSourceMessage]) -> list[Keyed]:
        events = ((message.key.decode(), orjson.loads(message.value)) for message in messages)
        return [keyed for keyed in events if keyed[1]["transaction_id"] >= job.first_event]

    def encode(vectors: list[Keyed]) -> list[KafkaSinkMessage]:
        return [KafkaSinkMessage(key.encode(), orjson.dumps(vector)) for key, vector in vectors]

    made = Dataflow("spend")
    messages = op.input("source", made, KafkaSource([job.bootstrap], [job.source]))
    events = op.flat_map_batch("decode", messages, decode)
    vectors = op.stateful_batch("windows", events, lambda _: Customer(state, job))
    sink = KafkaSink([job.bootstrap], job.target, {"linger.ms": str(job.linger_ms)})
    op.output("target", op.flat_map_batch("encode", vectors, encode), sink)
    return made


def main(state: type[Rescan] = Rescan) -> None:
    """Run the job on the command line until a signal comes."""
    job = Job.given()
    cluster_main(flow(job, state), list(job.addresses), job.number)


if __name__ == "__main__":
    main()
