"""What ``load_history`` leaves for a stream job to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.errors import SettingError, StackError
from features.job import job_plan
from features.seam import seam_at
from infra.local.processes import Processes
from infra.run.backfill import load_history
from infra.settings import load_settings
from jobs.stream.backfill import history_folder, history_of
from jobs.stream.files import state_folder
from tests.support.orders import PLAN

UNTIL_MS = 1_700_000_000_000


def test_a_load_that_fails_leaves_no_history_of_an_earlier_one(tmp_path: Path) -> None:
    """The files of a load that did not end belong to no seam: the job does not begin with half of them."""
    settings = load_settings(tmp_path)
    file = tmp_path / "orders of old.jsonl"
    row = {"id": 1, "at": UNTIL_MS - 1, "shop": 7, "price": 1.5, "tax": 0.25, "size": 1, "web": True, "kind": "x"}
    file.write_text(json.dumps(row) + "\n")
    state = state_folder(job_plan([PLAN]), tmp_path / ".headrace" / "checkpoints", settings.stream.state_backend)
    (loaded,) = load_history(tmp_path, settings, [PLAN], UNTIL_MS, {"orders": file})
    assert loaded.rows == {"orders": 1}
    assert loaded.newest_ms == {"orders": UNTIL_MS - 1}
    assert loaded.from_ms == dict(seam_at(job_plan([PLAN]), UNTIL_MS, files=1).from_ms)
    history = history_of(state, is_restored=False)
    assert history
    assert history.seam.until_ms == UNTIL_MS
    with pytest.raises(SettingError):
        load_history(tmp_path, settings, [PLAN], UNTIL_MS + 1, {"orders": tmp_path / "none.jsonl"})
    assert history_of(state, is_restored=False) is None
    assert not history_folder(state).exists()


def test_a_load_waits_for_no_other_command(tmp_path: Path) -> None:
    """A job that `up` starts meanwhile would find the seam of a history that it has not read."""
    settings = load_settings(tmp_path)
    with Processes(tmp_path / ".headrace").lock(), pytest.raises(StackError, match="one command at a time"):
        load_history(tmp_path, settings, [PLAN], UNTIL_MS)


def test_files_of_a_load_that_was_killed_are_deleted(tmp_path: Path) -> None:
    """By the next start of a job, which has no use for them."""
    folder = history_folder(tmp_path)
    folder.mkdir()
    (folder / "orders-0.rows").write_bytes(b"")
    assert history_of(tmp_path, is_restored=False) is None
    assert not folder.exists()
