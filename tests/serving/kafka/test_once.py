"""Every event has one prediction, whatever is repeated, killed or started twice; on a real broker."""

from __future__ import annotations

import signal
import time

import msgspec
import pytest

from features.errors import StackError
from tests.serving.kafka.support import (
    PARTITIONS,
    Setting,
    predicted_once,
    prediction_count,
    scorer_process,
    scoring,
    vectors,
    wait_for_predictions,
)


@pytest.mark.stack
def test_repeat_is_dropped(handbook: Setting) -> None:
    """An event that comes twice, as after a restart of Flink, has one prediction."""
    handbook.send(vectors(handbook.plan, [*range(30), *range(10, 40)]))
    with scoring(handbook):
        predicted_once(handbook, range(40))


@pytest.mark.stack
def test_repeat_is_dropped_by_the_next_scorer(handbook: Setting) -> None:
    """What a scorer before predicted is read back from the predictions."""
    handbook.send(vectors(handbook.plan, range(30)))
    with scoring(handbook):
        handbook.predictions(30)
    handbook.send(vectors(handbook.plan, range(35)))
    with scoring(handbook):
        predicted_once(handbook, range(35))


@pytest.mark.stack
def test_offsets_are_not_what_keeps_predictions_single(handbook: Setting) -> None:
    """A group without offsets starts at the beginning, and predicts only what is new."""
    handbook.send(vectors(handbook.plan, range(30)))
    with scoring(handbook, msgspec.structs.replace(handbook.config(), group=f"first-{handbook.plan.service}")):
        handbook.predictions(30)
    with scoring(handbook, msgspec.structs.replace(handbook.config(), group=f"second-{handbook.plan.service}")):
        handbook.send(vectors(handbook.plan, [30]))
        predicted_once(handbook, range(31))


@pytest.mark.stack
def test_killed_in_mid_stream_every_event_is_predicted_once(handbook: Setting) -> None:
    """After kill -9 and a restart nothing is lost and nothing is predicted twice, though Flink repeats some."""
    events = 40_000
    handbook.send(vectors(handbook.plan, range(events)))
    for share in (0.1, 0.5):
        with scorer_process(handbook) as process:
            wait_for_predictions(handbook, int(share * events))
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        assert prediction_count(handbook) < events, "it was done before it was killed: send more events"
        handbook.send(vectors(handbook.plan, range(events // 10)))
    began = time.monotonic()
    with scorer_process(handbook) as process:
        predicted_once(handbook, range(events))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert time.monotonic() - began < 60


@pytest.mark.stack
def test_second_scorer_shares_the_work(handbook: Setting) -> None:
    """A scorer that joins in mid-stream takes one of the two partitions; every event has one prediction all the same.

    Each says in the registry what it has: one partition, and at least half of the events that came once both were there.
    """
    handbook.send(vectors(handbook.plan, range(20_000)))
    with scoring(handbook, handbook.config(instance=0)), scoring(handbook, handbook.config(instance=1)):
        handbook.send(vectors(handbook.plan, range(20_000, 24_000)))
        predicted_once(handbook, range(24_000))
    said = {report.instance: report.serving[0] for report in handbook.registry.reports(handbook.plan.service)}
    assert sorted(partition for one in said.values() for partition in one.offsets) == list(range(PARTITIONS))
    assert sum(one.events for one in said.values()) == 24_000
    assert min(one.events for one in said.values()) >= 2_000


@pytest.mark.stack
def test_instance_that_is_started_twice_ends_the_first(handbook: Setting) -> None:
    """Two processes under one instance id: the newer goes on, the older says why it ends."""
    older = scoring(handbook)
    older.__enter__()
    handbook.send(vectors(handbook.plan, range(10_000)))
    with scoring(handbook):
        handbook.send(vectors(handbook.plan, range(10_000, 10_010)))
        predicted_once(handbook, range(10_010))
        with pytest.raises(StackError, match="instance '0'"):
            older.__exit__(None, None, None)
