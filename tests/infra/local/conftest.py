"""A project whose stream jobs and scorers are stand-ins: what is started, stopped and recorded, without what it costs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.common import EXAMPLE
from features.definitions.load import load
from infra.local import stack
from infra.local.broker import Broker
from infra.local.stack import Row
from infra.settings import Settings, load_settings
from tests.support.data import LEFT_BEHIND
from tests.support.models import register, stumps

STAND_IN = (sys.executable, "-S", str(Path(__file__).with_name("stand_in.py")))
ALONE = (*STAND_IN, "alone")
"""Stands in for the HTTP service, too."""
SERVICES = """
cards = FeatureService(name="cards", features=[transaction_amount, customer_spend], tags={"spine": "transactions"})
terminals = FeatureService(name="terminals", features=[terminal_risk], tags={"spine": "transactions"})
"""


class Light:
    """A project in a folder, and what a test does to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[str] = []
        self.program = STAND_IN

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return load_settings(self.folder)

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / ".headrace"

    def up(self, *services: str, replace: bool = False) -> None:
        """`stack.up`; what it does is in ``steps``."""
        self.steps.clear()
        stack.up(self.folder, self.settings, services, self.steps.append, replace=replace, program=self.program)

    def down(self, *, wipe: bool = False) -> None:
        """`stack.down`."""
        stack.down(self.folder, self.settings, wipe=wipe)

    def rows(self) -> dict[str, Row]:
        """The processes by name."""
        return {row.name: row for row in stack.status(self.folder, self.settings)}

    def served(self) -> dict[str, tuple[str, ...]]:
        """Whom each process serves; all of them run."""
        rows = self.rows()
        assert {row.state for row in rows.values()} == {"running"}, rows
        return {name: row.services for name, row in rows.items()}

    def pids(self) -> dict[str, int | None]:
        """The process id of each."""
        return {name: row.pid for name, row in self.rows().items()}

    def kill(self, *names: str) -> None:
        """kill -9 of the processes and all their children."""
        kill([pid for name, pid in self.pids().items() if name in names and pid])

    def define(self, old: str, new: str) -> None:
        """Change definitions.py."""
        file = self.folder / "definitions.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def train(self, *services: str) -> None:
        """A new production model for the plan that a service has now."""
        loaded = load(self.folder)
        for service in services:
            plan = loaded.service(service).plan
            register(self.folder / "models", plan, stumps([0.01 * i for i in range(len(plan.inputs))]))


def kill(pids: list[int]) -> None:
    """kill -9 of processes and all their children."""
    family = [member for pid in pids for member in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(family, 10)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Light]:
    """A project with two services, each with a model, that has a local Kafka of its own."""
    made = Light(tmp_path / "project")
    shutil.copytree(EXAMPLE, made.folder, ignore=LEFT_BEHIND)
    for topic in ("transactions", "labels"):
        made.define(f'topic="{topic}"', f'topic="stack-{topic}"')
    file = made.folder / "definitions.py"
    file.write_text(file.read_text() + SERVICES)
    made.train("cards", "terminals")
    monkeypatch.setenv("HEADRACE_SERVICES", "cards,terminals")
    yield made
    for folder in (made.folder, *(made.folder.parent / name for name in ("copy", "renamed"))):
        if folder.is_dir() and not stack.other_stack(folder, load_settings(folder)):
            Light(folder).down()


@pytest.fixture
def light(bare: Light, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Light:
    """The same on the tests' broker."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    return bare
