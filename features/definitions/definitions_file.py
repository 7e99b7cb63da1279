"""A project's ``definitions.py``, run as Python by its path."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from features.errors import DefinitionError

NAME = "definitions.py"


class _AsItIsNow(SourceFileLoader):
    """Python believes what it compiled before where the file has the same length and second: 1h that became 2h would stay 1h."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def find(folder: Path) -> Path:
    """The file in ``folder``; raises `DefinitionError` where there is none."""
    path = folder / NAME
    if not path.is_file():
        raise DefinitionError(f"a project has a definitions.py; {folder} has none; give --project DIR")
    return path


def run(folder: Path) -> ModuleType:
    """The module that the file in ``folder`` makes.

    Whoever may write the file may run code here. Raises `DefinitionError` with the line that failed.
    """
    path = find(folder)
    loader = _AsItIsNow("headrace_definitions", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # noqa: S101 - there is one where there is a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Feast reads functions' sources through it
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # what the file prints is no part of what a command gives
        warnings.simplefilter("ignore")
        try:
            loader.exec_module(module)
        except (Exception, SystemExit) as error:
            line, text = _where(error, path)
            where, fix = (f" on line {line}", "fix that line") if line else ("", "fix the file")
            beside = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
            if beside and ((folder / f"{beside}.py").is_file() or (folder / beside).is_dir()):
                fix = f"definitions are one file, and import packages that are installed: move into it what {beside} has"
            raise DefinitionError(f"{path} is run as Python; got {type(error).__name__}{where}: {text}; {fix}") from error
    return module


def _where(error: BaseException, path: Path) -> tuple[int | None, str]:
    """The line of the file that an error comes from, None where it comes from none, and its message in one line."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno, error.msg
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines or [None])[-1], (str(error).splitlines() or [""])[0]
