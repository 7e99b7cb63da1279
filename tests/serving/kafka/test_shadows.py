"""What runs in staging sees the live stream and harms nothing: production's predictions are all there, and none is late."""

from __future__ import annotations

import pytest

from infra.local.broker import Broker
from schemas.codec import decode_prediction
from schemas.topics import predictions
from tests.serving.kafka.support import (
    LATE_MS,
    PARTITIONS,
    Setting,
    latest_ms,
    predicted_once,
    read,
    scored_traffic,
    scoring,
    wait_until,
)
from tests.support.odd_models import nan, slow, throwing

pytestmark = pytest.mark.stack

PRODUCTS = 5000
"""More than a second, for each poll."""
EVENTS = 1500


@pytest.fixture
def staged(broker: Broker, handbook: Setting) -> Setting:
    """A service whose shadow `staging` has its topic."""
    broker.create_topics({predictions(handbook.plan.service, "staging").name: PARTITIONS})
    return handbook


def test_staging_scores_the_same_stream(staged: Setting) -> None:
    """Its predictions have keys and partitions of production's, name its version, and are on a topic of their own."""
    version = staged.add()
    with scoring(staged):
        with staged.traffic() as sent:
            staged.change("alias", version, alias="staging")
            wait_until(lambda: bool(staged.said("staging")), 5)
            first = len(sent)
            wait_until(lambda: len(sent) > first + 250)
        predicted_once(staged, range(len(sent)))
    topic = predictions(staged.plan.service, "staging").name
    shadowed = read(staged.bootstrap, topic, range(PARTITIONS), 200)
    made = {(r.partition, r.key, decode_prediction(r.value).event_id, decode_prediction(r.value).score) for r in shadowed}
    live = staged.predictions(len(sent))
    assert len(made) == len(shadowed)
    assert made <= {(r.partition, r.key, decode_prediction(r.value).event_id, decode_prediction(r.value).score) for r in live}
    assert {decode_prediction(r.value).receipt.version for r in shadowed} == {version}
    assert {decode_prediction(r.value).receipt.version for r in live} == {1}


@pytest.mark.parametrize("kind", ["throws", "nan", "slow"])
def test_what_fails_in_staging_delays_and_loses_nothing(staged: Setting, kind: str) -> None:
    """Every event has its prediction of production, none of them late; the shadow's errors or what it skipped are counted."""
    inputs = len(staged.plan.inputs)
    onnx = {"throws": throwing(inputs), "nan": nan(inputs), "slow": slow(inputs, PRODUCTS)}[kind]
    staged.change("alias", staged.add(onnx), alias="staging")
    with scoring(staged):
        with staged.traffic(1000) as sent:
            wait_until(lambda: len(sent) > EVENTS)
        predicted_once(staged, range(len(sent)))
    assert latest_ms(staged, len(sent)) < LATE_MS
    (said,) = staged.said("staging")
    assert said.state == "serving"
    assert (said.skipped if kind == "slow" else said.errors) > 0


def test_a_shadow_without_its_topic_has_failed(handbook: Setting) -> None:
    """The report says what is missing; production goes on."""
    handbook.change("alias", handbook.add(), alias="staging")
    with scored_traffic(handbook) as sent:
        wait_until(lambda: bool(handbook.said("staging")), 10)
        wait_until(lambda: len(sent) > 50)
    (said,) = handbook.said("staging")
    assert said.state == "failed"
    assert said.error is not None
    assert "predictions." in said.error
    predicted_once(handbook, range(len(sent)))
