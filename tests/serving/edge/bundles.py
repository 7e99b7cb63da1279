"""A bundle of a small project, and its runner in a process that has numpy and ONNX Runtime alone."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.cli import run
from tests.support.num import T, num_project

EVENTS = 300
BARE = """
import runpy, sys
allowed = {*sys.stdlib_module_names, "numpy", "onnxruntime", "headrace_edge"}
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"{name} is not on this device")
sys.meta_path.insert(0, Bare())
sys.path.insert(0, sys.argv[1])
sys.argv = ["run.py", *sys.argv[2:]]
runpy.run_path(sys.path[0] + "/run.py", run_name="__main__")
"""
"""Runs a bundle where nothing but Python's library, numpy and ONNX Runtime can be imported."""


def project(folder: Path) -> Path:
    """The project of `tests.support.num` with windows that have something in them: ties, nulls, three keys, minutes apart."""
    num_project(folder)
    chance = random.Random(1)
    at = [datetime.fromtimestamp(T / 1000, UTC) + timedelta(minutes=n // 2) for n in range(EVENTS)]
    table = {
        "id": pa.array(range(EVENTS), pa.int64()),
        "at": pa.array(at, pa.timestamp("ms", tz="UTC")),
        "k": pa.array([f"k{chance.randrange(3)}" for _ in at]),
        "v": pa.array([chance.choice((None, Decimal(chance.randrange(10**6)) / 100)) for _ in at], pa.decimal128(18, 2)),
        "c": pa.array(["é"] * EVENTS),
        "n": pa.array([chance.randrange(5) for _ in at], pa.int64()),
        "d": pa.array([chance.choice((None, chance.gauss(3, 2))) for _ in at], pa.float64()),
    }
    pq.write_table(pa.table(table), folder / "data" / "num.parquet")
    return folder


def export(folder: Path, out: Path, *options: str) -> Path:
    """The bundle of the project's model."""
    assert run(["export-edge", "num", "--out", str(out), "--project", str(folder), "--golden", "100", *options]) == 0
    return out


def lines(folder: Path) -> list[str]:
    """The history as ``headrace publish`` sends it."""
    from features.definitions.load import load
    from jobs.ingest.publish import events, feed

    found = feed(folder / "data" / "num.parquet", "num", load(folder).plans)
    return [event.value.decode() for event in events(found)]


def bare(bundle: Path, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What the runner does in a process of its own."""
    words = [sys.executable, "-c", BARE, str(bundle), *options]
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)


def said(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The lines that it wrote."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def content(prediction: dict[str, Any]) -> dict[str, Any]:
    """A prediction without the times at which it was made."""
    receipt = {name: value for name, value in prediction["receipt"].items() if not name.endswith("ed_at")}
    return {**prediction, "receipt": receipt}


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether two predictions are one: to the bit but for the score, which is as near as the manifest's tolerance."""
    near = found["score"] == pytest.approx(expected["score"], rel=1e-5, abs=1e-7)
    one, other = ({**content(each), "score": None} for each in (found, expected))
    return bool(near) and repr(one) == repr(other)
