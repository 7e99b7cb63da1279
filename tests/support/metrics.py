"""What a process tells Prometheus."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, ...], float]


def read_metrics(address: str | None) -> Samples:
    """The samples at ``address`` by their names and labels' values."""
    assert address is not None
    with urllib.request.urlopen(address) as response:  # noqa: S310
        families = text_string_to_metric_families(response.read().decode())
    return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for f in families for one in f.samples}
