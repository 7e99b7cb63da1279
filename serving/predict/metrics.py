"""What Prometheus is told of the models that serve, on demand and on streams alike."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily

from serving.predict.lineup import Lineup


def model_info(lineups: Iterable[tuple[str, Lineup]]) -> GaugeMetricFamily:
    """The versions of each service's lineup."""
    models = GaugeMetricFamily(
        "headrace_model_info", "1 for each version that serves.", labels=("service", "environment", "model", "version")
    )
    for service, lineup in lineups:
        for lane in lineup.lanes:
            models.add_metric((service, lane.alias, lane.placed.model, str(lane.placed.version)), 1)
    return models
