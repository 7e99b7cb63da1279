"""The demand example with data of a size that a test has time for."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

from bench import common
from tests.support.data import LEFT_BEHIND

EXAMPLE = common.ROOT / "examples" / "demand"


@cache
def program(name: str) -> ModuleType:
    """A program of the example: ``simulate``, say."""
    return common.program(EXAMPLE / f"{name}.py")


def demand_project(folder: Path, *, stations: int, days: int) -> Path:
    """The example in ``folder``, with simulated data."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=LEFT_BEHIND)
    simulate = program("simulate")
    simulate.write(simulate.simulate(stations, days), folder / "data")
    return folder
