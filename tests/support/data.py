"""Projects with data: copies of the fraud example, simulated once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.common import EXAMPLE, simulation
from features.service import Service

LEFT_BEHIND = shutil.ignore_patterns("data", "models", ".headrace", "__pycache__")
"""What a run in the example's own folder may have made."""


@pytest.fixture(scope="session")
def handbook_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fraud project with all of the handbook's transactions: 1,754,155 of them."""
    return fraud_project(tmp_path_factory.mktemp("handbook"), customers=5000, terminals=10_000, days=183)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fraud project with some 10,000 transactions of 45 days; not to be written to."""
    return fraud_project(tmp_path_factory.mktemp("small"), customers=150, terminals=600, days=45)


@pytest.fixture
def small_copy(small_data: Path, tmp_path: Path) -> Path:
    """A copy of `small_data` to write to."""
    return Path(shutil.copytree(small_data, tmp_path / "project"))


@pytest.fixture(scope="session")
def small(small_data: Path) -> Service:
    """The handbook's service over `small_data`."""
    from features.definitions.load import load

    return load(small_data).service("handbook")


def fraud_project(folder: Path, *, customers: int, terminals: int, days: int) -> Path:
    """The fraud example in ``folder``, with simulated data."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=LEFT_BEHIND)
    simulate = simulation()
    simulate.write(simulate.simulate(customers, terminals, days), folder / "data")
    return folder
