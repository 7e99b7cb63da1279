"""What `headrace up` decides where definitions have changed, and where a takeover that was cut off goes on; without its jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from features.errors import SettingError, StackError
from features.job import job_plan
from features.seam import seam_at
from infra.local import stack
from infra.local.processes import Processes
from infra.local.stack.todo import Call, Todo
from infra.run import takeover
from infra.run.takeover import TakeOver, Wanted, begin, cut, finish, sequence
from infra.settings import load_settings
from jobs.stream import backfill
from serving.kafka.turns import TurnWatch, read_turns
from tests.infra.local.conftest import ALONE, Light
from tests.infra.local.test_replace import WINDOW
from tests.infra.local.test_takeover_offsets import called
from tests.support.num import num_project

pytestmark = pytest.mark.stack

UNTIL_MS = 1_533_081_600_000


def steps(light: Light, wanted: Wanted = Wanted()) -> dict[str, tuple[str, str]]:  # noqa: B008 - it never changes
    """What is said, by service."""
    before = light.pids()
    rows = takeover.rows(light.folder, light.settings, (), wanted, print, replace=False)
    assert light.pids() == before, "nothing is done"
    return {row.service: (row.action, row.how) for row in rows}


def take_over(light: Light, *services: str, wanted: Wanted = Wanted()) -> None:  # noqa: B008 - it never changes
    """`headrace up`."""
    light.steps.clear()
    settings = light.settings
    stack.up(light.folder, settings, services, light.steps.append, take_over=TakeOver(wanted), program=light.program)


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


def test_a_history_that_no_job_reads_is_refused(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what runs, of what goes on from a checkpoint, and of one whose end nobody has said; nothing is started or stopped."""
    light.up("cards")
    before = light.pids()
    until, file = Wanted(UNTIL_MS), Wanted(histories={"transactions": Path("other.parquet")})
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    for wanted in (until, file):
        with pytest.raises(SettingError, match=r": cards runs already; got (--until 2018-08-01 00:00:00|transactions); leave it"):
            take_over(light, wanted=wanted)
    monkeypatch.setenv("HEADRACE_SERVICES", "cards,terminals")
    with pytest.raises(SettingError, match=r"terminals needs the history's end, --until; cards runs already; got transactions"):
        take_over(light, wanted=file)
    call = called(light)
    state = begin.state_of(call, job_plan([call.now.plan("terminals")]))
    (state / "0" / "chk-1").mkdir(parents=True)
    (state / "0" / "chk-1" / "_metadata").touch()
    with pytest.raises(SettingError, match=r"terminals goes on from its checkpoint; cards runs already; got --until 2018-08-01"):
        take_over(light, wanted=until)
    assert light.pids() == before


def test_windows_that_begin_empty_are_said(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a job that starts with neither a history nor a checkpoint; one that has either says nothing."""
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    take_over(light)
    said = "windows of cards begin empty and fill from the topics; 'headrace backfill cards --until DATE' begins with history"
    assert said in light.steps
    light.down()
    call = called(light)
    job = job_plan([call.now.plan("cards")])
    backfill.record(begin.state_of(call, job), seam_at(job, UNTIL_MS, files=1))
    take_over(light)
    assert not any("begin empty" in step for step in light.steps)


def test_the_same_history_may_be_given_twice(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a job that has read it up to that time, and to no other."""
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    light.up()
    before, call = light.pids(), called(light)
    job = job_plan([call.now.plan("cards")])
    backfill.record(begin.state_of(call, job), seam_at(job, UNTIL_MS, files=1))
    take_over(light, wanted=Wanted(UNTIL_MS))
    assert light.pids() == before
    with pytest.raises(SettingError, match=r"cards runs already; got --until 2018-08-01 00:00:00"):
        take_over(light, wanted=Wanted(UNTIL_MS + 1))


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


def test_a_takeover_of_which_the_record_is_broken_is_no_new_one(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it took over from which event would be lost: nothing is started, and `down --wipe` begins anew."""
    light.up()
    light.define(*WINDOW)
    light.train("cards")
    killed_at(light, monkeypatch, sequence, "_start_scorers")
    running = light.pids()
    file = light.run / "takeover.json"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(StackError, match=r"is as it was written; .*takeover.json: .*; bring it back .* 'headrace down --wipe'"):
        take_over(light)
    assert light.pids() == running
    stack.down(light.folder, light.settings, wipe=True)
    light.up()


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


def test_what_would_be_done_needs_no_kafka(tmp_path: Path) -> None:
    """A service that is new, with a history, where the local Kafka does not run yet: said at once."""
    project = num_project(tmp_path / "num")
    settings = load_settings(project, kafka={"bootstrap": None})
    (row,) = takeover.rows(project, settings, (), Wanted(until_ms=UNTIL_MS), print, replace=False)
    assert (row.service, row.action) == ("num", "start")
    assert row.how.startswith("a job begins from the history until 2018-08-01")
