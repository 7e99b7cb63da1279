"""What the processes beside the page tell Prometheus, read by the page: it needs no Prometheus."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Hashable, Iterator

from prometheus_client.parser import text_string_to_metric_families

from features.errors import StackError

SECONDS = 1.0
"""How long one process may take to tell."""
MOST_BYTES = 4 * 1024 * 1024
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""These addresses are of this machine, whatever the environment says of proxies."""


class Metrics:
    """What one process said, or several together."""

    def __init__(self) -> None:
        self._samples: list[tuple[str, dict[str, str], float]] = []

    def add(self, process: str, text: str) -> None:
        """What one more process said; its samples have its name as their label ``process``."""
        for family in text_string_to_metric_families(text):
            self._samples += [(one.name, {**one.labels, "process": process}, one.value) for one in family.samples]

    def all(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and the value of each sample of that name with these labels."""
        for found, has, value in self._samples:
            if found == name and labels.items() <= has.items():
                yield has, value

    def sum(self, name: str, **labels: str) -> float | None:
        """The sum of them; None where there is none."""
        values = [value for _, value in self.all(name, **labels)]
        return sum(values) if values else None


class Growth:
    """How far counters have grown since they were first seen, of all processes together.

    Each process counts for itself, as Prometheus takes it: one that says nothing for once has not grown until it says more, and
    one that counts from 0 again was started again.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, Hashable], float] = {}
        self._grown: dict[Hashable, float] = {}

    def add(self, process: str, counter: Hashable, value: float) -> bool:
        """What a process counts now; gives whether it was started again."""
        before = self._last.get((process, counter), value)
        self._last[process, counter] = value
        self._grown[counter] = self.of(counter) + (value - before if value >= before else value)
        return value < before

    def of(self, counter: Hashable) -> float:
        """How far it has grown."""
        return self._grown.get(counter, 0.0)


def read_metrics(address: str) -> str:
    """What a process of this machine says at ``address``. Raises `StackError` where it does not, in time or whole."""
    try:
        with NO_PROXY.open(address, timeout=SECONDS) as response:
            content: bytes = response.read(MOST_BYTES + 1)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise StackError(f"metrics are at {address}, which gave: {getattr(reason, 'strerror', None) or reason}") from None
    if len(content) > MOST_BYTES:
        raise StackError(f"metrics are at most {MOST_BYTES:,} bytes; those at {address} are more")
    return content.decode()
