"""What an on-demand function is: its text, and all that it reads of its module, so that the digest moves when its values may."""

from __future__ import annotations

import dis
import inspect
import re
import textwrap
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from features.errors import DefinitionError

TIMES = (date, datetime, time, timedelta, tzinfo)
AS_WRITTEN = (type(None), bool, int, float, complex, Decimal, str, bytes, range, re.Pattern, Enum, *TIMES)
"""What `repr` tells whole."""


def written(function: Any, where: str) -> str:
    """The text of ``function`` and, below it, the values and texts of what it reads from outside, by name.

    A library is told by its name alone. Raises `DefinitionError` for a value that cannot be told from another.
    """
    reading = _Reading(function.__globals__["__name__"], where)  # Feast says that it is of __main__
    reading.read(function)
    return "\n".join([_text(function), *sorted(reading.told)])


def _text(written: Any) -> str:
    return textwrap.dedent(inspect.getsource(written))


class _Reading:
    """Collects what the functions of a module read, those too that they call."""

    def __init__(self, module: str, where: str) -> None:
        self.told: list[str] = []
        self._module, self._where = module, where
        self._read: set[int] = set()
        """The functions and classes that were looked at: one may call itself."""

    def read(self, function: Any) -> None:
        """Add what a function reads: names of its module, what it closes over, and the defaults of its parameters."""
        if id(function) in self._read:
            return
        self._read.add(id(function))
        scope, given = function.__globals__, inspect.signature(function, follow_wrapped=False).parameters.values()
        found = [(name, scope[name]) for name in dict.fromkeys(_loaded(function.__code__)) if name in scope]
        found += [(one.name, one.default) for one in given if one.default is not one.empty]
        closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        found += [(name, cell.cell_contents) for name, cell in closed]
        self.told += [f"{function.__qualname__} reads {name} = {self._told(value, name)}" for name, value in found]

    def _told(self, value: Any, name: str) -> str:
        """A text that differs where the value does."""
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, FunctionType) and value.__globals__["__name__"] == self._module:
            self.read(value)
            return _text(value.__code__)
        if isinstance(value, type) and value.__module__ == self._module:
            self._read_class(value)
            return _text(value)
        if isinstance(value, np.ufunc):
            return f"numpy.{value.__name__}"
        if hasattr(value, "__qualname__"):  # a function or a class of a library, or a function of ours that one wraps
            inner = f" of {self._told(value.__wrapped__, name)}" if hasattr(value, "__wrapped__") else ""
            return f"{value.__module__}.{value.__qualname__}{inner}"
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

    def _read_class(self, of: type) -> None:
        """Add what a class of ours inherits, what its methods read, and the values that it has as attributes."""
        if id(of) in self._read:
            return
        self._read.add(id(of))
        self.told += [f"{of.__qualname__} is {self._told(base, base.__name__)}" for base in of.__bases__]
        for name, one in vars(of).items():
            methods = (one.fget, one.fset, one.fdel) if isinstance(one, property) else (getattr(one, "__func__", one),)
            for method in filter(inspect.isfunction, methods):
                self.read(method)
            if not name.startswith("_") and not hasattr(one, "__get__"):
                self.told.append(f"{of.__qualname__}.{name} = {self._told(one, name)}")


def _loaded(code: CodeType) -> Iterator[str]:
    """The names of a module that a function's code reads, that of functions and comprehensions in it too."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
        elif isinstance(step.argval, CodeType):
            yield from _loaded(step.argval)
