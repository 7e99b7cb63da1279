"""What Prometheus is told of the HTTP service."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.http.served import Served
from serving.predict.metrics import model_info

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class Metrics:
    """The metrics of one service process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_http_requests", "Requests that had a response.", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "headrace_http_request_seconds", "From a request to its response.", ("route",), buckets=SECONDS, registry=registry
        )
        self.in_work = Gauge("headrace_http_requests_in_work", "Requests for predictions in work.", registry=registry)
        self.rows = Counter("headrace_predict_rows", "Rows that were scored.", ("service",), registry=registry)
        self.errors = Counter(
            "headrace_predict_errors", "Rows without a prediction, by what was wrong.", ("service", "kind"), registry=registry
        )
        self.degraded = Counter(
            "headrace_predict_degraded_rows", "Rows that were scored without the online store.", ("service",), registry=registry
        )
        self.batch_rows = Histogram(
            "headrace_predict_batch_rows", "Rows that were scored as one batch.", ("service",), buckets=ROWS, registry=registry
        )
        self.batch_seconds = Histogram(
            "headrace_predict_batch_seconds",
            "From a batch's rows to its predictions, the online store included.",
            ("service",),
            buckets=SECONDS,
            registry=registry,
        )
        self.events = Counter(
            "headrace_events", "Events that were to be published, by what became of each.", ("topic", "status"), registry=registry
        )
        self.event_seconds = Histogram(
            "headrace_event_seconds",
            "From a request with events to its response.",
            ("topic",),
            buckets=SECONDS,
            registry=registry,
        )
        self.streams = Gauge("headrace_streams", "Readers of streams of predictions.", ("service",), registry=registry)
        self.streamed = Counter("headrace_streamed", "Predictions sent to readers of streams.", ("service",), registry=registry)

    def show(self, served: Iterable[Served]) -> None:
        """Tell which models serve, too."""
        self.registry.register(_Models(tuple(served)))


class _Models(Collector):
    """Which version each environment serves, read when it is wanted."""

    def __init__(self, served: Iterable[Served]) -> None:
        self._served = tuple(served)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Two gauges."""
        ready = GaugeMetricFamily("headrace_ready", "1 where a model serves.", labels=("service",))
        seen = [(one.name, one.now) for one in self._served]
        for name, now in seen:
            ready.add_metric((name,), float(now is not None))
        return ready, model_info((name, now.lineup) for name, now in seen if now)
