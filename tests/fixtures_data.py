"""Projects with data: copies of the fraud example, simulated once a session."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from features.load import Project, load

EXAMPLE = Path(__file__).parents[1] / "examples" / "fraud"


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
def small(small_data: Path) -> Project:
    """`small_data`, loaded."""
    return load(small_data)


def fraud_project(folder: Path, *, customers: int, terminals: int, days: int) -> Path:
    """The fraud example in ``folder``, with simulated data."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data", "__pycache__"))
    simulate = simulator()
    simulate.write(simulate.simulate(customers, terminals, days), folder / "data")
    return folder


def simulator() -> ModuleType:
    """The example's ``simulate.py``, imported by path."""
    spec = importlib.util.spec_from_file_location("fraud_simulate", EXAMPLE / "simulate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
