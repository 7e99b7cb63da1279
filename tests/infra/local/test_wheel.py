"""A wheel in an environment of its own, outside the repository: it has what `headrace init`, `plan` and `setup` need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.local import jars
from tests.support.clone import clone, environment

pytestmark = pytest.mark.stack


def test_a_wheel_does_the_same_elsewhere(tmp_path: Path) -> None:
    """A project is made and planned; setup fetches jars into the user's cache, says so, and finds the operator in the wheel."""
    jars.ensure()
    wheel = built(tmp_path)
    page = {f"serving/http/page/static/{name}" for name in ("index.html", "page.js", "page.css", "panels/models.js")}
    assert page <= set(ZipFile(wheel).namelist())
    headrace = installed(wheel, tmp_path)
    home = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
        "XDG_CACHE_HOME": str(tmp_path / "cache")
    }
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()

    def shown(*command: str) -> str:
        done = subprocess.run([headrace, *command], cwd=elsewhere, env=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown("init", "shop")
    assert "pause__seconds" in shown("plan", "--project", "shop")
    assert f"flink     {tmp_path / 'cache' / 'headrace' / 'flink-'}" in shown("setup")
    fetched = {jar.name for jar in (tmp_path / "cache" / "headrace").glob("flink-*/*.jar")}
    assert fetched == {jar.name for jar in jars.flink_jars()} - {jars.operator_jar().name}
    assert shown("plan", "--project", "shop", "--sql", "flink").count("sliding_windows") > 1


def built(folder: Path) -> Path:
    """The wheel of a clone in which the operator is built."""
    here = clone(folder / "clone")
    shutil.copyfile(jars.operator_jar(), here / "jobs" / "operator" / "headrace-operator.jar")
    program = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", program], cwd=here, capture_output=True, check=True)
    (wheel,) = (here / "dist").glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """The command, in an environment that has the dependencies of this one."""
    python = environment(folder / "venv")
    pip = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
    ]
    subprocess.run([*pip, wheel], cwd=folder, check=True)
    return python.with_name("headrace")
