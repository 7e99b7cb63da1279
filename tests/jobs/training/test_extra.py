"""What only the extra ``train`` installs: where it is imported, and what is said without it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NEEDING = ("training", "compress", "freshness", "outcomes")
"""The rooms of jobs that need it."""
EXTRA = {"lightgbm", "onnx", "onnxmltools", "skl2onnx", "sklearn", "xgboost"}


def test_without_the_extra_training_is_one_line_of_advice() -> None:
    """`headrace train` ends with exit code 2 and says what to install."""
    program = (
        "import sys; sys.modules['xgboost'] = None; import infra.cli; from infra.cli.app import run; "
        "raise SystemExit(run(['train', 'fraud', '--from', '2018-07-25', '--project', 'examples/fraud']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: training needs the extra: pip install 'headrace[train]' (missing: xgboost)"]


def test_without_the_extra_of_networks_only_their_trainers_are_refused() -> None:
    """One line of advice for `mlp`; what asks for no network does not notice."""
    program = (
        "import sys; sys.modules['jax'] = None; import infra.cli; from infra.cli.app import run; "
        "arguments = ['train', 'handbook', '--from', '2018-07-25', '--project', 'examples/fraud', '--trainer']; "
        "codes = [run([*arguments, 'mlp']), run([*arguments, 'nothing'])]; raise SystemExit(max(codes))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "error: trainer 'mlp' needs the extra: pip install 'headrace[networks]' (missing: jax)"
    assert second.startswith("error: a trainer is one of cnn, lightgbm, linear, logistic, mlp,")


def test_no_other_package_needs_the_extra() -> None:
    """Outside these rooms nothing imports what the extra installs, and these only where they are called."""
    for package in ("schemas", "features", "jobs", "serving", "infra"):
        for file in (ROOT / package).rglob("*.py"):
            place = file.relative_to(ROOT)
            if any(place.is_relative_to(f"jobs/{room}") for room in NEEDING) or "jars" in place.parts:
                continue
            tree = ast.parse(file.read_text())
            assert not {name.partition(".")[0] for name in _imported(ast.walk(tree))} & EXTRA, place
            assert not [
                name for name in _imported(_when_imported(tree)) if name.startswith(tuple(f"jobs.{room}" for room in NEEDING))
            ], place


def _imported(nodes: Iterator[ast.AST]) -> list[str]:
    """The modules that these nodes import."""
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def _when_imported(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: what is in no function, nor for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            continue
        yield child
        yield from _when_imported(child)
