"""What the scorer's tests share: a project, and services on the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.definitions.load import Project
from infra.local.broker import Broker
from tests.serving.kafka.support import Setting, project_with_rows


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The fraud example, with two customers' rows in its online store."""
    return project_with_rows(tmp_path_factory.mktemp("project") / "fraud")


@pytest.fixture
def handbook(broker: Broker, project: Project, tmp_path: Path) -> Setting:
    """A service of windows and on-demand functions alone."""
    return Setting(broker, project, "handbook", tmp_path)


@pytest.fixture
def fraud(broker: Broker, project: Project, tmp_path: Path) -> Setting:
    """A service with a batch view."""
    return Setting(broker, project, "fraud", tmp_path)
