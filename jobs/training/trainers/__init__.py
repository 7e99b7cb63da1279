"""The trainers: a file each, which is named as the trainer is, with one function ``fit``.

``fit(x, labels, task, *, …) -> Fitted``: ``x`` is float32 [rows, inputs], NaN is null; ``labels`` doubles [rows]. The signature
says what the trainer can do: ``task`` is annotated with its tasks; keyword arguments are its parameters, each with its default.
One that takes lists as lists has a parameter ``sequences``, their places in the matrix, behind ``task``; one that can go on from
a model that it made has a parameter ``start``, that model's ONNX, behind these, and one that cannot may say why, as ``NO_START``.
A trainer that needs more than the extra ``train`` has a function ``check``, which raises `SettingError` where that is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import get_args, get_type_hints

from features.errors import SettingError
from jobs.training.config import TrainConfig
from jobs.training.fitted import Fitted

Parameters = Mapping[str, int | float]


def trainers() -> tuple[str, ...]:
    """The names of all trainers."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def parameters(trainer: str) -> dict[str, int | float]:
    """The parameters of a trainer, with its defaults."""
    keywords = inspect.signature(_fit(trainer)).parameters.values()
    return {keyword.name: keyword.default for keyword in keywords if keyword.kind is keyword.KEYWORD_ONLY}


def tasks(trainer: str) -> tuple[str, ...]:
    """The tasks that a trainer has."""
    return get_args(get_type_hints(_fit(trainer))["task"])


def takes_sequences(trainer: str) -> bool:
    """Whether a trainer is told which columns are lists."""
    return "sequences" in inspect.signature(_fit(trainer)).parameters


def takes_start(trainer: str) -> bool:
    """Whether a trainer can go on from a model that it made."""
    return "start" in inspect.signature(_fit(trainer)).parameters


def why_no_start(trainer: str) -> str:
    """Why a trainer cannot go on from a model that it made."""
    why: str = getattr(_module(trainer), "NO_START", "its fit has no parameter start")
    return why


def chosen(config: TrainConfig) -> tuple[Callable[..., Fitted], Parameters]:
    """What ``config`` says how to fit with, and all its parameters; one that `takes_sequences` is still to be given them.

    Raises `SettingError` for a trainer that there is none of, and a task or a parameter that it does not take.
    """
    name = config.trainer
    if name not in trainers():
        raise SettingError(f"a trainer is one of {', '.join(trainers())}; got '{name}'; take one of these")
    if config.task not in tasks(name):
        able = ", ".join(other for other in trainers() if config.task in tasks(other))
        raise SettingError(f"trainer '{name}' is for {' and '.join(tasks(name))}; got task '{config.task}'; take one of {able}")
    known = parameters(name)
    other = [parameter for parameter in config.parameters if parameter not in known]
    if other:
        raise SettingError(f"trainer '{name}' takes {', '.join(known)}; got {', '.join(other)}; leave it out")
    check: Callable[[], None] | None = getattr(_module(name), "check", None)
    if check is not None:
        check()
    whole = {**known, **config.parameters}
    return partial(_fit(name), task=config.task, **whole), whole


def _fit(name: str) -> Callable[..., Fitted]:
    fit: Callable[..., Fitted] = _module(name).fit
    return fit


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
