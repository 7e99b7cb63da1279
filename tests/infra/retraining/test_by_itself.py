"""`headrace retrain --when`: it begins where there is a reason and nothing against it, and the log has what was decided."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from features.errors import SettingError, StackError
from jobs.training.trainers import xgboost
from schemas import Alarm
from serving.monitor.state import State, Track, Version, write_state
from tests.infra.retraining.support import DAYS, Look, entries, registry_at
from tests.support.waits import wait_until

pytestmark = pytest.mark.slow

SECONDS = 240
"""A process that loads all libraries and trains, on a machine that does other things."""
ALARM = Alarm(
    id="num/num/1/totals__sum_v/0",
    state="open",
    service="num",
    model="num",
    version=1,
    input="totals__sum_v",
    what="distribution",
    text="totals__sum_v of num v1 has drifted since then: PSI 0.300, limit 0.020",
    since=0,
    window_start=0,
    window_end=1,
    rows=600,
    psi=0.3,
    js=0.1,
    p_value=0.0,
    limit=0.02,
    trained_from=0,
    trained_until=1,
    cells=[],
    trained=[],
    found=[],
    raised_at=0,
)


def with_alarm(project: Path, *, version: int = 1) -> None:
    """A monitor has found that production has drifted, or another version."""
    alarm = msgspec.structs.replace(ALARM, version=version)
    of = Version("num", version, "", tracks={alarm.input: Track(alarm=alarm)})
    write_state(project / ".headrace" / "monitor" / "num.day.json", State("num", "day", versions={f"num/{version}": of}))


def set_up(project: Path, **keys: object) -> None:
    """Keys of [train.num.retrain]."""
    file = project / "headrace.toml"
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())
    file.write_text(f"{file.read_text()}\n[train.num.retrain]\n{lines}")


def served(project: Path) -> dict[str, int]:
    """What each environment has."""
    return {alias: placed.version for alias, placed in registry_at(project).deployed("num").aliases.items()}


def test_without_an_alarm_nothing_is_retrained_and_the_log_says_so_once(project: Path, look: Look) -> None:
    """An alarm of another version is none of production's; a second look has nothing new to say."""
    assert "nothing is done: not for drift: no alarm of num v1 is open" in look("--when", "drift")
    with_alarm(project, version=7)
    look("--when", "drift")
    (entry,) = entries(project)
    assert (entry.action, entry.model, entry.version) == ("postpone", "num", 1)
    assert entry.why == "retrain: not for drift: no alarm of num v1 is open"
    assert served(project) == {"production": 1}


def test_an_alarm_is_a_reason(project: Path, look: Look) -> None:
    """What is not worse is in staging, and the log has the alarm, the days and both metrics; production stays."""
    with_alarm(project)
    said = look("--when", "drift")
    assert "for drift: alarm num/num/1/totals__sum_v/0" in said
    assert ", no interval (too little to draw from), 12 rows, drawn by whole keys" in said
    assert "num v2 is in staging" in said
    (entry,) = entries(project)
    assert (entry.action, entry.alias, entry.version) == ("alias", "staging", 2)
    assert "for drift: alarm num/num/1/totals__sum_v/0, totals__sum_v of num v1 has drifted" in entry.why
    assert "trained on 2024-05-02 to 2024-05-02, tested on 2024-05-04 to 2024-05-04; average precision" in entry.why
    assert served(project) == {"production": 1, "staging": 2}
    assert registry_at(project).manifest("num", 2).lineage["retrain"] == entry.why.split()[1].rstrip(",")


def test_the_next_one_waits_for_the_cool_down(project: Path, look: Look) -> None:
    """The alarm is open still; that it waits is said once; with no time to wait it needs newer days."""
    with_alarm(project)
    look("--when", "drift")
    assert "not now: retrain" in look("--when", "drift")
    look("--when", "drift")
    assert [entry.action for entry in entries(project)] == ["alias", "postpone"]
    assert "and the next may from" in entries(project)[-1].why
    set_up(project, cooldown_hours=0)
    assert "labels are due for no newer ones" in look("--when", "drift")
    assert registry_at(project).versions("num") == (1, 2)


def test_a_schedule_is_of_the_days_to_learn_from(project: Path, look: Look) -> None:
    """Production learnt long ago: it is time; after that, only once enough newer days are due."""
    assert "for schedule: labels are due to learn from days to before 2024-05-03" in look("--when", "schedule")
    set_up(project, cooldown_hours=0, every_days=3)
    assert "not for schedule: labels are due to learn from days to before 2024-05-03, 0 days after those of retrain" in look(
        "--when", "schedule"
    )
    assert registry_at(project).versions("num") == (1, 2)


def test_what_fails_changes_nothing_and_says_so(project: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer that raises: the log has why, nothing is registered, and the next try waits for the cool-down."""

    @functools.wraps(xgboost.fit)
    def fit(*given: object, **more: object) -> None:
        raise SettingError("the trainer is broken; fix it")

    monkeypatch.setattr(xgboost, "fit", fit)
    with_alarm(project)
    assert "the trainer is broken; fix it" in look("--when", "drift", code=2)
    (entry,) = entries(project)
    assert entry.action == "fail"
    assert entry.why.endswith(": the trainer is broken; fix it")
    assert "for drift: alarm num/num/1/totals__sum_v/0" in entry.why
    monkeypatch.undo()
    assert "not now: retrain" in look("--when", "drift")
    assert registry_at(project).versions("num") == (1,)
    set_up(project, cooldown_hours=0)
    assert "num v2 is in staging" in look("--when", "drift")


def failing_to_try(*given: object) -> None:
    """In place of putting a version in staging."""
    raise StackError("the registry is full; make room")


def test_what_fails_once_it_is_registered_leaves_no_version(project: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody serves, and of which the log says that nothing was changed."""
    monkeypatch.setattr("infra.retraining.promotion._try", failing_to_try)
    with_alarm(project)
    assert "the registry is full" in look("--when", "drift", code=2)
    assert [entry.action for entry in entries(project)] == ["remove", "fail"]
    assert entries(project)[-1].why.endswith("the registry is full; make room; num v2 is removed")
    assert registry_at(project).versions("num") == (1,)


def test_a_failure_that_was_cut_off_is_said_by_the_next_look(project: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two entries: that its version was removed is no decision."""

    def said(*given: object) -> None:
        raise StackError("the machine went down")

    monkeypatch.setattr("infra.retraining.promotion._try", failing_to_try)
    monkeypatch.setattr("infra.retraining.attempts.log_decision", said)
    with_alarm(project)
    look("--when", "drift", code=2)
    assert [entry.action for entry in entries(project)] == ["remove"]
    monkeypatch.undo()
    look("--when", "drift")
    assert [entry.action for entry in entries(project)] == ["remove", "fail", "postpone"]
    assert json.loads((project / ".headrace" / "retrain" / "num.json").read_text())["last"]["failed"] is True


def test_a_segment_that_is_no_input_is_refused_before_training(
    project: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after it, with a model that is lost."""
    monkeypatch.setattr(xgboost, "fit", functools.wraps(xgboost.fit)(lambda *given, **more: pytest.fail("it has trained")))
    file = project / "headrace.toml"
    file.write_text(file.read_text().replace("trees = 2", 'trees = 2\nsegments = ["country"]'))
    with_alarm(project)
    assert "got 'country' in segments" in look("--when", "drift", code=2)


def test_what_is_worse_changes_nothing_and_says_so(project: Path, look: Look) -> None:
    """Declined, with its reason and its figures; the exit code is 1."""
    with_alarm(project)
    assert "It is not taken" in look("--when", "drift", "--needs", "better", code=1)
    (entry,) = entries(project)
    assert entry.action == "decline"
    assert "for drift" in entry.why
    assert entry.why.endswith("needs better")
    assert served(project) == {"production": 1}


PROGRAM = """
import sys
import time
from pathlib import Path

module, function, mark, *words = sys.argv[1:]
import importlib

from infra.cli import run

def stuck(*given, **more):
    Path(mark).touch()
    time.sleep(600)

setattr(importlib.import_module(module), function, stuck)
raise SystemExit(run(words))
"""


@pytest.mark.parametrize(("module", "function"), [("jobs.training.retrain", "learn"), ("infra.retraining.promotion", "_try")])
def test_what_is_killed_leaves_nothing_half_done(project: Path, look: Look, module: str, function: str) -> None:
    """As it trains, or once it is registered and before it is in staging: while it runs no other begins; then it has failed."""
    with_alarm(project)
    mark = project / "stuck"
    words = ["retrain", "num", *DAYS, "--when", "drift", "--project", str(project)]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, module, function, str(mark), *words])
    try:
        wait_until(lambda: mark.exists() or child.poll() is not None, SECONDS)
        assert child.poll() is None
        assert "another retrain by itself is running" in look("--when", "drift")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert entries(project) == []
    assert "not now: retrain" in look("--when", "drift")
    assert served(project) == {"production": 1}
    actions = [entry.action for entry in entries(project)]
    registered = function == "_try"
    assert actions == [*(["remove"] if registered else []), "fail", "postpone"]
    assert registry_at(project).versions("num") == (1,)
    assert "it was ended before its decision" + ("; num v2 is removed" if registered else "") in entries(project)[-2].why
    set_up(project, cooldown_hours=0)
    assert f"num v{3 if registered else 2} is in staging" in look("--when", "drift")


def test_while_one_waits_for_the_gate_no_other_begins(project: Path, look: Look) -> None:
    """However short the cool-down. One that is killed there has decided: its version stays in staging."""
    with_alarm(project)
    set_up(project, cooldown_hours=0)
    mark = project / "stuck"
    words = ["retrain", "num", *DAYS, "--when", "drift", "--project", str(project)]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, "infra.retraining.promotion", "_promoted", str(mark), *words])
    try:
        wait_until(lambda: mark.exists() or child.poll() is not None, SECONDS)
        assert child.poll() is None
        assert served(project) == {"production": 1, "staging": 2}
        assert "another retrain by itself is running, or waits for the gate" in look("--when", "drift")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert "labels are due for no newer ones" in look("--when", "drift")
    assert [entry.action for entry in entries(project)] == ["alias", "postpone"]
    assert served(project) == {"production": 1, "staging": 2}


def test_a_decision_whose_end_was_not_kept_is_not_made_twice(project: Path, look: Look) -> None:
    """Killed after the log had it, and before the file said so."""
    with_alarm(project)
    look("--when", "drift")
    file = project / ".headrace" / "retrain" / "num.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"last": known["last"] | {"ended": False}}))
    assert "not now: retrain" in look("--when", "drift")
    assert [entry.action for entry in entries(project)] == ["alias", "postpone"]
    assert json.loads(file.read_text())["last"]["failed"] is False


def test_a_dry_run_says_what_would_be_and_writes_nothing(project: Path, look: Look) -> None:
    """As JSON too. No gate will be waited for, so it needs no Kafka."""
    with_alarm(project)
    told = json.loads(look("--when", "drift", "--when", "schedule", "--wait", "5", "--dry-run", "--json"))["look"]
    assert told["due"] is True
    assert [(one["when"], one["due"]) for one in told["reasons"]] == [("drift", True), ("schedule", True)]
    assert entries(project) == []
    assert not (project / ".headrace" / "retrain" / "num.json").exists()


def test_what_cannot_be_is_refused(project: Path, look: Look) -> None:
    """In one line."""
    assert "--when is drift, decay, schedule; got 'monday'" in look("--when", "monday", code=2)
    assert "an alias is lower-case letters" in look("--when", "drift", "--alias", "", code=2)
    assert "got --until too" in look("--when", "drift", "--until", "2024-05-05", code=2)
    file = project / ".headrace" / "retrain" / "num.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert "what is known of retrains is a file that headrace wrote" in look("--when", "drift", code=2)


def test_without_production_there_is_nothing_to_hold_it_against(project: Path, look: Look) -> None:
    """A first version is put there by hand."""
    shutil.rmtree(project / "models")
    assert "a retrain by itself is held against production; num has no version there" in look("--when", "drift", code=2)
