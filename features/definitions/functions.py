"""What an on-demand function is: its text, and all that it reads of its module, so that the digest moves when its values may."""

from __future__ import annotations

import dis
import inspect
import re
import textwrap
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from features.errors import DefinitionError

MOMENTS = (date, datetime, time, timedelta)
AS_WRITTEN = (type(None), bool, int, float, complex, Decimal, str, bytes, range, re.Pattern, Enum, *MOMENTS)
"""What `repr` tells whole."""


def written(function: Any, where: str) -> str:
    """The text of ``function`` and, below it, the values and texts of what it reads from outside, by name.

    A library is told by its name alone. Raises `DefinitionError` for a value that cannot be told from another.
    """
    reading = _Reading(function.__globals__["__name__"], where)  # Feast says that it is of __main__
    reading.read(function)
    return "\n".join([_text(function), *(f"{name} = {text}" for name, text in sorted(reading.found.items()))])


def _text(written: Any) -> str:
    return textwrap.dedent(inspect.getsource(written))


class _Reading:
    """Collects what the functions of a module read, those too that they call."""

    def __init__(self, module: str, where: str) -> None:
        self.found: dict[str, str] = {}
        self._module, self._where = module, where

    def read(self, function: Any) -> None:
        """Add what a function reads: names of its module, what it closes over, and the defaults of its parameters."""
        names = dict.fromkeys(_loaded(function.__code__))
        for name in names:
            if name in function.__globals__ and name not in self.found:
                self.found[name] = ""  # a function may call itself
                self.found[name] = self._told(function.__globals__[name], name)
        own = {name: one.default for name, one in inspect.signature(function).parameters.items()}
        closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, value in {**own, **{name: cell.cell_contents for name, cell in closed}}.items():
            if value is not inspect.Parameter.empty:
                self.found[f"{function.__qualname__}.{name}"] = self._told(value, name)

    def _told(self, value: Any, name: str) -> str:
        """A text that differs where the value does."""
        value = inspect.unwrap(value) if callable(value) else value
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, FunctionType | type) and value.__module__ == self._module:
            for method in [value] if isinstance(value, FunctionType) else filter(inspect.isfunction, vars(value).values()):
                self.read(method)
            return _text(value)
        if isinstance(value, FunctionType | type | BuiltinFunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
            return f"{value.dtype}{np.shape(value)} {value.tobytes().hex()}"
        if isinstance(value, list | tuple | set | frozenset | dict):
            items = [self._told(one, name) for one in value]
            if isinstance(value, dict):
                items = [f"{key}: {self._told(one, name)}" for key, one in zip(items, value.values(), strict=True)]
            return f"{type(value).__name__}({', '.join(sorted(items) if isinstance(value, set | frozenset) else items)})"
        if isinstance(value, AS_WRITTEN):
            return repr(value)
        raise DefinitionError(
            f"{self._where}: what its function reads is part of the plan, so that no model is given other values than it has "
            f"learnt; got '{name}', a {type(value).__name__}; write numbers, texts, lists or dicts, or read a batch view"
        )


def _loaded(code: CodeType) -> Iterator[str]:
    """The names of a module that a function's code reads, that of functions and comprehensions in it too."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
        elif isinstance(step.argval, CodeType):
            yield from _loaded(step.argval)
