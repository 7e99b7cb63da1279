"""What the HTTP service's tests share: a project, and a service with one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.definitions.load import Project
from features.service import Service
from tests.serving.http.support import INPUTS, Running, serving
from tests.serving.kafka.support import project_with_rows
from tests.support.models import register, stumps


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The fraud example, with two customers' rows in its online store."""
    return project_with_rows(tmp_path_factory.mktemp("over http") / "fraud")


@pytest.fixture(scope="package")
def fraud(project: Project) -> Service:
    """A service with a batch view, which the model of `running` needs, and with windows, which it does not."""
    return project.service("fraud")


@pytest.fixture(scope="package")
def running(project: Project, fraud: Service) -> Iterator[Running]:
    """Two services: `fraud`, and `handbook`, whose model takes window features."""
    models, handbook = project.folder / "models", project.service("handbook")
    register(models, fraud.plan, stumps([0.1, 0.2, 0.3]), inputs=INPUTS)
    register(models, handbook.plan, stumps([0.05] * len(handbook.plan.inputs)))
    with serving([fraud, handbook], models) as made:
        yield made


@pytest.fixture
def models(fraud: Service, tmp_path: Path) -> Path:
    """A registry of the test's own, with a model of `fraud` in production."""
    register(tmp_path, fraud.plan, stumps([0.1, 0.2, 0.3]), inputs=INPUTS)
    return tmp_path
