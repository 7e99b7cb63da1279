"""Feast's checks of its arguments, compiled in a fifth of the time. To be imported before Feast.

Feast decorates its classes with typeguard's ``@typechecked``, which parses, walks and compiles the whole module of a method for
each method: 242 times in an import, 2.3 s of 5. Here a module is parsed once, and only what a method lies in is walked.
The checks are the same, to the byte (``tests/features/feast/test_typechecks.py``).
"""

from __future__ import annotations

import ast
from copy import copy, deepcopy
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from typeguard import _decorators
from typeguard._transformer import TypeguardTransformer

FITS = ("4.6.0",)
"""The versions of typeguard whose source this was read from; with any other an import is as slow as it is by itself."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _OfOneMethod(TypeguardTransformer):
    """Walks no other method than the target."""

    def visit_Module(self, node: ast.Module) -> ast.Module:  # noqa: N802 - ast's name
        node.body = _with(node.body, self._target_path or ())
        return super().visit_Module(node)


def _with(body: list[ast.stmt], path: tuple[str, ...]) -> list[ast.stmt]:
    """Copies of what a body consists of, and of its definitions only those on the path."""
    kept: list[ast.stmt] = []
    for one in body:
        if not isinstance(one, DEFINITIONS):
            kept.append(deepcopy(one))
        elif one.name == path[0]:
            shallow = copy(one)
            shallow.body = _with(one.body, path[1:]) if len(path) > 1 else deepcopy(one.body)
            kept.append(shallow)
    return kept


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _parse(source: str) -> ast.Module:
    """A module of its own, with the nodes of all that have this source."""
    return ast.Module(list(_parsed(source).body), [])


if version("typeguard") in FITS:
    _changed: Any = _decorators
    _changed.ast = SimpleNamespace(parse=_parse, unparse=ast.unparse)
    _changed.TypeguardTransformer = _OfOneMethod
