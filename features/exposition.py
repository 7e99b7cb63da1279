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

    Raises `StackError` where the port is taken, or there is no such port.
    """
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except (OSError, OverflowError) as error:  # a port beyond the last overflows
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StackError(f"metrics are on a port of their own; {LOOPBACK}:{port} gave: {why}; set another") from None
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
