"""The panel of dead letters, and the replay of chosen ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from infra.local.broker import Broker
from schemas.topics import DEAD_LETTERS
from serving.http.page.sources import Sources
from serving.http.tokens import parse
from tests.serving.http.page.kafka import dead_letter, plan_of, write, write_letter
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.support import Response, Running
from tests.support.streams import records

TOKENS = parse("a-token-that-reads-0 read;a-token-that-publishes read,publish", "tests")
READS, PUBLISHES = ({"authorization": f"Bearer a-token-that-{what}"} for what in ("reads-0", "publishes"))


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
    letters = [dead_letter(topic, 1, 5, b"kept"), dead_letter(topic, 1, 6, None), dead_letter("another", 0, 0, b"x")]
    places = [here, *write(on_kafka, DEAD_LETTERS.name, letters), (0, 10**9)]
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


@pytest.mark.core
def test_what_is_no_replay_is_refused(away: Sources) -> None:
    """One line says what one is; where Kafka is away, that."""
    with page_of(away, TOKENS) as running:
        for letters in ([], [[0, 1], [0, 1]], [[0, -1]], [[0]], [[0, n] for n in range(101)]):
            refused = replay(running, "orders", *letters, **PUBLISHES)
            assert (refused.status, refused.json["detail"].split("; got")[0][:9]) == (400, "a replay ")
        assert replay(running, "nobody", [0, 1], **PUBLISHES).status == 404
        down = replay(running, "orders", [0, 1], **PUBLISHES)
        assert (down.status, down.json["detail"].partition(" (")[0]) == (503, "Kafka does not reply")


@pytest.mark.core
def test_it_says_when_kafka_is_away(away: Sources, open_page: Callable[..., Opened]) -> None:
    """Which source, and since when."""
    with page_of(away) as running:
        expect(open_page(running.address).panel("letters", "down").locator("> .notice")).to_contain_text("Kafka is down since 20")
