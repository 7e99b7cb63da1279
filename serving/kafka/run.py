"""A scorer from its start to its end: the models that it begins with, its clients and threads, the signals that it hears."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any, NamedTuple

import structlog
from kafka import KafkaProducer
from kafka.errors import FencedInstanceIdError, KafkaError, KafkaTimeoutError

from features.errors import StackError
from features.plan import Plan
from features.service import Service
from features.signals import stopped_by_signals
from schemas.kafka.consumer import KafkaConsumer
from serving.kafka.clients import PollingConsumer, SendingClient, attend
from serving.kafka.config import SENDER, ScorerConfig
from serving.kafka.lease import Lease, LostError
from serving.kafka.membership import FLUSH_SECONDS
from serving.kafka.metrics import ScorerMetrics, metrics_at
from serving.kafka.scorer import Scorer, check_topics
from serving.kafka.shadows import Shadows
from serving.kafka.watch import Watch
from serving.log_lines import log_as_json
from serving.models.registry import Registry
from serving.predict.loading import Loaded, Loader

READ_BACK_RECORDS = 10_000
SHADOW_LINGER_MS = 20
"""Nobody waits for a shadow's predictions, and fuller batches cost less."""

log = structlog.get_logger()


class Job(NamedTuple):
    """A service to score, with the models of a registry."""

    service: Service
    registry: Registry
    config: ScorerConfig


def run_all(jobs: Sequence[Job], stop: threading.Event | None = None) -> None:
    """`run` for each, at once. Where one fails the others go on: its error is logged, and raised once all have ended."""
    with metrics_at(jobs[0].config.metrics_port) as metrics:
        _run_all(jobs, metrics, stop)


def _run_all(jobs: Sequence[Job], metrics: ScorerMetrics | None, stop: threading.Event | None) -> None:
    if len(jobs) == 1:
        run(*jobs[0], stop, metrics)
        return
    stop, errors = stop or threading.Event(), list[BaseException]()

    def work(job: Job) -> None:
        try:
            run(*job, stop, metrics)
        except BaseException as error:  # raised again when the process ends
            errors.append(error)
            log.error("a scorer ended, the others go on", service=job.service.name, error=str(error))

    with stopped_by_signals(stop), _collector_as_it_was():
        threads = [threading.Thread(target=work, args=(job,), name=f"scorer-{job.service.name}") for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def run(
    service: Service,
    registry: Registry,
    config: ScorerConfig,
    stop: threading.Event | None = None,
    metrics: ScorerMetrics | None = None,
) -> None:
    """Score until SIGTERM, SIGINT or ``stop``; then finish the poll in hand, and commit. ``metrics`` are the process's.

    Raises `HeadraceError`: at the start where model, plan, topics or online store do not fit, later where Kafka takes no record.
    """
    stop = stop or threading.Event()
    log_as_json()
    plan = service.plan

    def open_reader() -> closing[Any]:
        return closing(KafkaConsumer(max_poll_records=READ_BACK_RECORDS, **config.reader))

    def partitions(topic: str) -> int:
        with open_reader() as reader:
            return len(reader.partitions_for_topic(topic) or ())

    def open_shadow_producer() -> Any:
        producer = KafkaProducer(**{**SENDER, "linger_ms": SHADOW_LINGER_MS}, **config.client, kafka_client=SendingClient)
        attend(producer)
        return producer

    loader, loaded = load(service, registry, config, partitions)
    link = Link(partitions)
    watch = Watch(plan.service, str(config.instance), registry, loader, loaded, link.send)
    shadows = Shadows(plan.service, open_shadow_producer)
    with stopped_by_signals(stop), _collector_as_it_was(), _kafka_errors(config), ExitStack() as parts:
        parts.callback(watch.close)
        parts.callback(shadows.close)
        while not stop.is_set():
            with suppress(LostError):
                _score(plan, watch, shadows, config, link, open_reader, stop, metrics)
                break
            log.warning("this scorer was away for longer than its session; it joins anew", service=plan.service)
        log.info("stop", service=plan.service)


class Link:
    """Where the watch's messages go: to the producer that there is at the time, if their topic is there."""

    def __init__(self, partitions: Callable[[str], int]) -> None:
        self.producer: Any = None
        self._partitions = partitions
        self._known: dict[str, bool] = {}

    def send(self, topic: str, value: bytes, key: bytes) -> None:
        """Write a record, without waiting for it; for a topic that is missing a producer would wait a minute."""
        if not self._known.get(topic):
            is_new = topic not in self._known
            self._known[topic] = self._partitions(topic) > 0
            if not self._known[topic] and is_new:
                log.warning("changes are in the log alone: Kafka has no such topic; run 'headrace up', or make it", topic=topic)
        if self.producer is not None and self._known[topic]:
            self.producer.send(topic, value=value, key=key)


def _score(
    plan: Plan,
    watch: Watch,
    shadows: Shadows,
    config: ScorerConfig,
    link: Link,
    open_reader: Callable[[], Any],
    stop: threading.Event,
    metrics: ScorerMetrics | None,
) -> None:
    """Score with new clients until ``stop``. Raises `LostError` where others have the partitions: nothing in hand is sent."""
    lease = Lease(config.session_ms)
    with ExitStack() as clients:
        consumer = clients.enter_context(closing(PollingConsumer(**config.member)))
        producer = KafkaProducer(**SENDER, **config.client, kafka_client=lease.client)
        clients.callback(_close, producer)
        attend(producer)
        scorer = Scorer(plan, watch, shadows, config, consumer, producer, lease, open_reader, metrics)
        check_topics(plan, consumer)  # once it has subscribed: a consumer that first saw other topics joins its group twice
        link.producer = producer
        watch.start()
        while not stop.is_set():
            scorer.step()
        scorer.finish()
        watch.close()


def _close(producer: Any) -> None:
    """Close it; what it could not send by now it never sends."""
    with suppress(KafkaTimeoutError):
        producer.close(timeout=FLUSH_SECONDS)


def load(service: Service, registry: Registry, config: ScorerConfig, partitions: Callable[[str], int]) -> tuple[Loader, Loaded]:
    """The models to begin with; raises `HeadraceError` where none in production fits, or the online store cannot be read."""
    loader = Loader(service, registry, (config.batch_cache_seconds, config.batch_cache_rows), partitions)
    loaded = loader.first(registry.deployed(service.plan.service))
    production = loaded.lineup.production
    model = production.predictor.manifest
    log.info("start", service=service.plan.service, plan=service.plan.short_digest, model=model.name, version=model.version)
    return loader, loaded


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
    if threading.current_thread() is not threading.main_thread():  # one of several: the process sees to it
        yield
        return
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
