"""What the settings told processes when they were started, held against the settings as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.local.processes import Process, Processes
from infra.local.stack.record import HTTP, KAFKA, role_of
from infra.settings import Settings, without_secrets

READ = {
    KAFKA: ("kafka.jvm_options",),
    "stream": ("kafka", "stream"),
    "scorer": ("kafka", "scorer", "registry"),
    "online": ("kafka", "online"),
    "monitor": ("kafka", "monitor", "registry", "train.{service}.retrain.when", "train.{service}.retrain.look_minutes"),
    "outcomes": ("kafka", "stream", "outcomes", "train.{service}.label", "train.{service}.horizon"),
    HTTP: ("kafka", "http", "registry", "stream.max_ahead_ms", "stream.max_age_days", "monitor.window"),
}
"""The settings that a process reads at its start, by its role: keys, and sections."""
OTHERS = {
    *("kafka.bootstrap", "kafka.partitions", "kafka.replication", "kafka.jvm_options"),
    *("scorer.processes", "online.write", "monitor.run", "outcomes.run"),
}
"""Keys of these sections that a process does not read: of topics, of the broker, and of whether it runs at all."""
FLINK = ("stream", "outcomes", KAFKA)
"""What is not started again for its settings: for seconds nothing would be predicted."""


def told(name: str, settings: Settings) -> dict[str, Any]:
    """The keys that the process called ``name`` reads, and their values."""
    role, service, _ = role_of(name)
    wanted = tuple(one.format(service=service) for one in READ[role])
    return {
        key: value
        for key, value in _flat(without_secrets(settings))
        if key in wanted or (key not in OTHERS and any(key.startswith(f"{one}.") for one in wanted))
    }


def told_otherwise(processes: Processes, settings: Settings, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Of the processes that run, those whose settings are others now: a line for each key."""
    running = [process for name in names if (process := processes.running(name))]
    return {process.name: lines for process in running if (lines := _lines(process, settings))}


def starts_again(name: str) -> bool:
    """Whether `up` starts the process again where its settings are others."""
    return role_of(name)[0] not in FLINK


def _lines(process: Process, settings: Settings) -> tuple[str, ...]:
    before, now = process.told, told(process.name, settings)
    keys = dict.fromkeys((*before, *now)) if before else ()  # nothing is known of what an older version started
    return tuple(f"{key}: {_text(before.get(key))} → {_text(now.get(key))}" for key in keys if before.get(key) != now.get(key))


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _flat(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
