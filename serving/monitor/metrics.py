"""What Prometheus is told of a monitor, when it looks: what the newest closed window of each version says, and what is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from features.exposition import exposed
from serving.monitor.state import State

LABELS = ("service", "model", "version", "input")


class Seen(NamedTuple):
    """What is told, as it was after a poll."""

    state: State
    lag: Mapping[int, int]


class _Monitored(Collector):
    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look

    def collect(self) -> Iterable[Any]:
        """Events, lag, indices, alarms."""
        state, lags = self._look()
        service = state.service
        events = CounterMetricFamily("headrace_monitor_events", "Predictions by what became of them.", labels=("service", "what"))
        events.add_metric((service, "counted"), state.events)
        for what in ("late", "without_reference", "unreadable"):
            events.add_metric((service, what), getattr(state, what))
        lag = GaugeMetricFamily("headrace_monitor_lag", "Predictions that are not counted.", labels=("service", "partition"))
        for partition, behind in tuple(lags.items()):
            lag.add_metric((service, str(partition)), behind)
        return (events, lag, *_of_versions(state))


def _of_versions(state: State) -> list[GaugeMetricFamily]:
    texts = {
        "psi": "The population stability index of the newest window against training.",
        "js": "The Jensen-Shannon divergence of the newest window from training, in bits.",
        "limit": "The index from which on the newest window drifted.",
        "null_share": "The share of nulls in the newest window.",
        "out_of_range_share": "The share of values beyond those of training in the newest window.",
        "new_share": "The share of texts that training did not have in the newest window.",
        "drifted": "1 where the newest window drifted.",
        "alarm": "1 where an alarm is open.",
        "segment_alarms": "Segments with an open alarm.",
    }
    found = {name: GaugeMetricFamily(f"headrace_monitor_{name}", text, labels=LABELS) for name, text in texts.items()}
    start = GaugeMetricFamily("headrace_monitor_window_start_seconds", "The newest closed window's start.", labels=LABELS[:3])
    for version in tuple(state.versions.values()):
        labels = (state.service, version.model, str(version.version))
        verdict = next((one for one in reversed(version.closed) if one.findings), None)
        if verdict is None:
            continue
        start.add_metric(labels, verdict.start / 1000)
        alarms = [one.alarm for one in tuple(version.tracks.values()) if one.alarm is not None]  # another thread adds to them
        whole, of_segments = (Counter(one.input for one in alarms if bool(one.segment) == is_part) for is_part in (False, True))
        for name in dict.fromkeys([*(finding.input for finding in verdict.findings), *(alarm.input for alarm in alarms)]):
            found["alarm"].add_metric((*labels, name), whole[name])
            found["segment_alarms"].add_metric((*labels, name), of_segments[name])
        for finding in verdict.findings:
            own = *labels, finding.input
            for name in ("psi", "js", "limit", "drifted"):
                value = getattr(finding, name)
                if value is not None:
                    found[name].add_metric(own, float(value))
            found["null_share"].add_metric(own, finding.shares.null)
            found["out_of_range_share"].add_metric(own, finding.shares.out_of_range)
            found["new_share"].add_metric(own, finding.shares.new)
    return [start, *found.values()]


@contextmanager
def metrics_at(port: int | None, look: Callable[[], Seen]) -> Iterator[str | None]:
    """Within, Prometheus can read them on the loopback's ``port``, at the address that it gives; None: there are none."""
    if port is None:
        yield None
        return
    registry = CollectorRegistry()
    registry.register(_Monitored(look))
    with exposed(registry, port) as address:
        yield address
