"""The ports that the settings give to processes: each has one of its own."""

from __future__ import annotations

from features.errors import SettingError
from infra.local.stack.record import HTTP, Stack, process_names, role_of
from infra.settings import Settings

LAST = 65_535


def check_ports(stack: Stack, settings: Settings) -> None:
    """Raise `SettingError` where two processes of the stack are given one port, or one is given a port that there is not."""
    taken: dict[int, tuple[str, str]] = {}
    for name in process_names(stack, stack.services, settings):
        key, port = _port(name, settings)
        if not port:
            continue
        rule = "a process has its metrics on a port of its own"
        if port > LAST:
            raise SettingError(f"{rule}, up to {LAST}; {name} would have {port}, by {key}; set {key} to 0: each has a free one")
        if port in taken:
            other, by = taken[port]
            keys = key if by == key else f"{by} and {key}"
            raise SettingError(
                f"{rule}; {other} and {name} both have {port}, by {keys}; set {key} to 0: each has a free one, which "
                "'headrace status' shows"
            )
        taken[port] = name, key


def _port(name: str, settings: Settings) -> tuple[str, int | None]:
    """The key that gives a process its port, and the port; 0: a free one, none: it listens on none."""
    role, _, instance = role_of(name)
    if role == HTTP:
        return "http.port", settings.http.port
    if role == "scorer":
        port, first = settings.scorer.metrics_port, settings.scorer.instance
        return "scorer.metrics_port", port and port + (0 if instance is None else instance - first)
    ports = {
        "stream": settings.stream.metrics_port,
        "monitor": settings.monitor.metrics_port,
        "outcomes": settings.outcomes.metrics_port,
    }
    return f"{role}.metrics_port", ports.get(role)
