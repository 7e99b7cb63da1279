"""A scorer that is frozen for longer than its session, and wakes up: it is fenced."""

from __future__ import annotations

import signal

import msgspec
import pytest

from serving.kafka.lease import Lease
from tests.serving.kafka.support import (
    Setting,
    predicted_once,
    prediction_count,
    scorer_process,
    scoring,
    vectors,
    wait_for_predictions,
    wait_until,
)

SESSION_MS = 6000
"""The shortest that a broker grants."""
EVENTS = 60_000


@pytest.mark.stack
def test_what_a_frozen_scorer_had_in_hand_is_not_sent_when_it_wakes(handbook: Setting) -> None:
    """Another has its partitions by then, and predicted the rest: every event has one prediction, and the two go on together."""
    first, second = (msgspec.structs.replace(handbook.config(instance=instance), session_ms=SESSION_MS) for instance in (0, 1))
    handbook.send(vectors(handbook.plan, range(EVENTS)))
    with scorer_process(handbook, first) as frozen:
        wait_for_predictions(handbook, EVENTS // 10)
        frozen.send_signal(signal.SIGSTOP)
        assert prediction_count(handbook) < EVENTS, "it was done before it was frozen: send more events"
        with scoring(handbook, second):
            wait_until(lambda: prediction_count(handbook) >= EVENTS)
            assert first.ready_file is not None
            first.ready_file.unlink()
            frozen.send_signal(signal.SIGCONT)
            wait_until(first.ready_file.exists)
            handbook.send(vectors(handbook.plan, range(EVENTS, EVENTS + 1000)))
            predicted_once(handbook, range(EVENTS + 1000))
    said = {report.instance: report.serving[0].offsets for report in handbook.registry.reports(handbook.plan.service)}
    assert {len(offsets) for offsets in said.values()} == {1}


def test_a_lease_ends_before_the_session_and_is_renewed_from_when_kafka_was_asked() -> None:
    """Without partitions it has no end; once lost it never holds again."""
    now = 100.0
    lease = Lease(10_000, lambda: now)
    assert lease.holds
    lease.renew(100.0)
    now = 107.9
    assert lease.holds
    now = 108.1
    assert not lease.holds
    lease.renew(105.0)
    assert lease.holds
    lease.renew(101.0)
    assert lease.holds
    now = 120.0
    lease.free()
    assert lease.holds
    lease.lose()
    lease.renew(120.0)
    assert not lease.holds
