"""What was published over HTTP is remembered: once, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from schemas import Origin
from serving.http import ledger as module
from serving.http.event_rules import Event, Refusal
from serving.http.ledger import Ledger, Name, Sent

HERE = Origin("events", 0, 1)


def event(number: int, size: int = 10) -> Event:
    """An event of so many bytes."""
    return Event(number, None, b"x" * size, hash(number))


def within_a_loop(test: Callable[[], None]) -> None:
    """Run it where futures can be made."""

    async def run() -> None:
        test()

    asyncio.run(run())


def taken(ledger: Ledger, one: Event) -> tuple[Sent, bool]:
    """The entry, and whether it is new."""
    found = ledger.take("events", one)
    assert not isinstance(found, Refusal)
    return found


def test_the_oldest_are_forgotten() -> None:
    """By their number, and by what their predictions take."""

    def test() -> None:
        ledger = Ledger(most=2)
        for number in range(3):
            sent, is_new = taken(ledger, event(number))
            assert is_new
            ledger.published(Name("events", number), sent, HERE)
        assert [ledger.has(Name("events", number)) for number in range(3)] == [False, True, True]
        half = b"x" * (module.KEPT_BYTES // 2 + 1)
        ledger.arrived([(Name("events", number), "orders", half) for number in (1, 2)])
        assert [ledger.has(Name("events", number)) for number in (1, 2)] == [False, True]

    within_a_loop(test)


def test_what_kafka_did_not_take_may_be_sent_again() -> None:
    """As soon as that is certain, and whoever waits hears it."""

    def test() -> None:
        ledger, refusal = Ledger(most=10), Refusal(503, 1, "no")
        sent, _ = taken(ledger, event(1))
        waiting = sent.outcome("orders")
        assert taken(ledger, event(1)) == (sent, False)
        ledger.published(Name("events", 1), sent, refusal)
        assert (sent.published.result(), waiting.result()) == (refusal, refusal)
        assert taken(ledger, event(1))[1]

    within_a_loop(test)


def test_what_waits_for_kafka_is_not_forgotten() -> None:
    """However many come after it: a repeat is the same event, and is not published beside it."""

    def test() -> None:
        ledger = Ledger(most=2)
        waiting, _ = taken(ledger, event(0))
        for number in range(1, 5):
            sent, _ = taken(ledger, event(number))
            ledger.published(Name("events", number), sent, HERE)
        assert taken(ledger, event(0)) == (waiting, False)
        ledger.published(Name("events", 0), waiting, HERE)
        assert [ledger.has(Name("events", number)) for number in range(5)] == [True, False, False, False, True]

    within_a_loop(test)


def test_what_waits_for_kafka_is_bounded() -> None:
    """In bytes: 503 beyond that, until Kafka has taken some."""

    def test() -> None:
        ledger, size = Ledger(most=100), module.PENDING_BYTES // 2
        first, _ = taken(ledger, event(1, size))
        taken(ledger, event(2, size))
        refused = ledger.take("events", event(3, size))
        assert isinstance(refused, Refusal)
        assert (refused.status, "Kafka is behind" in refused.detail) == (503, True)
        ledger.published(Name("events", 1), first, HERE)
        assert taken(ledger, event(3, size))[1]

    within_a_loop(test)


def test_the_first_prediction_stays() -> None:
    """One that comes again changes nothing."""

    def test() -> None:
        ledger = Ledger(most=10)
        sent, _ = taken(ledger, event(1))
        for value in (b"first", b"second"):
            ledger.arrived([(Name("events", 1), "orders", value)])
        assert sent.outcome("orders").result() == b"first"

    within_a_loop(test)
