"""Functions of on-demand views as Feast's registry gives them back: from their text alone."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from features.definitions import definitions_file
from features.errors import SettingError


def whole(folder: Path, view: Any) -> Callable[..., Any]:
    """The function of an on-demand view from a registry, with the imports and constants of its module that it uses.

    Feast 0.67 reads its text back without them. They are those of the project's definitions.py, where that has the same function.
    Raises `SettingError` where it does not.
    """
    function: Callable[..., Any] = view.feature_transformation.udf
    missing = _globals_of(function.__code__) - {*function.__globals__, *vars(builtins)}
    if not missing:
        return function
    if (folder / definitions_file.NAME).is_file():
        for one in vars(definitions_file.run(folder)).values():
            if getattr(one, "name", None) == view.name and one.udf_string == view.feature_transformation.udf_string:
                own: Callable[..., Any] = one.feature_transformation.udf
                return own
    raise SettingError(
        f"on-demand view '{view.name}': a registry of Feast's has the text of its function, without what it uses of its module; "
        f"got {', '.join(sorted(missing))}, and no definitions.py with the same function; run 'feast apply'"
    )


def _globals_of(code: CodeType) -> set[str]:
    """The global names that a function uses, and those within it."""
    own = {str(step.argval) for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return own.union(*(_globals_of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
