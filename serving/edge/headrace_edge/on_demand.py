"""On-demand functions: those of ``functions.py``, called with columns of one value, and what they give checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import EdgeError, UnscorableError
from .events import typed
from .plan import OnDemand

VIEWS = "__views"
"""The table in ``functions.py``, a function by view: whatever a view is called, no name in the file is that of a view."""
Function = Callable[[dict[str, list[Any]]], Mapping[str, Any]]


def load(content: bytes, views: tuple[OnDemand, ...]) -> dict[str, Function]:
    """The functions in a file whose sha256 is the manifest's, by view."""
    names: dict[str, Any] = {}
    exec(compile(content, "functions.py", "exec"), names)  # noqa: S102 - the user's own code, checked when it was exported
    functions: dict[str, Function] = names.get(VIEWS, {})
    missing = [view.view for view in views if view.view not in functions]
    if missing:
        raise EdgeError(f"functions.py has a function for each on-demand view; got none for {missing[0]}; export the model again")
    return functions


def call(view: OnDemand, function: Function, event: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """The view's features of one event, by full name, of its columns. Raises `UnscorableError` where the function fails on it."""
    given = {column.name: [typed(column, event[column.name])] for column in view.event_inputs}
    given.update({seen: [features[full]] for seen, full in view.feature_inputs})
    try:
        made = function(given)
        found = {f"{view.view}__{output}": made[output][0] for output in view.outputs}
    except Exception as error:  # the user's code: it may raise anything
        raise UnscorableError(f"on-demand view '{view.view}': {type(error).__name__}: {error}") from None
    for name, value in found.items():
        if value is not None and type(value) not in (int, float, bool):
            raise UnscorableError(f"on-demand view '{view.view}': {name} is a number or None; got {type(value).__name__}")
    return found
