"""The methods of compression: a file each, which is named as the method is, with one function ``compress``.

``compress(candidate, learnt, *, …) -> Candidate``: keyword arguments are its parameters, each with a default and annotated
``str``, ``int``, ``float``, ``bool``, a ``Literal`` of texts, or one of these ``| None``; the docstring's first line is its help.
The function adds its step, with all its parameters, to `Candidate.steps`; it raises `RefusedError` where the model cannot gain by
it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from features.errors import SettingError
from jobs.compress.candidate import Candidate, Method

KIND = "kind"
"""A parameter of this name says which of several methods of one family it is: without a recipe, each of them is tried."""
NONE = "none"
TRUTHS = {"true": True, "false": False}


def methods() -> tuple[str, ...]:
    """The names of all methods."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def parameters(method: str) -> dict[str, Any]:
    """The parameters of a method, with its defaults."""
    keywords = inspect.signature(_compress(method)).parameters.values()
    return {keyword.name: keyword.default for keyword in keywords if keyword.kind is keyword.KEYWORD_ONLY}


def described(method: str) -> str:
    """What a method does: the first line of its docstring."""
    return (inspect.getdoc(_compress(method)) or "").partition("\n")[0]


def kinds(method: str) -> tuple[str, ...]:
    """The values of a method's parameter `KIND`; none where it has no such parameter."""
    return _choices(get_type_hints(_compress(method)).get(KIND))


def bind(method: str, given: Mapping[str, str]) -> Method:
    """``method`` with these parameters, given as texts, and its defaults for the others.

    Raises `SettingError` for a method that there is none of, and a parameter or a value that it does not take.
    """
    if method not in methods():
        raise SettingError(f"a method is one of {', '.join(methods())}; got '{method}'; take one of these")
    known, hints = parameters(method), get_type_hints(_compress(method))
    other = [name for name in given if name not in known]
    if other:
        takes = f"takes {', '.join(known)}" if known else "takes no parameters"
        raise SettingError(f"method '{method}' {takes}; got {', '.join(other)}; leave it out")
    read = {name: _value(f"{method}:{name}", text, hints[name]) for name, text in given.items()}
    return partial(_compress(method), **{**known, **read})


def text_of(value: Any) -> str:
    """A parameter's value as a recipe has it.

    >>> text_of(True), text_of(None), text_of(0.5), text_of("static")
    ('true', 'none', '0.5', 'static')
    """
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def texts_of(**values: Any) -> dict[str, str]:
    """Parameters, and what a method notes beside them, as its step has them."""
    return {name: text_of(value) for name, value in values.items()}


def _value(what: str, text: str, kind: Any) -> Any:
    """The value of ``text`` as a parameter annotated ``kind``. Raises `SettingError` where it is none."""
    options = [one for one in get_args(kind) if one is not NoneType] if get_origin(kind) is not Literal else []
    if options:
        if text == NONE and NoneType in get_args(kind):
            return None
        kind = options[0]
    choices = _choices(kind)
    if choices:
        if text not in choices:
            raise SettingError(f"{what} is one of {', '.join(choices)}; got '{text}'; take one of these")
        return text
    if kind is bool:
        if text not in TRUTHS:
            raise SettingError(f"{what} is true or false; got '{text}'; write one of these")
        return TRUTHS[text]
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(f"{what} is {'a whole number' if kind is int else 'a number'}; got '{text}'; write one")
    return value


def _choices(kind: Any) -> tuple[str, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _compress(method: str) -> Callable[..., Candidate]:
    found: Callable[..., Candidate] = import_module(f"{__name__}.{method}").compress
    return found
