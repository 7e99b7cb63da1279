"""Every event has one prediction, whatever is repeated, killed or started twice; on a real broker."""

from __future__ import annotations

import signal
import time

import msgspec
import pytest

from features.errors import StackError
from schemas.codec import decode_prediction
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
from tests.support.models import register, stumps


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

    The two serve versions of their own, so that a receipt says whose it is.
    """
    register(handbook.folder, handbook.plan, stumps([0.5] * len(handbook.plan.inputs)), alias="staging")
    handbook.send(vectors(handbook.plan, range(20_000)))
    with scoring(handbook, handbook.config(instance="0")), scoring(handbook, handbook.config(instance="1", alias="staging")):
        handbook.send(vectors(handbook.plan, range(20_000, 24_000)))
        predicted_once(handbook, range(24_000))
    versions: dict[int, set[int]] = {partition: set() for partition in range(PARTITIONS)}
    for record in handbook.predictions(24_000):
        prediction = decode_prediction(record.value)
        if prediction.event_id >= 20_000:  # type: ignore[operator]  # they are numbers here
            versions[record.partition].add(prediction.receipt.version)
    assert sorted(versions.values(), key=min) == [{1}, {2}]


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
