"""The demand example with data of a size that a test has time for."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from bench.common import ROOT
from tests.support.data import LEFT_BEHIND

EXAMPLE = ROOT / "examples" / "demand"


@cache
def program(name: str) -> ModuleType:
    """A program of the example, which is in no package: ``simulate``, say."""
    spec = importlib.util.spec_from_file_location(f"demand_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def demand_project(folder: Path, *, stations: int, days: int) -> Path:
    """The example in ``folder``, with simulated data."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=LEFT_BEHIND)
    simulate = program("simulate")
    simulate.write(simulate.simulate(stations, days), folder / "data")
    return folder
