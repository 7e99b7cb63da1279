"""On-demand functions of a bundle: their text, where it needs nothing but Python's own arithmetic."""

from __future__ import annotations

import ast
import inspect
import math
import symtable
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from features.errors import SettingError
from features.plan import OnDemand
from features.service import Function
from serving.edge.headrace_edge.on_demand import VIEWS

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
WAYS_OUT = frozenset({"format", "format_map"})
"""They reach any attribute, by a text."""
OF_VALUES = {name for kind in (int, float, str, list, dict, set, tuple, range, math) for name in dir(kind)}
ATTRIBUTES = frozenset(name for name in OF_VALUES - WAYS_OUT if not name.startswith("_"))
"""What a function may take of a value: nothing that leads to the frames, modules and classes behind it."""


def text_of(views: Iterable[OnDemand], functions: Mapping[str, Function]) -> bytes:
    """``functions.py``: the functions of ``views``, without decorators, the constants that they use, and the table of them.

    A view may be called as one of Python's own functions is, which its function or another calls. So the names in the file that
    are not the user's begin with two underscores, and a name of the user's that does is refused.

    Raises `SettingError` for a function that uses more: a device has no Feast, no pandas, no other module of the project.
    """
    constants: dict[str, str] = {}
    texts = []
    table = []
    for place, view in enumerate(views):
        tree = _tree(view, functions[view.view])
        for name, text in _globals(view, tree, functions[view.view]):
            if name in BUILTINS or constants.setdefault(name, text) != text:
                raise _refused(view, f"'{name}', which is something else in another function")
        tree.name = f"__{place}_{tree.name}"
        table.append(f"    {view.view!r}: {tree.name},")
        texts.append(ast.unparse(ast.fix_missing_locations(tree)))
    head = ['"""The on-demand functions of this bundle, as the project has them."""', "", "import math", ""]
    head += [f"{name} = {text}" for name, text in constants.items() if name != text]
    texts.append("\n".join([f"{VIEWS} = {{", *table, "}"]))
    return ("\n\n\n".join(["\n".join(head), *texts]) + "\n").encode()


def _tree(view: OnDemand, function: Function) -> ast.FunctionDef:
    try:
        found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise _refused(view, "a function whose text is not to be had") from None
    if not isinstance(found, ast.FunctionDef):
        raise _refused(view, "what is no plain 'def' of a function")
    if getattr(function, "__closure__", None):
        raise _refused(view, "values of the function around it")
    found.decorator_list = []
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    return found


def _globals(view: OnDemand, tree: ast.FunctionDef, function: Function) -> Iterator[tuple[str, str]]:
    """The constants of its module that a function uses, as text. Raises `SettingError` for anything else of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.ClassDef | ast.AsyncFunctionDef):
            raise _refused(view, f"'{ast.unparse(node).splitlines()[0]}'")
    module = getattr(function, "__globals__", {})
    for name in sorted(_free(tree)):
        value = module.get(name)
        if name in module and name.startswith("__"):
            raise _refused(view, f"'{name}' of its module")
        if value is math:
            yield name, "math"
        elif name in module:
            if type(value) not in CONSTANTS or (isinstance(value, float) and not math.isfinite(value)):
                raise _refused(view, f"'{name}' of its module")
            yield name, repr(value)
        elif name not in BUILTINS:
            raise _refused(view, f"'{name}'")
    for node in ast.walk(tree):
        attributes = [node.attr] if isinstance(node, ast.Attribute) else getattr(node, "kwd_attrs", [])  # case int(real=x)
        unknown = [name for name in attributes if name not in ATTRIBUTES]
        if unknown:
            raise _refused(view, f"'.{unknown[0]}'")
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            raise _refused(view, f"a new value of '.{node.attr}'")


def _free(tree: ast.FunctionDef) -> set[str]:
    """The names that a function takes from outside itself, scope by scope as Python has them.

    A name that is the function's own in one comprehension may be the module's in the next line.
    """
    found, tables = set(), [symtable.symtable(ast.unparse(ast.fix_missing_locations(tree)), "functions.py", "exec")]
    for table in tables:
        tables += table.get_children()
        outermost = table.get_type() == "module"
        found |= {one.get_name() for one in table.get_symbols() if one.is_referenced() and (one.is_global() or outermost)}
    return found


def _refused(view: OnDemand, came: str) -> SettingError:
    return SettingError(
        f"an on-demand function goes to a device where it uses its inputs, numbers and texts of its module, math, and Python's "
        f"own arithmetic and lists; '{view.view}' uses {came}; write it so, or train a model without it"
    )
