"""Which services have a job of outcomes in a stack, and when it ends."""

from __future__ import annotations

from typing import Any

from infra.config import outcomes_section
from infra.local.stack.record import Stack, process_names, stop_order, surplus
from infra.settings import Settings

STACK = Stack("127.0.0.1:9092", ("a", "b"), (("a", "b"),))


def _settings(run: bool = True, **outcomes: Any) -> Settings:
    given: dict[str, Any] = {"outcomes": {"run": run, **outcomes}, "train": {"b": {"label": "labels.bad"}}}
    return Settings(**given)


def test_a_service_with_a_label_has_a_job_where_the_settings_say_so() -> None:
    """By default none has."""
    names = process_names(STACK, STACK.services, _settings())
    assert names == ["kafka", "stream-a", "scorer-a", "scorer-b", "outcomes-b"]
    assert not any("outcomes" in name for name in process_names(STACK, STACK.services, _settings(run=False)))


def test_a_job_that_is_no_longer_wanted_is_surplus() -> None:
    """As its service has no label any more, or the settings do not say so."""
    names = process_names(STACK, STACK.services, _settings())
    assert surplus(names, ["a", "b"], _settings(run=False)) == surplus(names, ["a", "b"], Settings()) == ["outcomes-b"]
    assert surplus(names, ["a", "b"], _settings()) == []


def test_a_job_ends_before_the_scorer_that_it_reads_from() -> None:
    """As readers do."""
    names = ["kafka", "scorer-a", "outcomes-a", "stream-a"]
    assert sorted(names, key=stop_order) == ["outcomes-a", "scorer-a", "stream-a", "kafka"]


def test_what_the_section_does_not_say_is_as_of_the_stream_jobs() -> None:
    """Not so the port of the metrics: two jobs cannot have one."""
    stream: dict[str, Any] = {"state_backend": "rocksdb", "metrics_port": 9001, "parallelism": 3}
    settings = _settings().model_copy(update={"stream": Settings(stream=stream).stream})  # type: ignore[arg-type]
    section = outcomes_section(settings)
    assert (section.state_backend, section.metrics_port, section.parallelism) == ("rocksdb", None, 3)
    other = settings.model_copy(update={"outcomes": _settings(state_backend="heap", metrics_port=0).outcomes})
    assert (outcomes_section(other).state_backend, outcomes_section(other).metrics_port) == ("heap", 0)
