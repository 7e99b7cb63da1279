"""What a takeover waits for, and where the new plan reads on, by the offsets of Kafka; without its jobs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaConnectionError

from features.definitions.load import load
from features.errors import StackError
from features.plan import Mode, Plan
from infra.local import stack
from infra.local.processes import Processes
from infra.local.stack.definitions import Definitions
from infra.local.stack.todo import Call
from infra.local.stack.turns import write_turns
from infra.run.takeover import finish, offsets, sequence
from infra.run.takeover.pending import Pending
from serving.kafka.turns import Turn, Turns, read_turns
from tests.infra.local.conftest import STAND_IN, Light

pytestmark = pytest.mark.stack


class LookedUp:
    """Stands in for the offsets of Kafka: each topic ends at 9, what is looked up is noted, and groups have read all but those
    that are ``behind``, which have read nothing."""

    def __init__(self, *behind: str) -> None:
        self.groups: list[tuple[str, str, dict[int, int]]] = []
        self._behind = behind

    def ends(self, topic: str) -> dict[int, int]:
        """Of every topic."""
        return {0: 9}

    def has_read(self, group: str, topic: str, ends: dict[int, int]) -> bool:
        """Whether a group has read all."""
        self.groups.append((group, topic, ends))
        return group not in self._behind

    def left(self, group: str, topic: str, ends: dict[int, int]) -> int:
        """What it has not read."""
        return ends[0] if group in self._behind else 0


def test_a_consumer_is_closed_where_no_admin_client_connects(bare: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka may go in between."""
    ended = []

    class Consumer:
        def __init__(self, **settings: Any) -> None:
            """Connects at once."""

        def close(self) -> None:
            ended.append(self)

    def refuse(**settings: Any) -> None:
        raise KafkaConnectionError

    monkeypatch.setattr(offsets, "KafkaConsumer", Consumer)
    monkeypatch.setattr(offsets, "KafkaAdminClient", refuse)
    with pytest.raises(KafkaConnectionError), offsets.reading(called(bare), "127.0.0.1:1"):
        pass
    assert len(ended) == 1


def called(light: Light) -> Call:
    """`headrace up`, as its parts are called."""
    folders = stack.Folders(light.run)
    return Call(light.folder, light.settings, folders, Processes(light.run), Definitions(light.folder), print, STAND_IN)


def plans_of(light: Light, mode: Mode) -> tuple[Plan, Plan]:
    """Of `cards` and `terminals`."""
    plans = [load(light.folder).service(service).plan for service in ("cards", "terminals")]
    cards, terminals = (msgspec.structs.replace(plan, mode=mode) for plan in plans)
    return cards, terminals


@pytest.mark.parametrize(("mode", "offset"), [("arrival", 5), ("event_time", 9)])
def test_a_job_ends_once_the_services_that_stay_have_its_vectors(bare: Light, mode: Mode, offset: int) -> None:
    """Where only a service goes and no plan changes: the jobs beside give vectors to the events from 5 on, and in event-time mode
    those of the events before wait for later ones."""
    cards, terminals = plans_of(bare, mode)
    pending = Pending((cards, terminals), (cards,), "", {0: 5}, {})

    reader = LookedUp()
    assert finish._drain(called(bare), pending, reader, "stream-cards") == {}  # type: ignore[arg-type]
    assert reader.groups == [("headrace.cards", "stack-transactions", {0: offset})]


@pytest.fixture
def decided(bare: Light) -> Pending:
    """A takeover at offset 7 of the events: the vectors of the new plan begin at 2, with that of event 5."""
    cards, _ = plans_of(bare, "arrival")
    new = msgspec.structs.replace(cards, lateness_ms=cards.lateness_ms + 1)
    before = Turn(cards.short_digest, "old", ends={0: 7})
    write_turns(stack.Folders(bare.run).turns, "cards", Turns((before, Turn(new.short_digest, "new", {0: 7}, reads_from={0: 8}))))
    return Pending((cards,), (new,), "", {0: 5}, {"cards": {0: 2}}, is_over=True)


def test_what_scorers_that_died_have_left_is_the_new_plans(bare: Light, decided: Pending) -> None:
    """Of the events before the offset too: nobody else predicts them."""
    old: Any = LookedUp()
    assert finish._drain(called(bare), decided, old, "stream-cards") == {}
    old = LookedUp("old")
    assert finish._drain(called(bare), decided, old, "stream-cards") == {"cards": {0: 2}}


def test_the_new_plan_looks_again_at_no_more_than_its_scorers_remember(
    bare: Light, decided: Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the job before has ended: what came before that was predicted, and would be once more."""
    monkeypatch.setenv("HEADRACE_SCORER__DEDUPE_WINDOW", "5")
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr(finish, "reading", lambda call, address: nullcontext(LookedUp()))
    finish._end(called(bare), None, decided)
    serving = read_turns(stack.Folders(bare.run).turns, "cards").serving
    assert serving is not None
    assert (serving.begins, serving.reads_from) == ({}, {0: 5})


def test_nothing_is_decided_before_the_job_has_come_to_where_its_successor_began(bare: Light, decided: Pending) -> None:
    """Nor before its scorers have: should they die then, nobody else has a vector of these events."""
    all_read: Any = LookedUp()
    sequence._await_before(called(bare), decided, all_read)
    assert all_read.groups == [("headrace.cards", "stack-transactions", {0: 5}), ("old", "features.cards", {0: 9})]
    for group, left in (("headrace.cards", 5), ("old", 9)):
        behind: Any = LookedUp(group)
        with pytest.raises(StackError, match=f"has predicted what came before; {left} records are left to stream-cards and its"):
            sequence._await_before(called(bare), decided, behind)


def test_a_job_may_say_nothing_until_its_next_checkpoint(bare: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says with each how far it has read, so a takeover has that long patience with it."""
    monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "600000")
    assert offsets.stuck_seconds(called(bare)) > 600
