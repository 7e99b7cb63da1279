"""What Prometheus is told of a stream job, from what its watch knows; Flink has metrics of its own, which cost its job more.

Flink collects all of its metrics for a query of one, and events wait for that. So these are what Flink has at hand for its
REST API, read every two seconds, and Kafka's offsets, read when somebody looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from features.exposition import exposed
from features.outcomes import AnyJob
from jobs.stream.config import StreamConfig
from jobs.stream.watch import Watch
from schemas.kafka.consumer import KafkaConsumer

log = structlog.get_logger()


@contextmanager
def metrics_of(job: AnyJob, config: StreamConfig, watch: Watch) -> Iterator[str | None]:
    """Within, they can be read at the address that it gives; None where they are not wanted."""
    if config.metrics_port is None:
        yield None
        return
    registry = CollectorRegistry()
    registry.register(_Job(job, config, watch))
    with exposed(registry, config.metrics_port) as address:
        yield address


class _Job(Collector):
    def __init__(self, job: AnyJob, config: StreamConfig, watch: Watch) -> None:
        self._job, self._config, self._watch = job, config, watch

    def describe(self) -> Iterable[Any]:
        """Nothing is read to be registered."""
        return ()

    def collect(self) -> Iterable[Any]:
        """Restarts, checkpoints, lag, plans."""
        job, watch = self._job.name, self._watch
        restarts = CounterMetricFamily("headrace_stream_restarts", "Restarts of the Flink job.", labels=("job",))
        restarts.add_metric((job,), watch.restarts)
        yield restarts
        yield from _checkpoints(job, watch.checkpoints)
        plans = GaugeMetricFamily("headrace_plan_info", "1 for each service of the job.", labels=("job", "service", "plan"))
        for plan in self._job.plans:
            plans.add_metric((job, plan.service, plan.short_digest), 1)
        yield plans
        lag = GaugeMetricFamily(
            "headrace_stream_lag",
            "Events that the job had not read at its last checkpoint.",
            labels=("job", "topic", "partition"),
        )
        for place, behind in self._lag().items():
            lag.add_metric((job, place.topic, str(place.partition)), behind)
        yield lag

    def _lag(self) -> dict[TopicPartition, int]:
        """As far as Flink has committed, which it does with each checkpoint; nothing where Kafka does not reply."""
        group = self._config.sql.group_of(self._job)
        try:
            with closing(KafkaConsumer(**self._config.kafka, group_id=group, enable_auto_commit=False)) as consumer:
                topics = {source.topic for source in self._job.sources}
                places = [TopicPartition(one, number) for one in topics for number in consumer.partitions_for_topic(one) or ()]
                ends = consumer.end_offsets(places)
                read = {place: consumer.committed(place) for place in places}
        except KafkaError as error:
            log.warning("lag is not known", error=repr(error))
            return {}
        return {place: max(0, ends[place] - offset) for place, offset in read.items() if offset is not None}


def _checkpoints(job: str, said: dict[str, Any]) -> Iterator[Any]:
    """``said`` is the reply of Flink's API, empty at first."""
    counts = CounterMetricFamily("headrace_stream_checkpoints", "Checkpoints.", labels=("job", "state"))
    for state in ("completed", "failed"):
        counts.add_metric((job, state), said.get("counts", {}).get(state, 0))
    yield counts
    latest = (said.get("latest") or {}).get("completed")
    if not latest:
        return
    values = {
        "age_seconds": ("Since the last checkpoint.", time.time() - latest["latest_ack_timestamp"] / 1000),
        "duration_seconds": ("Of the last checkpoint.", latest["end_to_end_duration"] / 1000),
        "bytes": ("Of the last checkpoint's state.", latest["state_size"]),
    }
    for name, (help_text, value) in values.items():
        made = GaugeMetricFamily(f"headrace_stream_checkpoint_{name}", help_text, labels=("job",))
        made.add_metric((job,), value)
        yield made
