"""Which way imports point, what each package needs, and what none of them knows of."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "schemas": set[str](),
    "features": {"schemas"},
    "jobs": {"schemas", "features"},
    "serving": {"schemas", "features"},
    "infra": {"schemas", "features", "jobs", "serving"},
}
"""The packages, and which of the others each of them imports."""
ROOMS = {
    "jobs/audit": {"jobs/history"},
    "jobs/cluster": {"jobs/history", "jobs/stream"},
    "jobs/compress": {"jobs/audit", "jobs/history", "jobs/training"},
    "jobs/freshness": {"jobs/audit", "jobs/history", "jobs/training"},
    "jobs/ingest": {"jobs/history"},
    "jobs/outcomes": {"jobs/history", "jobs/training"},
    "jobs/predict": {"jobs/history"},
    "jobs/training": {"jobs/history"},
    "serving/edge": {"serving/models"},
    "serving/http": {"serving/kafka", "serving/log_lines.py", "serving/models", "serving/monitor", "serving/predict"},
    "serving/kafka": {"serving/log_lines.py", "serving/models", "serving/predict"},
    "serving/monitor": {"serving/log_lines.py"},
    "serving/predict": {"serving/models"},
    "infra/config.py": {
        "infra/http_settings.py",
        "infra/kafka",
        "infra/local",
        "infra/monitor_settings.py",
        "infra/section.py",
        "infra/settings.py",
    },
    "infra/kafka": {"infra/section.py"},
    "infra/http_settings.py": {"infra/section.py"},
    "infra/settings.py": {
        "infra/http_settings.py",
        "infra/kafka",
        "infra/monitor_settings.py",
        "infra/outcomes_settings.py",
        "infra/section.py",
        "infra/train_settings.py",
    },
    "infra/monitor_settings.py": {"infra/section.py"},
    "infra/outcomes_settings.py": {"infra/section.py"},
    "infra/train_settings.py": {"infra/section.py"},
    "infra/monitoring.py": {"infra/config.py", "infra/monitor_settings.py"},
    "infra/init": {"infra/local"},
    "infra/local": {"infra/kafka", "infra/models.py", "infra/settings.py"},
    "infra/models.py": {"infra/settings.py"},
    "infra/run": {
        "infra/config.py",
        "infra/kafka",
        "infra/local",
        "infra/models.py",
        "infra/settings.py",
        "infra/train_settings.py",
    },
    "infra/deploy.py": {"infra/local", "infra/settings.py"},
    "infra/gate.py": {"infra/config.py", "infra/kafka", "infra/local", "infra/settings.py"},
    "infra/predicted.py": {"infra/kafka", "infra/local", "infra/settings.py"},
    "infra/retraining": {
        "infra/config.py",
        "infra/deploy.py",
        "infra/gate.py",
        "infra/local",
        "infra/models.py",
        "infra/predicted.py",
        "infra/settings.py",
        "infra/train_settings.py",
    },
    "infra/cli": {
        "infra/config.py",
        "infra/deploy.py",
        "infra/gate.py",
        "infra/http_settings.py",
        "infra/init",
        "infra/kafka",
        "infra/local",
        "infra/models.py",
        "infra/monitoring.py",
        "infra/predicted.py",
        "infra/retraining",
        "infra/run",
        "infra/schedule.py",
        "infra/settings.py",
        "infra/train_settings.py",
    },
}
"""The rooms of jobs, serving and infra, and which rooms of their package they import; a room that is not here imports none."""
FEAST = {
    "features/definitions/load.py",
    "features/feast/hooks.py",
    "features/feast/keys.py",
    "features/feast/online.py",
    "features/feast/online_guarded.py",
    "features/feast/online_redis.py",
    "features/feast/online_stores.py",
    "features/feast/online_windows.py",
    "features/feast/predictions.py",
    "jobs/history/feast_job.py",
    "jobs/history/feast_store.py",
    "jobs/history/feast_views.py",
}
EXTRAS = {
    "jobs/audit/drawing.py": "plot",
    "jobs/training/networks/learn.py": "networks",
    "jobs/training/networks/evaluate.py": "networks",
    "jobs/training": "train",
    "jobs/compress": "train",
    "serving/models/from_mlflow.py": "mlflow",
}
"""Where the packages of an extra are imported; the one of ``s3`` is imported by fsspec."""
SLOW = ("feast", "pyflink", "pandas", "pyarrow", "duckdb", "onnxruntime", "kafka", "xgboost", "pydantic_settings", "rich")
WORDS = {"bicycle", "card", "degree", "investigator", "weather"}
"""Of the examples, beside those of the names in their definitions."""
UNITS_AND_TYPES = {
    "count",
    "d",
    "day",
    "decimal",
    "h",
    "hour",
    "long",
    "mean",
    "minute",
    "mm",
    "string",
    "time",
    "timestamp",
    "week",
}
ORDINARY = {"ago", "amount", "at", "event", "fact", "flag", "history", "i", "id", "known", "label", "latest", "measured", "now"}
ORDINARY |= {"outcome", "pace", "per", "reading", "same", "spend", "yesterday"} | UNITS_AND_TYPES
ORDINARY |= {"temperature"}  # that of distillation, beside the weather's
"""Words of these names that mean the same everywhere."""
OTHER_MEANINGS = r"transaction(\.state\.log|_manager)|Kafka transaction|terminal_width|isGloballyTerminalState|on[ _-]?demand"
"""Kafka's transactions, the user's terminal, a state of Flink's jobs that is final, and Feast's views on demand."""


def files(package: str, kind: str = "*.py") -> Iterator[Path]:
    """The files of a package, relative to the repository; those that are fetched or built are left out."""
    for path in (ROOT / package).rglob(kind):
        file = path.relative_to(ROOT)
        if not {"jars", "target"} & set(file.parts):
            yield file


@cache
def imported(file: Path) -> frozenset[str]:
    """The modules that a file imports, wherever in it."""
    modules = set[str]()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from jobs.history import compute` names a module only where there is one.
            modules |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module in PACKAGES else {node.module}
    return frozenset(modules)


def outside(file: Path) -> set[str]:
    """The top-level names of what a file imports that is neither ours nor Python's."""
    names = {module.partition(".")[0] for module in imported(file)}
    return names - PACKAGES.keys() - sys.stdlib_module_names


def room(parts: tuple[str, ...]) -> str:
    """``jobs/stream`` for ``jobs.stream.watch``, ``infra/settings.py`` for ``infra.settings``."""
    package, name = parts[0], parts[1].removesuffix(".py")
    return f"{package}/{name}" if (ROOT / package / name).is_dir() else f"{package}/{name}.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    """schemas ← features ← jobs, serving ← infra: each package imports these others, and no more."""
    found = {module.partition(".")[0] for file in files(package) for module in imported(file)}
    assert found & PACKAGES.keys() - {package} == PACKAGES[package]


def test_rooms_import_these_others_of_their_package() -> None:
    """A capability that others need is seen here; the others can be deleted with their folder."""
    found = defaultdict(set)
    for package in ("jobs", "serving", "infra"):
        for file in files(package):
            inner = {tuple(module.split(".")) for module in imported(file) if module.startswith(f"{package}.")}
            if len(file.parts) > 1 and file.name != "__init__.py":
                found[room(file.parts)] |= {room(parts) for parts in inner} - {room(file.parts)}
    assert {name: others for name, others in found.items() if others} == ROOMS


def test_these_files_import_feast() -> None:
    """Definitions, and Feast's own stores: Feast costs five seconds and 180 MB wherever it is imported."""
    assert {str(file) for package in PACKAGES for file in files(package) if "feast" in outside(file)} == FEAST


def test_packages_need_what_the_project_declares() -> None:
    """A third-party package that is imported is a dependency; those of an extra are imported in its own place alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    main = _names(project["dependencies"])
    extra = {file: main | _names(project["optional-dependencies"][name]) for file, name in EXTRAS.items()}
    distributions = packages_distributions()
    undeclared = set()
    for package in PACKAGES:
        for file in files(package):
            declared = next((declared for place, declared in extra.items() if file.is_relative_to(place)), main)
            undeclared |= {f"{file}: {name}" for name in outside(file) if not declared & set(distributions.get(name, ()))}
    assert undeclared == set()


def _names(requirements: list[str]) -> set[str]:
    """``kafka-python`` for ``kafka-python[crc32c]>=3``."""
    return {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in requirements}


def test_the_command_line_starts_without_what_is_slow() -> None:
    """`headrace --help` needs none of it."""
    program = (
        f"import sys; sys.argv = ['headrace', '--help']; import infra.cli; infra.cli.run(); print(set(sys.modules) & {set(SLOW)})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"


def test_no_package_knows_a_word_of_an_example() -> None:
    """Headrace is about events, keys and features; what they stand for is in examples/."""
    words = WORDS | {word for name in _names_of_examples() for word in _words(name)} - ORDINARY
    assert words >= {"fraud", "terminal", "customer", "bike", "station", "rain", "demand"}
    found = [
        f"{file}:{number}: {word}"
        for package in PACKAGES
        for kind in ("*.py", "*.java", "*.template")
        for file in sorted(files(package, kind))
        for number, line in enumerate((ROOT / file).read_text().splitlines(), 1)
        for word in _words(re.sub(OTHER_MEANINGS, "", line, flags=re.IGNORECASE))
        if word in words
    ]
    assert found == [], "\n".join(found)


def _names_of_examples() -> Iterator[str]:
    """Of the sources, columns, keys, views, features and services in the examples' definitions."""
    found = sorted(ROOT.glob("examples/*/definitions.py"))
    assert len(found) == 2
    for tree in (ast.parse(path.read_text()) for path in found):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):  # a view on demand, or a batch view
                yield node.name
            elif isinstance(node, ast.keyword) and node.arg in {"name", "topic", "join_keys", "column", "schema_json"}:
                texts = (part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant))
                yield from (text for text in texts if isinstance(text, str))


def _words(text: str) -> list[str]:
    """The words of a text, in lower case and the singular: also those within ``a_name`` and ``aName``."""
    return [word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)]
