"""On-demand functions for a browser: the text of ``functions.py`` as a module of JavaScript that computes the same.

A whole number is a BigInt and a double a number, so that both are what they are in Python; each operator and function is one of
``browser/python.js`` or ``browser/math.js``, with Python's rules. Names get a ``$``, so that none is a word of JavaScript's.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable

from features.errors import SettingError
from serving.edge.functions import BUILTINS

BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floorDivide",
    ast.Mod: "modulo",
    ast.Pow: "power",
}
COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal({}, {})",
    ast.NotEq: "!py.equal({}, {})",
    ast.Lt: "less({}, {})",
    ast.Gt: "less({1}, {0})",
    ast.LtE: "atMost({}, {})",
    ast.GtE: "atMost({1}, {0})",
    ast.Is: "same({}, {})",
    ast.IsNot: "!py.same({}, {})",
    ast.In: "has({1}, {0})",
    ast.NotIn: "!py.has({1}, {0})",
}
CALLED = frozenset(
    ("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "float", "int", "len", "list", "max", "min", "pow", "range")
) | {"reversed", "round", "sorted", "sum", "tuple", "zip"}
"""Of `serving.edge.functions.BUILTINS`, those that ``python.js`` has."""
MOST = {"int": 1, "pow": 2}
"""Arguments of those that take one more in Python: a base, a modulus."""
CONSTANTS = frozenset({"e", "inf", "nan", "pi", "tau"})
MATH = (
    frozenset(("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "copysign", "cos", "cosh", "exp", "expm1"))
    | frozenset(
        ("fabs", "floor", "fmod", "fsum", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "pow", "radians", "sin")
    )
    | {"sinh", "sqrt", "tan", "tanh", "trunc"}
)
METHODS = frozenset({"append", "get", "items", "keys", "values"})
"""Of lists and dicts."""
HEAD = """// The on-demand functions of this bundle, as functions.py has them.

import { math } from "./browser/math.js";
import * as py from "./browser/python.js";
"""


def translated(text: bytes) -> bytes:
    """``functions.js`` of what `serving.edge.functions.text_of` gave. Raises `SettingError` for what has no translation."""
    constants, functions, exported, math = [], [], [], {"math"}
    nodes = ast.parse(text).body
    views = {ast.unparse(function): ast.literal_eval(view) for view, function in _table(nodes) if view}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id="math")):
                math.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.UnaryOp() as value):
                constants.append(f"const ${name} = {_Function(name, math).value(value)};")
            case ast.FunctionDef(name=name):
                functions.append(_Function(views[name], math).text(node))
                exported.append(f"  [{json.dumps(views[name])}, ${name}],")
    return "\n".join([HEAD, *constants, *functions, "export const functions = new Map([", *exported, "]);", ""]).encode()


def _table(nodes: list[ast.stmt]) -> list[tuple[ast.expr | None, ast.expr]]:
    """The views with their functions: the one dict among the constants."""
    (found,) = [node.value for node in nodes if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
    return list(zip(found.keys, found.values, strict=True))


class _Function:
    """Writes one function, of ``view``; ``math`` are the names that the module has in this file."""

    def __init__(self, view: str, math: set[str]) -> None:
        self._view, self._math = view, math
        self._names = 0

    def text(self, node: ast.FunctionDef) -> str:
        """The function, as a declaration."""
        given = self._arguments(node, node.args)
        own = [f"${name}" for name in _assigned(node.body) if f"${name}" not in given]
        lines = [f"let {', '.join(own)};"] if own else []
        lines += [line for one in node.body for line in self._statement(one)]
        body = "\n".join(f"  {line}" for line in [*lines, "return null;"])
        return f"function ${node.name}({', '.join(given)}) {{\n{body}\n}}"

    def _arguments(self, node: ast.AST, of: ast.arguments) -> list[str]:
        if of.defaults or of.vararg or of.kwarg or of.kwonlyargs:
            raise self._refused(node, "an argument with a default, * or **")
        return [self._name(node, one.arg) for one in (*of.posonlyargs, *of.args)]

    def _statement(self, node: ast.stmt) -> list[str]:
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return []
            case ast.Expr(value=value):
                return [f"{self.value(value)};"]
            case ast.Return(value=value):
                return [f"return {'null' if value is None else self.value(value)};"]
            case ast.Assign(targets=[target], value=value):
                return self._assign(target, self.value(value))
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                return self._assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                return self._assign(target, f"py.{self._operator(node, op)}(${target.id}, {self.value(value)})")
            case ast.If(test=test, body=body, orelse=orelse):
                lines = [f"if ({self._truth(test)}) {{", *self._block(body)]
                return [*lines, *(["} else {", *self._block(orelse)] if orelse else []), "}"]
            case ast.While(test=test, body=body, orelse=[]):
                return [f"while ({self._truth(test)}) {{", *self._block(body), "}"]
            case ast.For(target=target, iter=iterated, body=body, orelse=[]):
                one = self._new()
                start = [f"  {line}" for line in self._assign(target, one)]
                return [f"for (const {one} of py.each({self.value(iterated)})) {{", *start, *self._block(body), "}"]
            case ast.Break():
                return ["break;"]
            case ast.Continue():
                return ["continue;"]
            case ast.FunctionDef(name=name):
                return [f"{self._name(node, name)} = {self.text(node)};"]
        raise self._refused(node, f"'{ast.unparse(node).splitlines()[0]}'")

    def _block(self, body: Iterable[ast.stmt]) -> list[str]:
        return [f"  {line}" for one in body for line in self._statement(one)]

    def _assign(self, target: ast.expr, value: str) -> list[str]:
        match target:
            case ast.Name(id=name):
                return [f"{self._name(target, name)} = {value};"]
            case ast.Tuple() | ast.List():
                names, shape = self._pattern(target)
                return [f"{names} = py.unpacked({value}, {shape});"]
            case ast.Subscript(value=of, slice=place) if not isinstance(place, ast.Slice):
                return [f"py.put({self.value(of)}, {self.value(place)}, {value});"]
        raise self._refused(target, f"'{ast.unparse(target)} ='")

    def _pattern(self, target: ast.expr) -> tuple[str, str]:
        """Names to be unpacked into, and their shape: ``[$a, [$b, $c]]`` and ``[0, [0, 0]]``."""
        match target:
            case ast.Name(id=name):
                return self._name(target, name), "0"
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = [self._pattern(one) for one in targets]
                return f"[{', '.join(names for names, _ in parts)}]", f"[{', '.join(shape for _, shape in parts)}]"
        raise self._refused(target, f"'{ast.unparse(target)} ='")

    def _truth(self, node: ast.expr) -> str:
        return f"py.truth({self.value(node)})"

    def value(self, node: ast.expr) -> str:
        """An expression."""
        match node:
            case ast.Constant(value=value):
                return self._constant(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"!{self._truth(operand)}"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"py.negative({self.value(operand)})"
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return f"py.positive({self.value(operand)})"
            case ast.BinOp(left=left, op=op, right=right):
                return f"py.{self._operator(node, op)}({self.value(left)}, {self.value(right)})"
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return f"py.{name}({', '.join(f'() => {self._result(one)}' for one in values)})"
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compared(node, left, ops, comparators)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return f"({self._truth(test)} ? {self.value(body)} : {self.value(orelse)})"
            case ast.List(elts=values) | ast.Tuple(elts=values):
                return f"[{', '.join(map(self.value, values))}]"
            case ast.Dict(keys=keys, values=values) if all(isinstance(k, ast.Constant) and type(k.value) is str for k in keys):
                pairs = [f"[{self.value(k)}, {self.value(v)}]" for k, v in zip(keys, values, strict=True) if k is not None]
                return f"new Map([{', '.join(pairs)}])"
            case ast.ListComp(elt=one, generators=generators):
                made = self._new()
                inner = self._comprehension(generators, f"{made}.push({self.value(one)});")
                return f"(() => {{ const {made} = []; {inner} return {made}; }})()"
            case ast.DictComp(key=key, value=value, generators=generators):
                made = self._new()
                inner = self._comprehension(generators, f"py.put({made}, {self.value(key)}, {self.value(value)});")
                return f"(() => {{ const {made} = new Map(); {inner} return {made}; }})()"
            case ast.GeneratorExp(elt=one, generators=generators):
                return f"(function* () {{ {self._comprehension(generators, f'yield {self.value(one)};')} }})()"
            case ast.Subscript(value=of, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                ends = ("null" if end is None else self.value(end) for end in (lower, upper))
                return f"py.slice({self.value(of)}, {', '.join(ends)})"
            case ast.Subscript(value=of, slice=place) if not isinstance(place, ast.Slice):
                return f"py.at({self.value(of)}, {self.value(place)})"
            case ast.Lambda(args=arguments, body=body):
                return f"(({', '.join(self._arguments(node, arguments))}) => {self._result(body)})"
            case ast.Call(
                func=ast.Name(id="zip"),
                args=args,
                keywords=[ast.keyword(arg="strict", value=ast.Constant(value=bool() as strict))],
            ):
                return f"py.{'zipStrict' if strict else 'zip'}({', '.join(map(self.value, args))})"
            case ast.Call(func=ast.Name(id=name), args=args) if len(args) > MOST.get(name, len(args)):
                raise self._refused(node, f"'{ast.unparse(node)}'")
            case ast.Call(func=func, args=args, keywords=[]) if not any(isinstance(one, ast.Starred) for one in args):
                return f"{self._called(func)}({', '.join(map(self.value, args))})"
            case ast.Attribute(value=ast.Name(id=of), attr=name) if of in self._math and name in CONSTANTS:
                return f"math.{name}"
        raise self._refused(node, f"'{ast.unparse(node)}'")

    def _result(self, node: ast.expr) -> str:
        """An expression behind an arrow: a brace would begin a block there."""
        return f"({self.value(node)})"

    def _constant(self, node: ast.expr, value: object) -> str:
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, int):
            return f"{value}n"
        if isinstance(value, float):
            return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(value), repr(value))
        if isinstance(value, str):
            return json.dumps(value)
        raise self._refused(node, f"'{value!r}'")

    def _compared(self, node: ast.expr, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> str:
        """``a < b < c`` computes b once: where it is more than a name, it is refused."""
        found, before = [], self.value(left)
        for place, (op, comparator) in enumerate(zip(ops, comparators, strict=True)):
            if isinstance(op, ast.Is | ast.IsNot) and not (
                isinstance(comparator, ast.Constant) and (comparator.value is None or isinstance(comparator.value, bool))
            ):
                raise self._refused(node, f"'{ast.unparse(node)}'")
            if place + 1 < len(ops) and not isinstance(comparator, ast.Name | ast.Constant):
                raise self._refused(node, f"'{ast.unparse(node)}'")
            value = self.value(comparator)
            text = COMPARED[type(op)].format(before, value)
            found.append(text if text.startswith("!") else f"py.{text}")
            before = value
        return found[0] if len(found) == 1 else f"({' && '.join(found)})"

    def _comprehension(self, generators: list[ast.comprehension], innermost: str) -> str:
        """The loops of a comprehension; ``innermost`` is what they do with a value."""
        opened: list[str] = []
        for generator in generators:
            item = self._new()
            names = _targets(generator.target)
            opened += [f"for (const {item} of py.each({self.value(generator.iter)})) {{ let {', '.join(f'${n}' for n in names)};"]
            opened += self._assign(generator.target, item)
            opened += [f"if (!{self._truth(test)}) continue;" for test in generator.ifs]
        return " ".join([*opened, innermost, "}" * len(generators)])

    def _called(self, func: ast.expr) -> str:
        """What is called."""
        match func:
            case ast.Name(id=name) if name in CALLED:
                return f"py.{name}"
            case ast.Name(id=name):
                return self._name(func, name)
            case ast.Attribute(value=ast.Name(id=of), attr=name) if of in self._math and name in MATH:
                return f"math.{name}"
            case ast.Attribute(value=of, attr=name) if name in METHODS:
                return f"py.{name}Of({self.value(of)})"
        raise self._refused(func, f"'{ast.unparse(func)}'")

    def _operator(self, node: ast.AST, op: ast.operator) -> str:
        if type(op) not in BINARY:
            raise self._refused(node, f"'{ast.unparse(node).splitlines()[0]}'")
        return BINARY[type(op)]

    def _name(self, node: ast.AST, name: str) -> str:
        if name in BUILTINS or name in self._math:
            raise self._refused(node, f"'{name}'")
        return f"${name}"

    def _new(self) -> str:
        self._names += 1
        return f"_{self._names}"

    def _refused(self, node: ast.AST, came: str) -> SettingError:
        return SettingError(
            "an on-demand function goes to a browser where it is assignments, conditions, loops, arithmetic, comprehensions, "
            f"lists, dicts, and functions of Python and math that a browser has; '{self._view}' uses {came}; write it so, or "
            "export with --runner python"
        )


def _targets(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _assigned(body: Iterable[ast.stmt]) -> list[str]:
    """The names that a function gives values, in its own scope: not those of its inner functions and comprehensions."""
    found: dict[str, None] = {}
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef):
            found[node.name] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = None
        elif not isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return list(found)
