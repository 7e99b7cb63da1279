"""Metrics for Prometheus of a process that is no web service: on a port of this machine's loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from features.errors import StackError

LOOPBACK = "127.0.0.1"


@contextmanager
def exposed(registry: CollectorRegistry, port: int) -> Iterator[str]:
    """Within, the registry's metrics can be read at the address that it gives; ``port`` 0: a free one.

    Raises `StackError` where the port is taken.
    """
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise StackError(f"metrics are on a port of their own; {LOOPBACK}:{port} gave: {error.strerror}; set another") from None
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
