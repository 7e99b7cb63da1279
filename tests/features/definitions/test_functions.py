"""The digest of a plan moves with all that its on-demand functions compute with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from features.definitions.load import load
from tests.features.definitions.test_definitions import PRELUDE

DEFINITIONS = """
import math
from datetime import UTC, datetime
from functools import cache, wraps
from zoneinfo import ZoneInfo

import numpy as np
from numpy import log1p

RATE, FEES, WEIGHTS = 2.0, {"a": (1, 2), "b": {3, 4}}, np.array([1.0, 2.0])
count = payments  # no value of the function's, which reads an attribute of that name


HERE = ZoneInfo("Europe/Berlin")


def doubling(function):
    @wraps(function)
    def twice(*given, by=2):
        return by * function(*given)

    return twice


@doubling
@cache
def hour(amount):
    return log1p(datetime.fromtimestamp(amount, UTC).astimezone(HERE).hour)


def fee(amount, most=RATE):
    if amount > 1000:
        return fee(amount / 10) + hour(amount)
    return min(most, math.exp(amount)) + len(FEES) + ROUNDED[0](amount)


LEAST = 0.01


class Limited:
    LEAST = LEAST + 1


class Rounding(Limited):
    DIGITS = 2

    @staticmethod
    def most():
        return MOST

    def __call__(self, amount):
        return round(amount, STEP)


STEP, MOST = 1, 9
ROUNDED = [lambda amount: Rounding()(amount), fee]
request = RequestSource(name="request", schema=[Field(name="amount", dtype=Float64)])


@on_demand_feature_view(sources=[request], mode="python", schema=[Field(name="twice", dtype=Float64)])
def doubled(inputs):
    return {"twice": [fee(amount) * WEIGHTS[inputs["amount"].count(1.0)] for amount in inputs["amount"]]}


risk = service(doubled)
"""


def digest(folder: Path, definitions: str) -> str:
    """Of the service of a definitions.py."""
    folder.mkdir(exist_ok=True)
    (folder / "definitions.py").write_text(PRELUDE + definitions)
    return load(folder).service("risk").plan.digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RATE, FEES, WEIGHTS = 2.0", "RATE, FEES, WEIGHTS = 3.0"),
        ("{3, 4}", "{3, 5}"),
        ("(1, 2)", "[1, 2]"),
        ("[1.0, 2.0]", "[1.0, 2.5]"),
        ("min(most", "max(most"),
        ("DIGITS = 2", "DIGITS = 3"),
        ("STEP, MOST = 1", "STEP, MOST = 0"),
        ("MOST = 1, 9", "MOST = 1, 8"),
        ("LEAST = 0.01", "LEAST = 0.02"),
        ("LEAST + 1", "LEAST + 2"),
        ("by * function", "by + function"),
        ("by=2", "by=3"),
        ("Europe/Berlin", "Europe/Paris"),
        (".hour", ".minute"),
        ("import log1p", "import log as log1p"),
        ("Rounding()(amount)", "Rounding()(-amount)"),
    ],
)
def test_what_a_function_reads_is_in_the_digest(before: str, after: str, tmp_path: Path) -> None:
    """Constants, functions that it calls, their defaults and what these read: other values make another plan."""
    assert before in DEFINITIONS
    one, other = (digest(tmp_path / name, text) for name, text in (("a", DEFINITIONS), ("b", DEFINITIONS.replace(before, after))))
    assert one != other


def test_what_it_does_not_read_is_not(tmp_path: Path) -> None:
    """Where it stands in the file, what other definitions read, and the name of an attribute."""
    other = "UNUSED = 3\n" + DEFINITIONS.replace("count = payments", "count = reports")
    assert digest(tmp_path / "a", DEFINITIONS) == digest(tmp_path / "b", other)


@pytest.mark.slow
def test_it_is_the_same_in_another_process(tmp_path: Path) -> None:
    """Sets have another order there."""
    found = digest(tmp_path, DEFINITIONS)
    program = (
        f"from features.definitions.load import load; from pathlib import Path; "
        f"print(load(Path({str(tmp_path)!r})).service('risk').plan.digest)"
    )
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONHASHSEED": seed})
        assert done.stdout.strip() == found, done.stderr
