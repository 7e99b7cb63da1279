"""A stack belongs to the folder that it was started in: to no copy of it, and to a folder that was renamed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from features.errors import StackError
from infra.cli import run
from infra.local import stack
from tests.infra.local.conftest import Light

pytestmark = pytest.mark.stack


@pytest.fixture
def copy(light: Light) -> Light:
    """`cp -r` of the project, which runs."""
    light.up()
    return Light(Path(shutil.copytree(light.folder, light.folder.parent / "copy", symlinks=True)))


def test_down_in_a_copy_stops_nothing(light: Light, copy: Light) -> None:
    """It is refused with whose stack it is; --wipe deletes what was copied, and the original runs on."""
    before = light.pids()
    with pytest.raises(StackError, match=f"is a copy of the one of {light.folder}"):
        copy.down()
    copy.down(wipe=True)
    assert light.pids() == before
    assert light.served().keys() == before.keys()
    assert not (copy.run / "stack.json").exists()


def test_up_in_a_copy_is_refused_until_it_is_wiped(light: Light, copy: Light) -> None:
    """Kafka's data and ports in it are the original's; a fresh stack is its own."""
    before = light.pids()
    with pytest.raises(StackError, match="a stack belongs to the folder that it was started in"):
        copy.up()
    copy.down(wipe=True)
    copy.up()
    assert copy.served().keys() == light.served().keys()
    assert not copy.pids().items() & before.items()
    copy.down()
    assert light.pids() == before


def test_status_in_a_copy_says_whose_the_stack_is(light: Light, copy: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """And shows no process of it."""
    assert run(["status", "--project", str(copy.folder)]) == 0
    assert f"is a copy of the one of {light.folder}" in " ".join(capsys.readouterr().out.split())
    assert run(["status", "--json", "--project", str(copy.folder)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_copy_publishes_nothing_to_the_originals_kafka(copy: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings name no Kafka, the copied stack.json is not believed."""
    monkeypatch.delenv("HEADRACE_KAFKA__BOOTSTRAP")
    with pytest.raises(StackError, match="is a copy of the one of"):
        stack.bootstrap(copy.folder, copy.settings)
    assert stack.plans_in_use(copy.folder, copy.settings) == []


def test_two_projects_do_not_share_a_run_folder(light: Light, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied headrace.toml may name the same one: not even --wipe touches it."""
    monkeypatch.setenv("HEADRACE_RUN_DIR", str(tmp_path / "shared"))
    light.up()
    before = light.pids()
    other = Light(Path(shutil.copytree(light.folder, light.folder.parent / "copy")))
    for command in (other.up, other.down, lambda: other.down(wipe=True)):
        with pytest.raises(StackError, match=f"is in use by {light.folder}; set run_dir"):
            command()
    assert light.pids() == before
    light.down()
    monkeypatch.delenv("HEADRACE_RUN_DIR")


def test_a_folder_renamed_while_it_runs_can_be_stopped(light: Light) -> None:
    """Its processes know the old name: first down, then up."""
    light.up()
    renamed = Light(light.folder.rename(light.folder.parent / "renamed"))
    with pytest.raises(StackError, match=f"the stack runs in {light.folder}, as this folder was called"):
        renamed.up()
    renamed.down()
    renamed.up()
    assert set(renamed.served()) == {"stream-cards", "scorer-cards", "scorer-terminals"}


def test_a_folder_whose_original_is_gone_is_the_original(light: Light) -> None:
    """Moved to another disk, that is: it goes on where that one stopped."""
    light.up()
    light.down()
    moved = Light(Path(shutil.copytree(light.folder, light.folder.parent / "copy")))
    shutil.rmtree(light.folder)
    moved.up()
    assert set(moved.served()) == {"stream-cards", "scorer-cards", "scorer-terminals"}


def test_checkpoints_of_rocksdb_are_not_moved(light: Light) -> None:
    """They name their files by the old folder: one line, and nothing is started."""
    light.up()
    light.down()
    (light.run / "checkpoints" / "cards" / "0" / "rocksdb" / "1" / "chk-1").mkdir(parents=True)
    renamed = Light(light.folder.rename(light.folder.parent / "renamed"))
    with pytest.raises(StackError, match="checkpoints of RocksDB name their files"):
        renamed.up()
    assert renamed.rows() == {}
