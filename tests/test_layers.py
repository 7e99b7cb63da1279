"""Imports point one way, and what is slow to import stays out of the command line's start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.core

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "features": {"schemas", "features"},
    "jobs": {"schemas", "features", "jobs"},
    "serving": {"schemas", "features", "serving"},
    "infra": {"schemas", "features", "jobs", "serving", "infra"},
}
FEAST = {"features/definitions/load.py", "features/feast/keys.py", "features/feast/online.py"}
SLOW = ("feast", "pyflink", "pandas", "pyarrow", "duckdb", "onnxruntime", "kafka", "xgboost", "pydantic_settings", "rich")


def files(package: str) -> Iterator[Path]:
    """The Python files of a package."""
    return (path for path in (ROOT / package).rglob("*.py") if "jars" not in path.parts)


def imported(file: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    """schemas ← features ← jobs, serving ← infra."""
    against = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files(package)
        for name in (imported(file) & MAY_IMPORT.keys()) - MAY_IMPORT[package]
    }
    assert not against


def test_three_files_import_feast() -> None:
    """Definitions and the online store: Feast costs five seconds and 180 MB wherever it is imported."""
    found = {str(file.relative_to(ROOT)) for package in MAY_IMPORT for file in files(package) if "feast" in imported(file)}
    assert found == FEAST


def test_the_command_line_starts_without_what_is_slow() -> None:
    """`headrace --help` needs none of it."""
    program = (
        f"import sys; sys.argv = ['headrace', '--help']; import infra.cli; infra.cli.run(); print(set(sys.modules) & {set(SLOW)})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"
