"""Which processes a stack has, whom they serve, and what comes back after whatever they died of."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from features.errors import DefinitionError, SettingError, StackError
from infra.local.processes import Processes
from infra.local.stack.definitions import Definitions
from infra.local.stack.folders import Folders
from infra.local.stack.record import recorded
from infra.local.stack.todo import Call, todo
from tests.infra.local.conftest import STAND_IN, Light
from tests.infra.local.test_replace import WINDOW

pytestmark = pytest.mark.stack

BOTH = ("cards", "terminals")
TOGETHER = {"stream-cards": BOTH, "scorer-cards": ("cards",), "scorer-terminals": ("terminals",)}


def test_services_of_one_spine_share_a_stream_job(light: Light) -> None:
    """One that comes later has a job of its own; those whose jobs died share one when they start again."""
    light.up("cards")
    assert light.served() == {"stream-cards": ("cards",), "scorer-cards": ("cards",)}
    first = light.pids()
    light.up()
    assert light.served() == {
        "stream-cards": ("cards",),
        "stream-terminals": ("terminals",),
        "scorer-cards": ("cards",),
        "scorer-terminals": ("terminals",),
    }
    assert light.pids().items() >= first.items(), "what runs is left alone"
    light.kill("stream-cards", "stream-terminals")
    light.up()
    assert light.served() == TOGETHER
    light.kill("stream-cards")
    light.up("terminals")
    assert light.served() == TOGETHER, "the state is of both"


def test_the_outcomes_of_a_service_with_a_label_are_joined(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process of their own where the settings say so, until they say so no longer; the others stay."""
    light.up()
    before = light.pids()
    monkeypatch.setenv("HEADRACE_OUTCOMES__RUN", "true")
    monkeypatch.setenv("HEADRACE_TRAIN__CARDS__LABEL", "labels.is_fraud")
    light.up()
    assert light.served() == {**TOGETHER, "outcomes-cards": ("cards",)}
    started = Processes(light.run).recorded("outcomes-cards")
    assert started is not None
    assert "--stream" in started.command
    light.up("terminals")
    assert "outcomes-cards" in light.served(), "of a service that was not named"
    monkeypatch.setenv("HEADRACE_OUTCOMES__RUN", "false")
    light.up()
    assert light.pids() == before
    assert any(step.startswith("stopping outcomes-cards: outcomes.run is false") for step in light.steps)


def test_each_that_is_killed_comes_back_and_the_others_stay(light: Light) -> None:
    """kill -9 of one process after the other: `up` starts that one."""
    light.up()
    for name in TOGETHER:
        before = light.pids()
        light.kill(name)
        assert light.rows()[name].state == "died"
        light.up()
        assert light.served() == TOGETHER
        assert {other for other, pid in light.pids().items() if pid != before[other]} == {name}


def test_a_record_whose_pid_is_someone_elses_now_starts_anew(light: Light) -> None:
    """After a restart of the machine, say: the stranger is left alone."""
    light.up()
    light.kill("scorer-cards")
    stranger = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(600)"))
    try:
        processes = Processes(light.run)
        record = processes.recorded("scorer-cards")
        assert record
        changed = msgspec.structs.replace(record, pid=stranger.pid)
        (light.run / "processes" / "scorer-cards.json").write_bytes(msgspec.json.encode(changed))
        light.up()
        assert light.served() == TOGETHER
        assert light.pids()["scorer-cards"] != stranger.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("broken", ["stack.json", "plans/cards.json", "owner.json"])
def test_a_half_written_file_is_made_again(light: Light, broken: str) -> None:
    """What cannot be read is started again where it is not known what it does; nothing runs twice."""
    light.up()
    file = light.run / broken
    file.write_bytes(file.read_bytes()[:20])
    light.up()
    assert light.served() == TOGETHER
    msgspec.json.decode(file.read_bytes())


def test_a_ready_file_of_a_dead_process_is_not_believed(light: Light) -> None:
    """A scorer that ends at its start is said to have ended, with the end of its log, though it was ready once."""
    light.up()
    light.kill("scorer-cards")
    (light.folder / "models" / "deployments" / "cards" / "00000001.json").unlink()
    with pytest.raises(StackError, match=r"scorer-cards ended; .*scorer-cards.log ends: ValueError"):
        light.up()


def test_a_full_disk_is_one_line_and_the_next_call_goes_on(light: Light) -> None:
    """A plan that was written in part is no plan: the second `up` writes it, and starts what the first did not."""
    with _files_of_at_most(1000), pytest.raises(StackError, match=r"the stack keeps its files in .*: File too large; fix that"):
        light.up()
    assert light.rows() == {}
    light.up()
    assert light.served() == TOGETHER


@pytest.mark.parametrize("service", ["card", "cards terminal"])
def test_an_unknown_service_starts_nothing(bare: Light, service: str) -> None:
    """No Kafka, and no folder."""
    with pytest.raises(DefinitionError, match="no feature service '"):
        bare.up(*service.split())
    assert not bare.run.exists()


def test_a_service_without_a_model_starts_nothing(bare: Light) -> None:
    """No Kafka and no job, with which no scorer could work: where none is in production, and where one is of another plan."""
    bare.define(*WINDOW)
    with pytest.raises(SettingError, match=r"model 'cards' 1: a model scores what it was trained on; it was trained on plan"):
        bare.up()
    bare.define(*reversed(WINDOW))
    (bare.folder / "models" / "deployments" / "terminals" / "00000001.json").unlink()
    with pytest.raises(SettingError, match=r"'terminals' has no model there; train one with 'headrace train terminals"):
        bare.up()
    assert bare.rows() == {}


def test_a_folder_without_definitions_gets_no_run_folder(bare: Light) -> None:
    """Nothing is started there, and stopping it is no error."""
    (bare.folder / "definitions.py").unlink()
    with pytest.raises(DefinitionError, match=r"a project has a definitions\.py"):
        bare.up()
    bare.down(wipe=True)
    assert not bare.run.exists()


def test_another_kafka_is_refused_while_the_stack_runs(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs would go on with offsets of the first."""
    light.up()
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    with pytest.raises(StackError, match=r"a stack stays on one Kafka; it runs on .*, and the settings say 127\.0\.0\.1:1; run"):
        light.up()
    monkeypatch.undo()


def test_all_follow_a_kafka_that_has_moved(light: Light) -> None:
    """Where Kafka comes back on another port, jobs and scorers that know the old one are stopped, and start again."""
    light.up()
    call = Call(
        light.folder, light.settings, Folders(light.run), Processes(light.run), Definitions(light.folder), print, STAND_IN
    )
    before = recorded(call.folders)
    work = todo(call, before, ["cards"], "127.0.0.1:1", replace=False)
    assert work.stop == dict.fromkeys(TOGETHER, "Kafka is on 127.0.0.1:1 now")
    assert work.new.keys() == set(BOTH)


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Within, writes beyond ``size`` bytes of a file fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
