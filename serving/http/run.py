"""The HTTP service from its start to its end."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import uvicorn

from features.errors import SettingError, StackError
from features.service import Service
from features.signals import signals_to
from serving.http.app import OnKafka, application
from serving.http.config import HttpConfig, KafkaConfig
from serving.http.connection import Connection
from serving.http.events import Events, entrances
from serving.http.gate import Gate
from serving.http.hosts import is_loopback
from serving.http.metrics import Metrics
from serving.http.page.page import Page
from serving.http.page.sources import Sources
from serving.http.predict import deliver
from serving.http.scoring import Scoring
from serving.http.served import Served
from serving.http.stream import Stream
from serving.http.tokens import Tokens
from serving.log_lines import log_as_json
from serving.models.registry import Registry

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
log = structlog.get_logger()


def check(config: HttpConfig, tokens: Tokens) -> None:
    """Refuse to listen to others than this machine without tokens and TLS: raises `SettingError`."""
    has_tls = config.tls_certificate_file is not None
    if is_loopback(config.host) or (tokens and has_tls):
        return
    missing = " and ".join(what for what, is_there in (("tokens", bool(tokens)), ("TLS", has_tls)) if not is_there)
    raise SettingError(
        f"http.host other than this machine's loopback needs tokens and TLS; got {config.host} without {missing}; set "
        "http.tokens_file and http.tls_certificate_file, or listen on 127.0.0.1 behind a proxy"
    )


def run(
    services: Sequence[Service],
    registry: Registry,
    config: HttpConfig,
    tokens: Tokens,
    on_listen: Callable[[str, Callable[[], None]], None] = lambda address, stop: None,
    kafka: KafkaConfig | None = None,
    sources: Sources | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests that were taken.

    ``on_listen`` is told the address, and given what stops it. Without ``kafka`` no events are published, and none are streamed.
    Without ``sources`` there is no page.

    Raises `SettingError` where the settings do not allow it, `StackError` where the address is taken.
    """
    check(config, tokens)
    log_as_json()
    listening = _listen(config)
    metrics = Metrics()
    gate = Gate(config, tokens, metrics)
    served = {service.name: _served(service, registry, config, metrics) for service in services}
    on_kafka = _on_kafka(services, kafka, config, gate, metrics, lambda: server.should_exit) if kafka else None
    page = Page(sources, gate) if sources else None
    server = uvicorn.Server(_uvicorn(config, application(served, config, gate, metrics, on_kafka, page)))
    for one in served.values():
        one.start()
    if on_kafka:
        on_kafka.events.start()
    gc.collect()
    gc.freeze()  # Feast's and ONNX Runtime's modules live for good: no look at them in the middle of a request
    try:
        host, port = listening.getsockname()[:2]
        address = f"{'https' if config.tls_certificate_file else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        on_listen(address, lambda: setattr(server, "should_exit", True))
        with _signals_caught():
            server.run([listening])
    finally:
        if on_kafka:
            on_kafka.events.close()
            on_kafka.stream.close()
        if page:
            page.close()
        for one in served.values():
            one.close()
        gc.unfreeze()
        log.info("stop")


def _on_kafka(
    services: Sequence[Service],
    kafka: KafkaConfig,
    config: HttpConfig,
    gate: Gate,
    metrics: Metrics,
    is_stopping: Callable[[], bool],
) -> OnKafka:
    times = services[0].event_times
    topics = entrances(kafka.plans, kafka.others, times, config.max_rows)
    return OnKafka(Events(topics, config, kafka, gate, metrics), Stream(config, kafka, metrics, is_stopping))


def _served(service: Service, registry: Registry, config: HttpConfig, metrics: Metrics) -> Served:
    rows, seconds = metrics.batch_rows.labels(service.name), metrics.batch_seconds.labels(service.name)

    def observe(count: int, took: float) -> None:
        rows.observe(count)
        seconds.observe(took)

    return Served(service, registry, config, Scoring(service.name, config.max_rows, config.on_store_error, deliver, observe))


@contextmanager
def _signals_caught() -> Iterator[None]:
    """Within, SIGTERM is raised as SIGINT is, and ends the block: uvicorn raises a signal anew once it has ended as it should."""
    with signals_to(signal.default_int_handler), suppress(KeyboardInterrupt):
        yield


def _listen(config: HttpConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((config.host, config.port))
    except OSError as error:
        made.close()
        raise StackError(
            f"the HTTP service listens on {config.host}:{config.port}, which gave: {error.strerror}; give another --port"
        ) from None
    made.listen(BACKLOG)
    return made


def _uvicorn(config: HttpConfig, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=config.shutdown_seconds,
        ssl_certfile=config.tls_certificate_file,
        ssl_keyfile=config.tls_key_file,
    )
