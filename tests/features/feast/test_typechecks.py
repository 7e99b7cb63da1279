"""Feast's checks of its arguments, compiled quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

from features.feast.typechecks import FITS

CHECKED = """
import json, sys
from types import CodeType
from typeguard import _decorators

checked, whole = {}, _decorators.instrument
def told(code):
    parts = set(name for name in dir(code) if name.startswith("co_")) - {"co_consts", "co_lines", "co_positions", "co_lnotab"}
    consts = [told(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return {name: repr(getattr(code, name)) for name in parts}, list(code.co_positions()), consts

def instrument(function):
    made = whole(function)
    cells = [str(cell.cell_contents) for cell in (made.__closure__ or ())] if not isinstance(made, str) else []
    checked[f"{function.__module__}.{function.__qualname__}:{function.__code__.co_firstlineno}"] = \
        made if isinstance(made, str) else [told(made.__code__), cells]
    return made
_decorators.instrument = instrument
if sys.argv[1] == "quickly":
    import features.definitions.load
import feast
print(json.dumps(checked))
"""


SAME_SETS = os.environ | {"PYTHONHASHSEED": "0"}
"""A set among the constants has the same order in both processes."""


def checked(how: str) -> dict[str, Any]:
    """The code of each function of Feast's whose arguments are checked, and what its cells hold."""
    output = subprocess.run([sys.executable, "-c", CHECKED, how], capture_output=True, check=True, env=SAME_SETS).stdout
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.slow
def test_each_check_is_byte_for_byte_typeguards() -> None:
    """Its code, where it is in its file, and what its closure has."""
    found = checked("quickly")
    assert len(found) > 100
    assert found == checked("as it is")


def test_the_version_of_typeguard_is_one_that_was_read() -> None:
    """With any other, commands start as slowly as Feast does: read its `instrument` and name it in `FITS`."""
    assert version("typeguard") in FITS
