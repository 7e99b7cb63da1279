"""What `headrace up` decides where definitions have changed, and where a takeover that was cut off goes on; without its jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
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
from infra.local.stack.todo import Call, Todo
from infra.local.stack.turns import write_turns
from infra.run import takeover
from infra.run.takeover import TakeOver, Wanted, cut, finish, offsets, sequence
from infra.run.takeover.pending import Pending
from infra.settings import load_settings
from serving.kafka.turns import Turn, Turns, TurnWatch, read_turns
from tests.infra.local.conftest import ALONE, STAND_IN, Light
from tests.infra.local.test_replace import WINDOW
from tests.support.num import num_project

pytestmark = pytest.mark.stack

UNTIL_MS = 1_533_081_600_000


def steps(light: Light, wanted: Wanted = Wanted()) -> dict[str, tuple[str, str]]:  # noqa: B008 - it never changes
    """What is said, by service."""
    before = light.pids()
    rows = takeover.rows(light.folder, light.settings, (), wanted, print, replace=False)
    assert light.pids() == before, "nothing is done"
    return {row.service: (row.action, row.how) for row in rows}


def take_over(light: Light, *services: str) -> None:
    """`headrace up`."""
    light.steps.clear()
    settings = light.settings
    stack.up(light.folder, settings, services, light.steps.append, take_over=TakeOver(Wanted()), program=light.program)


def killed_at(light: Light, patched: pytest.MonkeyPatch, module: Any, name: str, *services: str) -> None:
    """`headrace up` that is killed where it calls a function, and so takes nothing back."""

    def killed(*_: object) -> None:
        raise SystemExit

    with patched.context() as within:
        within.setattr(module, name, killed)
        within.setattr(sequence, "take_back", lambda *_: None)
        with pytest.raises(SystemExit):
            take_over(light, *services)


@contextmanager
def scorers_that_look(light: Light, service: str = "cards") -> Iterator[None]:
    """Within, the stand-ins of the scorers of a service look whose turn it is."""
    folders, over = stack.Folders(light.run), threading.Event()
    plan = next(plan for plan in stack.plans_in_use(light.folder, light.settings) if plan.service == service)
    watch = TurnWatch(folders.turns, service, plan.short_digest, instance=0)

    def look() -> None:
        while not over.wait(0.01):
            watch.waits()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_it_says_what_it_will_do_for_each_service(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays, starts, is taken over or stops, and how a job begins that is new."""
    light.up()
    assert steps(light) == {"cards": ("keep", ""), "terminals": ("keep", "")}
    light.define(*WINDOW)
    light.train("cards")
    found = steps(light)
    assert found["cards"][0] == "take over"
    assert (
        "from the beginning of its topics, which hold all that its windows do: input customer_spend__count_1d: window 1d → 2d"
        in found["cards"][1]
    )
    assert found["terminals"][0] == "keep"
    assert "from the history until 2018-08-01" in steps(light, Wanted(UNTIL_MS))["cards"][1]
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    light.define("terminals = FeatureService", "_terminals = FeatureService")
    assert steps(light)["terminals"] == ("stop", "it is no longer in definitions.py")


def test_what_has_ended_is_not_taken_over(light: Light) -> None:
    """A plan without a scorer has left events without a prediction, and one without a job has no vectors."""
    light.up()
    light.define(*WINDOW)
    light.train("cards")
    light.kill("scorer-cards")
    with pytest.raises(StackError, match=r"no scorer of cards runs; restore definitions\.py"):
        steps(light)
    light.kill("stream-cards")
    with pytest.raises(StackError, match="its job has ended, so no other can take over from it"):
        steps(light)


def test_scorers_that_do_not_stand_still_leave_all_as_it_was(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started beside is ended, and the next attempt begins anew."""
    monkeypatch.setattr(cut, "HOLD_SECONDS", 0.5)
    light.up()
    before = light.pids()
    light.define(*WINDOW)
    light.train("cards")
    with pytest.raises(StackError, match=r"scorer-cards did not; see its log; nothing was taken over: cards, terminals runs on"):
        take_over(light)
    assert light.pids() == before
    folders = stack.Folders(light.run)
    assert not folders.takeover.exists()
    assert not list(folders.plans.glob("*~*"))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (sequence, "_await_turn"),
        (sequence, "_start_jobs"),
        (sequence, "_start_scorers"),
        (cut, "hand_over"),
        (finish, "write_taken"),
        (finish, "_promote"),
        (Processes, "rename"),
        (finish, "_restart_readers"),
    ],
)
def test_a_takeover_that_was_killed_goes_on(light: Light, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """Wherever it was: the next `up` comes to the same end, and nothing of the first is left."""
    light.up()
    before = light.pids()
    light.define(*WINDOW)
    light.train("cards")

    with scorers_that_look(light):
        killed_at(light, monkeypatch, module, name)
        take_over(light)
    assert light.served() == {
        "stream-cards": ("cards", "terminals"),
        "scorer-cards": ("cards",),
        "scorer-terminals": ("terminals",),
    }
    after = light.pids()
    assert {service for service, pid in after.items() if pid == before[service]} == {"scorer-terminals"}
    assert steps(light) == {"cards": ("keep", ""), "terminals": ("keep", "")}
    folders = stack.Folders(light.run)
    assert not folders.takeover.exists()
    (plan,) = (plan for plan in stack.plans_in_use(light.folder, light.settings) if plan.service == "cards")
    serving = read_turns(folders.turns, "cards").serving
    assert serving is not None
    assert serving.plan == plan.short_digest


def test_what_a_takeover_renamed_as_it_was_killed_says_what_it_does(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that it has now: not what the one before it said by that name."""
    light.up()
    light.define(*WINDOW)
    light.train("cards")
    rename = Processes.rename

    def renamed(processes: Processes, name: str, to: str) -> None:
        rename(processes, name, to)
        raise SystemExit

    with scorers_that_look(light):
        with monkeypatch.context() as within:
            within.setattr(Processes, "rename", renamed)
            with pytest.raises(SystemExit):
                take_over(light)
        take_over(light)
    assert {one.service: one.started for one in stack.running(light.folder, light.settings)} == {"cards": 2, "terminals": 1}
    assert not list(stack.Folders(light.run).ready("").glob("*~*"))


def test_a_takeover_of_another_job_takes_an_unfinished_one_back(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` of one service was killed, and `up` of another, with a job of its own, comes next: it is that one's turn alone."""
    light.up("cards")
    light.up("terminals")
    before = light.pids()
    light.define(*WINDOW)
    light.define("features=[terminal_risk]", "features=[terminal_risk, customer_spend]")
    light.train("cards", "terminals")
    killed_at(light, monkeypatch, sequence, "_start_scorers", "cards")
    assert any("~" in name for name in light.pids())
    with scorers_that_look(light, "terminals"):
        take_over(light, "terminals")
    after = light.pids()
    assert after.keys() == before.keys()
    assert {name for name, pid in after.items() if pid != before[name]} == {"stream-terminals", "scorer-terminals"}
    assert steps(light)["cards"][0] == "take over"


def test_what_reads_of_a_service_that_is_gone_ends(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scorer, and its monitor and job of outcomes, which no settings stop; those of the service that stays run on."""
    for name, value in {"MONITOR__RUN": "true", "OUTCOMES__RUN": "true", "TRAIN__CARDS__LABEL": "labels.is_fraud"}.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    monkeypatch.setenv("HEADRACE_TRAIN__TERMINALS__LABEL", "labels.is_fraud")
    light.up()
    before = light.pids()
    assert {"monitor-terminals", "outcomes-terminals"} < before.keys()
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    light.define("terminals = FeatureService", "_terminals = FeatureService")
    take_over(light)
    after = light.pids()
    assert after.keys() == {"stream-cards", "scorer-cards", "monitor-cards", "outcomes-cards"}
    assert {name for name, pid in after.items() if pid == before[name]} == after.keys() - {"stream-cards"}
    assert not any("terminals" in name for name in Processes(light.run).names())


def test_definitions_that_are_restored_take_an_unfinished_takeover_back(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started beside ends; what runs was never touched."""
    light.up()
    before = light.pids()
    light.define(*WINDOW)
    light.train("cards")

    killed_at(light, monkeypatch, sequence, "_start_scorers")
    assert light.pids().keys() > before.keys()
    light.define(*reversed(WINDOW))
    take_over(light)
    assert light.pids() == before


def test_replace_takes_an_unfinished_takeover_back(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan starts in the place of the one before, so nothing of it may run beside."""
    light.up()
    light.define(*WINDOW)
    light.train("cards")
    killed_at(light, monkeypatch, sequence, "_start_scorers")
    assert any("~" in name for name in light.pids())

    stack.up(
        light.folder, light.settings, (), light.steps.append, replace=True, take_over=TakeOver(Wanted()), program=light.program
    )
    assert light.served().keys() == {"stream-cards", "scorer-cards", "scorer-terminals"}
    folders = stack.Folders(light.run)
    assert not folders.takeover.exists()
    assert not list(folders.plans.glob("*~*"))
    assert not list(folders.checkpoints.rglob("beside.json"))


def test_http_serves_the_plans_of_a_takeover_that_another_call_ends(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves what it was started with, so it is started again."""
    monkeypatch.setenv("HEADRACE_HTTP__PORT", "0")
    light.program = ALONE
    light.up()
    before = light.pids()["http"]
    light.define(*WINDOW)
    light.train("cards")
    with scorers_that_look(light):
        killed_at(light, monkeypatch, finish, "_promote")
        assert light.pids()["http"] == before
        take_over(light)
    assert light.served()["http"] == ("cards", "terminals")
    assert light.pids()["http"] != before


def test_what_is_taken_over_is_said_before_a_new_service_starts(light: Light) -> None:
    """Of a service that has begun, nobody could say how it begins."""
    light.up("cards")
    before = light.pids()
    light.define(*WINDOW)
    light.train("cards")
    said: list[dict[str, tuple[str, str]]] = []

    def say(call: Call, work: Todo) -> None:
        assert light.pids() == before
        said.append({row.service: (row.action, row.how) for row in takeover.rows_of(call, work, Wanted())})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack.up(light.folder, light.settings, (), light.steps.append, take_over=TakeOver(Wanted(), say), program=light.program)
    (rows,) = said
    assert rows["terminals"] == ("start", "")
    assert rows["cards"][0] == "take over"


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


def test_what_would_be_done_needs_no_kafka(tmp_path: Path) -> None:
    """A service that is new, with a history, where the local Kafka does not run yet: said at once."""
    project = num_project(tmp_path / "num")
    settings = load_settings(project, kafka={"bootstrap": None})
    (row,) = takeover.rows(project, settings, (), Wanted(until_ms=UNTIL_MS), print, replace=False)
    assert (row.service, row.action) == ("num", "start")
    assert row.how.startswith("a job begins from the history until 2018-08-01")
