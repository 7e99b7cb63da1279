"""Events over HTTP, on a real broker with a real stream job and a real scorer: published once, and predicted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from features.definitions.load import Project
from infra.local.broker import Broker
from tests.serving.http.live import Live, Scorer, event, made_live, post, published
from tests.serving.http.support import Running
from tests.serving.kafka.support import wait_until
from tests.support.flink import Cluster
from tests.support.odd_models import register_odd, throwing
from tests.support.streams import records, submitted

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def live(broker: Broker, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The fraud example over topics of its own; nothing runs yet."""
    return made_live(broker, project, tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def scorer(live: Live) -> Iterator[Scorer]:
    """The scorer, which a test may stop."""
    made = Scorer(live)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(live: Live, scorer: Scorer, cluster: Cluster) -> Iterator[Running]:
    """Stream job, scorer and HTTP service."""
    ready = live.folder / "stream is ready"
    job = submitted(live.broker, cluster, live.plan, live.folder, bounded=False, ready_file=ready)
    with job, live.serving(deadline_ms=30_000) as made:
        wait_until(ready.exists, 120)
        yield made


def test_an_event_has_its_prediction_at_once(running: Running, live: Live) -> None:
    """From windows up to this very event."""
    sent = [event(customer_id=77, amount=amount) for amount in (10, 20)]
    first, second = (post(running, live, one) for one in sent)
    assert (first.status, second.status) == (200, 200)
    assert second.json["event_id"] == sent[1]["transaction_id"]
    inputs = second.json["receipt"]["inputs"]
    assert (inputs["customer_spend__count_1d"], inputs["customer_spend__mean_1d"]) == (2, 15)


def test_a_repeat_is_published_once(running: Running, live: Live) -> None:
    """At the same time and later, also written in another way: each has the one prediction."""
    one = event()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: post(running, live, one), range(8)))
    turned = dict(reversed(one.items()))
    found += [post(running, live, one, query=""), post(running, live, {**turned, "amount": 12.50, "more": 1})]
    assert {(response.status, response.body) for response in found} == {(200, found[0].body)}
    assert published(live).count(one["transaction_id"]) == 1


def test_an_event_id_is_of_one_event(running: Running, live: Live) -> None:
    """409 where other values come under it."""
    one = event()
    assert post(running, live, one).status == 200
    response = post(running, live, {**one, "amount": 13})
    assert (response.status, "was published with other values" in response.json["detail"]) == (409, True)
    assert published(live).count(one["transaction_id"]) == 1


def test_without_wait_it_says_where_the_event_lies(running: Running, live: Live) -> None:
    """202; there are the bytes that came, keyed as by `headrace publish`, with the request's trace."""
    one, trace = event(customer_id=5), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    raw = json.dumps(one, indent=1).encode()
    response = post(running, live, raw, query="", traceparent=trace, **{"X-Request-Id": "mine"})
    assert (response.status, response.json["event_id"]) == (202, one["transaction_id"])
    origin = response.json["origin"]
    (record,) = [
        record
        for record in records(live.broker, live.topic)
        if (record.partition, record.offset) == (origin["partition"], origin["offset"])
    ]
    assert (record.key, record.value) == (b"5", raw)
    assert dict(record.headers) == {"traceparent": trace.encode(), "x-request-id": b"mine"}


def test_each_of_many_has_its_own_result(running: Running, live: Live) -> None:
    """Of an array and of lines: bad ones do not keep back the others."""
    rows = [event(), event(amount="12"), event(), {"customer_id": 1}]
    lines = b"\n".join(json.dumps(row).encode() for row in [event(), *rows[1:]]) + b"\n\n"
    for body, kind in ((rows, "application/json"), (lines, "application/x-ndjson")):
        response = post(running, live, body, **{"Content-Type": kind})
        results = response.json["results"]
        assert (response.status, [result["status"] for result in results]) == (207, [200, 400, 200, 400][: len(results)])
        assert results[2]["prediction"]["event_id"] == rows[2]["transaction_id"]
        assert results[1] == {
            "status": 400,
            "event_id": rows[1]["transaction_id"],
            "error": 'amount is decimal(12,2); got "12"',
        }


def test_what_the_stream_would_refuse_is_refused(running: Running, live: Live) -> None:
    """400 with the rule, and nothing is published."""
    now = int(time.time() * 1000)
    bad: dict[bytes, str] = {
        b"": "an event is one JSON object",
        b"7": "an event is one JSON object",
        b"{": "an event is one JSON object",
        json.dumps(event(event_time=now // 1000)).encode(): "looks like seconds",
        json.dumps(event(event_time="2018-05-24T13:10:59")).encode(): "ISO 8601 with its offset",
        json.dumps(event(customer_id=None)).encode(): "customer_id is missing",
        json.dumps(event(transaction_id=None)).encode(): "an event has its id",
        json.dumps(event(amount=1.234)).encode(): "amount is decimal(12,2); got 1.234",
        json.dumps(event(customer_id=1.5)).encode(): "a whole number of 64 bits",
        json.dumps(event()).encode().replace(b"12.5", b"NaN"): "an event is one JSON object",
    }
    before = len(published(live))
    for body, rule in bad.items():
        response = post(running, live, body)
        assert (response.status, rule in response.json["detail"]) == (400, True), response.json
    assert len(published(live)) == before


def test_what_cannot_be_waited_for_is_said(running: Running, live: Live) -> None:
    """A wait that is none or too long, a service that is none of the topic's, a topic that nobody reads."""
    labels = next(source.topic for source in live.plan.sources if source.topic != live.topic)
    for path, status in {
        f"{live.topic}?wait=soon": 400,
        f"{live.topic}?wait=31s": 400,
        f"{live.topic}?service=other": 400,
        f"{labels}?wait=1s": 400,
        "nothing": 404,
    }.items():
        assert running.request("POST", f"/v1/events/{path}", event()).status == status, path


def test_without_a_scorer_an_event_is_accepted_by_the_deadline(running: Running, live: Live, scorer: Scorer) -> None:
    """202, and its prediction is there for a repeat once a scorer is back: it was published once."""
    scorer.stop()
    one = event()
    began = time.monotonic()
    assert post(running, live, one, "wait=300ms").status == 202
    assert 0.3 <= time.monotonic() - began < 1
    scorer.start()
    assert post(running, live, one).status == 200
    assert published(live).count(one["transaction_id"]) == 1


def test_an_event_without_a_prediction_says_why(running: Running, live: Live) -> None:
    """A model that throws on one: 422 with the dead letter's reason, and the others have their predictions."""
    version = register_odd(live.folder, live.plan, throwing(len(live.plan.inputs))).version
    live.registry.set_alias(live.plan.service, "production", version)
    wait_until(
        lambda: any(one.version == version for report in live.registry.reports(live.plan.service) for one in report.serving)
    )
    response = post(running, live, event())
    assert (response.status, "dead letter: unscorable" in response.json["detail"]) == (422, True)
