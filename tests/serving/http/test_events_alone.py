"""Events over HTTP where nobody makes predictions of them: bounds, and the end of the service."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import Project
from infra.local.broker import Broker
from serving.http import arrivals
from tests.serving.http.live import Live, event, made_live, post, published
from tests.serving.http.support import Running
from tests.serving.kafka.support import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def live(broker: Broker, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """Topics and a model; neither stream job nor scorer runs."""
    return made_live(broker, project, tmp_path_factory.mktemp("live"))


def in_work(running: Running) -> float:
    """How many requests are."""
    text = running.request("GET", "/metrics").body.decode()
    return float(text.partition("\nheadrace_http_requests_in_work ")[2].split("\n")[0])


def test_who_waits_has_a_place(live: Live) -> None:
    """Beyond `http.max_concurrency` 429 at once; the others have 202 when their wait is over."""
    with live.serving(max_concurrency=3) as running, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(post, running, live, event(), "wait=900ms") for _ in range(3)]
        while in_work(running) < 3:
            time.sleep(0.01)
        refused = post(running, live, event(), "wait=900ms")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert [one.result().status for one in waiting] == [202] * 3


def test_what_was_taken_is_finished_before_the_end(live: Live) -> None:
    """Whoever waits when the service is told to stop has a response, and the event is on its topic."""
    one = event()
    with live.serving() as running, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, running, live, one, "wait=800ms")
        while in_work(running) < 1:
            time.sleep(0.01)
        running.stop()
        assert waiting.result().status == 202
    assert published(live).count(one["transaction_id"]) == 1


def test_a_service_that_is_started_again_knows_what_was_published(live: Live) -> None:
    """The newest events of the topic, with their values: a repeat has its place, and another event under that id is refused."""
    one = event()
    with live.serving() as running:
        first = post(running, live, one, "")
    with live.serving() as running:
        second, other = post(running, live, one, ""), post(running, live, {**one, "amount": 99}, "")
        third = post(running, live, {**one, "transaction_id": event()["transaction_id"]}, "")
    assert (first.status, second.status, second.json) == (202, 202, first.json)
    assert (other.status, third.status) == (409, 202)
    assert published(live).count(one["transaction_id"]) == 1


def test_no_event_is_published_before_its_prediction_would_be_seen(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one of a service, whose reader of predictions is late: it has its prediction all the same."""
    one, ends = event(), arrivals.ends

    def late(*args: Any) -> Any:
        time.sleep(2)
        return ends(*args)

    monkeypatch.setattr(arrivals, "ends", late)
    with live.serving(deadline_ms=10_000) as running, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, running, live, one, "wait=6s")
        wait_until(lambda: one["transaction_id"] in published(live), 8)
        prediction = msgspec.json.encode({"event_id": one["transaction_id"], "score": 0.5})
        with closing(KafkaProducer(bootstrap_servers=live.broker.bootstrap)) as producer:
            producer.send(live.plan.predictions_topic, value=prediction, partition=0)
        response = waiting.result()
    assert (response.status, response.body) == (200, prediction)


def test_a_record_that_nobody_can_read_is_of_nobody(live: Live) -> None:
    """On a topic of predictions: JSON nested beyond what a decoder goes along with. The prediction behind it is seen."""
    one = event()
    prediction = msgspec.json.encode({"event_id": one["transaction_id"], "score": 0.5})
    with live.serving(deadline_ms=10_000) as running:
        assert post(running, live, event(), "").status == 202  # from now on predictions are decoded
        with ThreadPoolExecutor(1) as pool, closing(KafkaProducer(bootstrap_servers=live.broker.bootstrap)) as producer:
            waiting = pool.submit(post, running, live, one, "wait=5s")
            wait_until(lambda: one["transaction_id"] in published(live), 8)
            for value in (b'{"more": ' + b"[" * 100_000, prediction):
                producer.send(live.plan.predictions_topic, value=value, partition=0)
            response = waiting.result()
    assert (response.status, response.body) == (200, prediction)


def test_the_memory_of_what_was_published_is_bounded(live: Live) -> None:
    """A repeat beyond `http.remembered_events` is published again: the scorer knows it, and windows do not."""
    first, second = event(), event()
    with live.serving(remembered_events=1) as running:
        found = [post(running, live, one, "").status for one in (first, first, second, first)]
    assert found == [202] * 4
    counts = Counter(published(live))
    assert [counts[one["transaction_id"]] for one in (first, second)] == [2, 1]
