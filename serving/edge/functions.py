"""On-demand functions of a bundle: their text, where it needs nothing but Python's own arithmetic."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from features.errors import SettingError
from features.plan import OnDemand
from features.service import Function

BUILTINS = frozenset(
    f.__name__
    for f in (
        *(abs, all, any, bool, dict, divmod, enumerate, filter, float, int, isinstance, len, list, map, max, min, pow, range),
        *(reversed, round, set, sorted, str, sum, tuple, zip),
        *(ArithmeticError, Exception, LookupError, OverflowError, TypeError, ValueError, ZeroDivisionError),
    )
)
"""What a function may call of Python's own: nothing that reads, writes, imports or runs text."""
CONSTANTS = (int, float, str, bool, type(None))


def text_of(views: Iterable[OnDemand], functions: Mapping[str, Function]) -> bytes:
    """``functions.py``: the functions of ``views`` under their names, without decorators, and the constants that they use.

    Raises `SettingError` for a function that uses more: a device has no Feast, no pandas, no other module of the project.
    """
    constants: dict[str, Any] = {}
    texts = []
    for view in views:
        tree = _tree(view, functions[view.view])
        for name, value in _globals(view, tree, functions[view.view]):
            if constants.setdefault(name, value) is not value and constants[name] != value:
                raise _refused(view, f"'{name}', which another function uses with another value")
        tree.name = view.view
        texts.append(ast.unparse(ast.fix_missing_locations(tree)))
    head = ['"""The on-demand functions of this bundle, as the project has them."""', "", "import math"]
    head += [f"{name} = {value!r}" for name, value in constants.items()]
    return ("\n\n\n".join(["\n".join(head), *texts]) + "\n").encode()


def _tree(view: OnDemand, function: Function) -> ast.FunctionDef:
    try:
        found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise _refused(view, "a function whose text is not to be had") from None
    if not isinstance(found, ast.FunctionDef) or not view.view.isidentifier():
        raise _refused(view, "what is no plain 'def' of a function")
    if getattr(function, "__closure__", None):
        raise _refused(view, "values of the function around it")
    found.decorator_list, found.returns = [], None
    for argument in (*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs):
        argument.annotation = None
    return found


def _globals(view: OnDemand, tree: ast.FunctionDef, function: Function) -> Iterator[tuple[str, Any]]:
    """The constants of its module that a function uses. Raises `SettingError` for anything else of it."""
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    module = getattr(function, "__globals__", {})
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.ClassDef | ast.AsyncFunctionDef):
            raise _refused(view, f"'{ast.unparse(node).splitlines()[0]}'")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise _refused(view, f"'.{node.attr}'")
        if not isinstance(node, ast.Name) or node.id in own:
            continue
        if node.id in module:
            value = module[node.id]
            if value is math:
                continue
            if not isinstance(value, CONSTANTS) or (isinstance(value, float) and not math.isfinite(value)):
                raise _refused(view, f"'{node.id}' of its module")
            yield node.id, value
        elif node.id not in BUILTINS:
            raise _refused(view, f"'{node.id}'")


def _refused(view: OnDemand, came: str) -> SettingError:
    return SettingError(
        f"an on-demand function goes to a device where it uses its inputs, numbers and texts of its module, math, and Python's "
        f"own arithmetic and lists; '{view.view}' uses {came}; write it so, or train a model without it"
    )
