"""README's "Keep it running", walked in a clone that `make run` has been run in."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from features.definitions.load import load
from features.errors import HeadraceError
from infra.local import jars, stack
from infra.settings import load_settings
from jobs.history.batch_views import materialize, push_online
from tests.support.clone import clone, set_up
from tests.support.data import fraud_project
from tests.support.walk import blocks, walk

pytestmark = pytest.mark.stack


@pytest.mark.timeout(600)
def test_the_readme_keeps_it_running(tmp_path: Path) -> None:
    """Each line as it stands, in one shell: a model, the stack, events, predictions in another terminal, and the end."""
    jars.ensure()
    here = clone(tmp_path / "headrace")
    set_up(here)
    project = fraud_project(here / "examples" / "fraud", customers=150, terminals=300, days=140)
    service = load(project).service("fraud")
    materialize(service, date(2018, 7, 25), date(2018, 8, 15))
    push_online(service, date(2018, 8, 14))
    notes = tmp_path / "notes"
    notes.mkdir()
    todo = blocks((here / "README.md").read_text(), "Keep it running")
    try:
        walked = walk(todo, here, notes, {}, seen="fraud v1")
    finally:
        with suppress(HeadraceError):
            stack.down(project, load_settings(project))
    assert "fraud v1" in walked.after("headrace train")
    assert "Kafka on 127.0.0.1:" in walked.after("headrace up")
    assert "scorer-fraud" in walked.after("headrace status")
    assert "fraud v1" in walked.elsewhere[0]
