"""The panel of dead letters, and the replay of chosen ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from playwright.sync_api import Route, expect

from features.errors import StackError
from infra.local.broker import Broker
from schemas.topics import DEAD_LETTERS
from serving.http.page import letters, tail
from serving.http.page.panel import Empty
from serving.http.page.sources import Sources
from serving.http.tokens import parse
from tests.serving.http.page.kafka import NOON, dead_letter, plan_of, write, write_letter
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.support import Response, Running
from tests.support.streams import records

pytestmark = pytest.mark.slow

TOKENS = parse("a-token-that-reads-0 read;a-token-that-publishes read,publish", "tests")
READS, PUBLISHES = ({"authorization": f"Bearer a-token-that-{what}"} for what in ("reads-0", "publishes"))


class _OfOnePartition:
    """What a consumer knows of a topic of one partition; what it polls is a test's own."""

    def __init__(self, end: int) -> None:
        self.at, self._end = 0, end

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self._end)

    def assign(self, places: list[TopicPartition]) -> None:
        pass

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at = offset

    def position(self, place: TopicPartition) -> int:
        return self.at

    def close(self) -> None:
        pass


def replay(running: Running, service: str, *letters: Any, **headers: str) -> Response:
    """Ask for it."""
    return running.request("POST", "/v1/page/letters/replay", {"service": service, "letters": letters}, headers)


@pytest.mark.stack
def test_a_chosen_one_is_published_again_as_it_was(broker: Broker, on_kafka: Sources, open_page: Callable[..., Opened]) -> None:
    """By keyboard, on a phone: bytes and key are those of the record, the partition too; the page asks for a token that may."""
    topic = plan_of(on_kafka).spine_source.topic
    with page_of(on_kafka, TOKENS) as running:
        opened = open_page(running.address, viewport=PHONE)
        tab = opened.tab
        tab.locator("#token-text").fill("a-token-that-reads-0")
        tab.keyboard.press("Enter")
        expect(opened.panel("letters", "empty")).to_contain_text("every event that was read could be used")
        write_letter(on_kafka, b"[1]")
        write_letter(on_kafka, b'{"id": "<b>"', b"the key")
        opened.poll()
        panel = opened.panel("letters")
        expect(panel.locator("tbody tr")).to_have_count(2)
        expect(panel.locator(".reasons")).to_have_text("2 not_json: not one JSON object")
        assert fits(tab)
        button = panel.locator("button.main")
        expect(button).to_be_disabled()
        panel.locator("tbody input").first.focus()
        tab.keyboard.press("Space")
        expect(button).to_have_text("Replay 1 chosen")
        button.press("Enter")
        expect(tab.locator("#token-why")).to_contain_text("a token with the scope 'publish'; got one with read")
        tab.locator("#token-text").fill("a-token-that-publishes")
        tab.keyboard.press("Enter")
        expect(panel.locator("tbody tr").first).to_contain_text(f"● again at {topic} 0:2")
        found = records(broker, topic)
        assert [(one.partition, one.value, one.key) for one in found] == [
            (0, b"[1]", None),
            (0, b'{"id": "<b>"', b"the key"),
            (0, b'{"id": "<b>"', b"the key"),
        ]


@pytest.mark.stack
def test_a_replay_needs_a_token_that_may_publish_also_where_none_is_configured(broker: Broker, on_kafka: Sources) -> None:
    """Nothing is published without; the text says how to get one."""
    service, place = on_kafka.services[0], write_letter(on_kafka, b"no")
    with page_of(on_kafka) as running:
        refused = replay(running, service, place)
        assert refused.status == 403
        assert "openssl rand -hex 32" in refused.json["detail"]
    with page_of(on_kafka, TOKENS) as running:
        assert replay(running, service, place).status == 401
        assert replay(running, service, place, **READS).status == 403
    assert [one.value for one in records(broker, plan_of(on_kafka).spine_source.topic)] == [b"no"]


@pytest.mark.stack
def test_a_replay_says_of_each_what_became_of_it(broker: Broker, on_kafka: Sources) -> None:
    """Its record is on Kafka, or only in the dead letter, or nowhere; it is another service's; there is no such dead letter."""
    plan = plan_of(on_kafka)
    topic = plan.spine_source.topic
    here = write_letter(on_kafka, b"whole", keep=False)
    made = [dead_letter(topic, 1, 5, b"kept"), dead_letter(topic, 1, 6, None), dead_letter("another", 0, 0, b"x")]
    places = [here, *write(on_kafka, DEAD_LETTERS.name, made), (0, 10**9)]
    with page_of(on_kafka, TOKENS) as running:
        replayed = replay(running, plan.service, *places, **PUBLISHES).json["replayed"]
    assert [one["origin"] and one["origin"]["partition"] for one in replayed] == [0, 1, None, None, None]
    assert [one["error"] for one in replayed] == [
        "",
        "",
        f"neither {topic} nor its dead letter has the record any more; publish the event anew",
        f"it is of another, which is no topic of {plan.service}; choose its service",
        "dead_letters has no dead letter there any more; look again",
    ]
    assert sorted(one.value for one in records(broker, topic)) == [b"kept", b"whole", b"whole"]


def test_what_is_replayed_has_its_headers() -> None:
    """Those with a value, as kafka-python sends no other; of a record that Kafka has deleted, the trace of its letter."""
    spine = SimpleNamespace(topic="orders")
    plan: Any = SimpleNamespace(service="orders", sources=(spine,), spine_source=spine, features_topic="features.orders")
    letter, trace = dead_letter("orders", 1, 5, b"kept"), [("traceparent", b"00")]
    first = SimpleNamespace(value=b"whole", key=b"k", headers=[("empty", b""), ("none", None), ("own", b"\xff")])
    for of_origins, expected in (
        ({letter.origin: first}, {"value": b"whole", "key": b"k", "headers": [("empty", b""), ("own", b"\xff")]}),
        ({letter.origin: None}, {"value": b"kept", "headers": trace}),
    ):
        assert letters._record(plan, letter, trace, of_origins) == {"topic": "orders", "partition": 1, **expected}


@pytest.mark.stack
def test_a_replay_that_kafka_does_not_confirm_is_over_in_time_and_says_that_it_may_be_there(
    on_kafka: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All records together have so many seconds; what cannot be sent at all is another thing to say."""
    waited: list[float] = []

    class Slow:
        def send(self, topic: str, value: bytes, **named: Any) -> Slow:
            assert value != b"refused", "Unrecognized partition"
            return self

        def get(self, timeout: float) -> None:
            waited.append(timeout)
            time.sleep(timeout)
            raise KafkaTimeoutError

        def close(self, timeout: float) -> None:
            raise KafkaTimeoutError

    monkeypatch.setattr(letters, "SECONDS", 0.2)
    monkeypatch.setattr(letters, "open_producer", lambda client: Slow())
    places = [write_letter(on_kafka, value) for value in (b"a", b"refused", b"c")]
    first, refused, last = letters.replay(on_kafka, on_kafka.services[0], places)
    assert "may have; look at the topic before another replay" in first.error
    assert first.error == last.error
    assert refused.error == "Kafka did not take it: AssertionError"
    assert sum(waited) <= 0.2


def test_a_place_that_kafka_does_not_tell_of_in_time_is_no_place_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a replay would publish without a key what Kafka has with one; what a reader passes over is no record."""

    class Consumer(_OfOnePartition):
        def __init__(self, **config: Any) -> None:
            super().__init__(5)
            self.passes_over = config["client_id"] == "passes over"
            self.records = [SimpleNamespace(offset=3)] if config["client_id"] == "cut off" else []

        def poll(self, **named: Any) -> dict[TopicPartition, list[Any]]:
            self.at += self.passes_over
            given, self.records = self.records, []
            return {TopicPartition("events", 0): given}

    monkeypatch.setattr(tail, "PollingConsumer", Consumer)
    monkeypatch.setattr(tail, "AT_SECONDS", 0.05)
    assert list(tail.Tail({"client_id": "passes over"}).at("events", [(0, 4)])) == [None]
    with pytest.raises(StackError, match="looked for in events not within"):
        list(tail.Tail({"client_id": "silent"}).at("events", [(0, 4)]))
    monkeypatch.setattr(tail, "SECONDS", 0.05)
    with pytest.raises(StackError, match="gave nothing of events within"):
        list(tail.Tail({"client_id": "silent"}).newest("events", 20))
    cut = tail.Tail({"client_id": "cut off"})
    assert [one.offset for one in cut.newest("events", 20)] == [3]
    assert not cut.is_whole


def test_where_there_is_no_time_for_all_the_newest_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where each is a megabyte: the blocks before are left out, and it says that it is not whole."""
    clock = [0.0]

    class Consumer(_OfOnePartition):
        def __init__(self, **config: Any) -> None:
            super().__init__(1000)

        def poll(self, **named: Any) -> dict[TopicPartition, list[Any]]:
            clock[0] += 0.1
            self.at += 5
            return {TopicPartition("events", 0): [SimpleNamespace(offset=self.at - 5 + number) for number in range(5)]}

    monkeypatch.setattr(tail, "PollingConsumer", Consumer)
    monkeypatch.setattr(tail, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(tail, "SECONDS", 1.15)
    looked = tail.Tail({})
    found = [one.offset for one in looked.newest("events", 300)]
    assert found == [*range(980, 1000), *range(940, 980)]
    assert not looked.is_whole


@pytest.mark.stack
def test_the_newest_records_come_once_each_however_many_blocks_they_are(on_kafka: Sources) -> None:
    """Of a real Kafka, up to where it began to look, and no more than are wanted."""
    topic = plan_of(on_kafka).spine_source.topic
    write(on_kafka, topic, [str(number).encode() for number in range(150)])
    looked = tail.Tail(on_kafka.reader or {})
    for most, expected in ((100, range(50, 150)), (1000, range(150)), (7, range(143, 150))):
        found = [one.offset for one in looked.newest(topic, most)]
        assert found[: min(most, tail.BLOCK)] == list(range(150 - min(most, tail.BLOCK), 150))
        assert sorted(found) == list(expected)
        assert looked.is_whole
    looked.close()


def test_what_is_chosen_is_published_once_also_where_the_panel_is_drawn_anew(
    away: Sources, open_page: Callable[..., Opened]
) -> None:
    """While a replay is under way nothing can be replayed; why it was refused is said where the panel is now."""
    held: list[Route] = []
    one = {"partition": 0, "reason": "not_json", "detail": "", "origin": {"topic": "t", "partition": 0, "offset": 1}}
    one |= {"arrived_at": NOON, "preview": "", "bytes": 2}
    shown = [{**one, "offset": 1}]

    def told(route: Route) -> None:
        route.fulfill(json={"data": {"letters": shown, "reasons": {"not_json": len(shown)}, "is_all": True}})

    with page_of(away) as running:
        opened = open_page(running.address, "/nowhere")
        opened.tab.route("**/v1/page/letters?**", told)
        opened.tab.route("**/v1/page/letters/replay", lambda route: held.append(route))
        opened.tab.goto(f"http://{running.address}/")
        panel = opened.panel("letters")
        panel.locator("tbody input").check()
        panel.locator("button.main").click()
        expect(panel).to_contain_text("replaying")
        shown.insert(0, {**one, "offset": 2})
        opened.poll()
        expect(panel.locator("tbody tr")).to_have_count(2)
        expect(panel.locator("button.main")).to_be_disabled()
        expect(panel).to_contain_text("replaying")
        held[0].fulfill(status=503, json={"detail": "Kafka is away"})
        expect(panel.locator("[role=status].hint")).to_have_text("▲ Kafka is away")
        expect(panel.locator("button.main")).to_be_enabled()
        assert len(held) == 1


def test_what_is_no_replay_is_refused(away: Sources) -> None:
    """One line says what one is; where Kafka is away, that."""
    with page_of(away, TOKENS) as running:
        for places in ([], [[0, 1], [0, 1]], [[0, -1]], [[0]], [[0, n] for n in range(101)]):
            refused = replay(running, "orders", *places, **PUBLISHES)
            assert (refused.status, refused.json["detail"].split("; got")[0][:9]) == (400, "a replay ")
        assert replay(running, "nobody", [0, 1], **PUBLISHES).status == 404
        down = replay(running, "orders", [0, 1], **PUBLISHES)
        assert (down.status, down.json["detail"].partition(" (")[0]) == (503, "Kafka does not reply")


def test_it_says_when_kafka_is_away(away: Sources, open_page: Callable[..., Opened]) -> None:
    """Which source, and since when."""
    with page_of(away) as running:
        expect(open_page(running.address).panel("letters", "down").locator("> .notice")).to_contain_text("Kafka is down since 20")


@pytest.mark.parametrize(("others", "in_time", "said"), [(299, True, "could be used"), (300, True, "older"), (2, False, "older")])
def test_none_among_the_newest_of_all_services_is_not_none(away: Sources, others: int, in_time: bool, said: str) -> None:
    """Where the look did not go back to the first, older ones may be the service's."""
    value = msgspec.json.encode(dead_letter("another", 0, 0, b"x"))
    of = [SimpleNamespace(partition=0, offset=place, timestamp=place, value=value) for place in range(others)]
    shown = letters.LettersPanel()
    shown._tail = SimpleNamespace(newest=lambda topic, most: iter(of), is_whole=in_time)  # type: ignore[assignment]
    found = shown(away, "orders")
    assert isinstance(found, Empty)
    assert said in found.say
