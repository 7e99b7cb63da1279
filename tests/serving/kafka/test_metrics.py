"""What a scorer tells Prometheus: counted in bulk, and as it is."""

from __future__ import annotations

import pytest
from kafka import TopicPartition
from kafka.errors import IllegalStateError

from features.errors import StackError
from schemas import DeadLetter, Origin
from serving.kafka.metrics import HELD, HOP_MS, ScorerMetrics, lag_of, metrics_at
from tests.serving.kafka.support import Setting, scoring, vector, vectors
from tests.support.metrics import read_metrics


def test_times_are_counted_in_bulk() -> None:
    """Each hop's buckets are what counting one by one gives, with what is held and what is folded."""
    one = ScorerMetrics().of("orders", lambda: None, dict)  # type: ignore[arg-type, return-value]
    events = [(number * 7 % 3000, number * 11 % 900) for number in range(HELD + 100)]
    for first in range(0, len(events), 50):
        part = events[first : first + 50]
        arrived = [1_000_000 + to_arrive for to_arrive, _ in part]
        featured = [at + to_vector for at, (_, to_vector) in zip(arrived, part, strict=True)]
        one.times([1_000_000] * len(part), arrived, featured, 1_010_000)
    found = {name: (counts, total) for name, counts, total in one.counted()}
    for name, took in (("event_time_to_arrived", [a for a, _ in events]), ("arrived_to_featured", [b for _, b in events])):
        assert found[name][0] == [sum(ms <= edge for ms in took) for edge in (*HOP_MS, float("inf"))]
        assert found[name][1] == pytest.approx(sum(took) / 1000)


def test_a_scorer_that_joins_anew_goes_on_counting() -> None:
    """Histograms never fall, and what a poll held is all of it: scored, repeats and dead letters."""
    metrics, letter = ScorerMetrics(), DeadLetter("unscorable", "why", Origin("features.orders", 0, 1), 1, None)
    for scored in (1, 2):
        one = metrics.of("orders", lambda: None, dict)  # type: ignore[arg-type, return-value]
        one.polled(scored=scored, repeats=3, letters=[letter], skipped=0, seconds=0.01)
        one.times([1] * scored, [2] * scored, [3] * scored, 4)
    assert next(iter(one.counted()))[1][-1] == 3
    assert metrics.registry.get_sample_value("headrace_scorer_batch_rows_sum", {"service": "orders"}) == 5 + 6


class Rebalanced:
    """A consumer's side of a rebalance, as kafka-python has it."""

    def __init__(self, *seen: int) -> None:
        self._seen, self._has = {of(number) for number in seen}, of(0)

    def assignment(self) -> set[TopicPartition]:
        """As it was seen."""
        return self._seen

    def highwater(self, place: TopicPartition) -> int:
        """Of what it has now."""
        if place != self._has:
            raise IllegalStateError("Partition is not assigned")
        return 17


def of(number: int) -> TopicPartition:
    """A partition of the features."""
    return TopicPartition("features.orders", number)


@pytest.mark.parametrize("seen", [(0,), (0, 1)])
def test_lag_is_of_the_partitions_that_a_scorer_has(seen: tuple[int, ...]) -> None:
    """Of one that others were given there is none, also where it is taken in the midst of the look."""
    assert lag_of(Rebalanced(*seen), {of(0): 12, of(1): 3}) == {0: 5}


@pytest.mark.stack
def test_a_scorer_tells_what_it_did(handbook: Setting) -> None:
    """Predictions, repeats, dead letters by their reason, what serves, and that nothing is left."""
    service = handbook.plan.service
    bad = vector(handbook.plan, 7, event_columns={"amount": None})
    with metrics_at(0) as metrics, scoring(handbook, metrics=metrics):
        assert metrics is not None
        handbook.send([*vectors(handbook.plan, range(40)), *vectors(handbook.plan, range(10)), (0, b"{"), (0, bad)])
        handbook.predictions(40)
        handbook.dead_letters(1)
        found = read_metrics(metrics.address)
    assert found["headrace_scorer_events_total", service, "scored"] == 40
    assert found["headrace_scorer_events_total", service, "repeat"] >= 10
    assert found["headrace_scorer_dead_letters_total", "unscorable", service] >= 1
    assert found["headrace_scorer_hop_seconds_count", "featured_to_scored", service] == 40
    assert {found["headrace_scorer_lag", partition, service] for partition in "01"} == {0}
    assert found["headrace_model_info", "production", service, service, "1"] == 1


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line() -> None:
    """Of advice."""
    with metrics_at(0) as metrics:
        assert metrics is not None
        port = int(str(metrics.address).split(":")[2].split("/")[0])
        with pytest.raises(StackError, match="set another"), metrics_at(port):
            pass
