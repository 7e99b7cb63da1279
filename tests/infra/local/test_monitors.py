"""Which monitors a stack has, and when they end."""

from __future__ import annotations

from typing import Any

from infra.local.stack.record import Stack, process_names, stop_order, surplus
from infra.settings import Settings

STACK = Stack("127.0.0.1:9092", ("a", "b"), (("a", "b"),))
MONITORS = ["monitor-a", "monitor-b"]


def _settings(run: bool) -> Settings:
    given: dict[str, Any] = {"monitor": {"run": run}}
    return Settings(**given)


def test_each_service_has_a_monitor_where_the_settings_say_so() -> None:
    """By default there is none."""
    names = process_names(STACK, STACK.services, _settings(True))
    assert names == ["kafka", "stream-a", "scorer-a", "monitor-a", "scorer-b", "monitor-b"]
    assert not set(MONITORS) & set(process_names(STACK, STACK.services, Settings()))


def test_a_monitor_that_is_no_longer_wanted_is_surplus() -> None:
    """Those of the services that are looked at."""
    names = process_names(STACK, STACK.services, _settings(True))
    assert surplus(names, ["a"], _settings(False)) == ["monitor-a"]
    assert surplus(names, ["a", "b"], _settings(True)) == []


def test_a_monitor_ends_before_the_scorer_that_it_reads_from() -> None:
    """As readers do."""
    assert sorted(["kafka", "scorer-a", "monitor-a", "stream-a"], key=stop_order) == [
        "monitor-a",
        "scorer-a",
        "stream-a",
        "kafka",
    ]
