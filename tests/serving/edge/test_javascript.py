"""On-demand functions as JavaScript: in Chromium they give what they give in Python, and what has no translation is refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import SettingError
from features.plan import OnDemand
from serving.edge.functions import text_of
from serving.edge.headrace_edge import on_demand
from serving.edge.javascript import translated
from tests.serving.edge.pages import Harness

pytestmark = pytest.mark.slow

LIMIT, RATE = 250, 0.25


def arithmetic(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Operators, of ints, floats and both."""
    made = {"sum": [], "share": [], "whole": [], "rest": [], "power": [], "less": [], "not_more": []}
    for a, b in zip(inputs["a"], inputs["b"], strict=True):
        made["sum"].append(a + b * 2 - LIMIT)
        made["share"].append(a / b if b else None)
        made["whole"].append(a // b if b != 0 else RATE)
        made["rest"].append(a % b if not b == 0 else -a)  # noqa: SIM201
        made["power"].append((a // 1) ** 2)  # of other floats, a power may differ in its last bit
        made["less"].append(a < b or a > 3 * b)
        made["not_more"].append(0 <= a <= b)
    return made


def functions_of_python(inputs: Any) -> Any:
    """Built-in functions, comprehensions and a function of its own."""

    def middle(values: Any) -> Any:
        ordered = sorted(values)
        return ordered[len(ordered) // 2]

    a, b = inputs["a"][0], inputs["b"][0]
    pairs = [(x, y) for x in (a, b) for y in [1, 2.5, -3] if x != y]
    total = 0
    for place, (x, y) in enumerate([(one, two) for one, two in pairs]):
        if place > 4:
            break
        total += max(x, y, 0) - min([x, y])
    low = a if a < b else b
    while low < -1000:
        low //= 7
    return {
        "middle": [middle([a, b, 3])],
        "total": [total],
        "rounded": [round(a)],
        "to_cents": [round(a, 2)],
        "int": [int(b)],
        "float": [float(a)],
        "bool": [bool(a) and not b],
        "any": [any(x is None for x in [a, b]) or all([a, b])],
        "count": [sum(1 for x, y in pairs if x < y) + len(pairs) + sum(range(1, 10, 3))],
        "ends": [pairs[-1][0] + [a, b, 1, 2][1:3][0]],
        "low": [low],
        "divided": [divmod(a, 7)[1]],
        "abs": [abs(-a)],
    }


def functions_of_math(inputs: Any) -> Any:
    """Those of math that every engine gives the same bits."""
    a, b = inputs["a"][0], inputs["b"][0]
    return {
        "root": [math.sqrt(abs(a))],
        "down": [math.floor(a)],
        "up": [math.ceil(b)],
        "cut": [math.trunc(a)],
        "finite": [math.isfinite(a) and not math.isnan(b)],
        "fsum": [math.fsum([a, b, 0.1, -b])],
        "sign": [math.copysign(2, b)],
        "rest": [math.fmod(a, 3)],
        "turn": [math.pi * 2 - math.tau],
    }


def what_is_there_once(inputs: Any) -> Any:
    """Generators and the like, which are empty once they were gone over, and compute no more than is wanted."""
    a, b = inputs["a"][0], inputs["b"][0]
    pairs, ones, turned = zip([a, b], [b, a], strict=False), (x for x in [a, b, 1]), reversed([a, b])
    numbered = enumerate([a, b], 3)
    return {
        "pairs": [sum(1 for x, y in pairs if x == x or y)],
        "no_pairs": [sum(1 for x, y in pairs)],
        "most": [max(ones)],
        "no_ones": [len(list(ones))],
        "turned": [min(turned)],
        "no_turned": [len(list(turned))],
        "numbered": [sum(place for place, one in numbered)],
        "not_numbered": [any(numbered)],
        "any": [any(1 // x > 0 for x in [1, 0, a])],
        "all": [all(x is not None and x > 0 for x in [-1, None, "a"])],
        "is_truth": [bool(a) or bool(x for x in [])],
        "repeated": [([a, b] * 2)[2]],
        "none": [len(3 * "ab" * 0)],
    }


def of_dicts(inputs: Any) -> Any:
    """Copies and comprehensions of dicts; a copy is another dict, and of equal keys the last counts."""
    rows = [("x", inputs["a"][0]), ("y", 1), ("x", inputs["b"][0])]
    pairs, copy, name = dict(rows), dict(inputs), "x"
    copy["a"] = [0, 0]
    made = {name: [one if one != 0 else 7 for one in values] for name, values in inputs.items() if name != "b"}
    made["size"] = [len(pairs) + len(dict()) + len(inputs["a"])]  # noqa: C408
    made[name] = [pairs["x"]]
    return dict(zip(["x", "a", "n"], [made["x"], made["a"], made["size"]], strict=True))


def with_the_length_of_a_generator(inputs: Any) -> Any:
    """What raises in Python, here if a is above 0."""
    a, b = inputs["a"][0], inputs["b"][0]
    ones = (x for x in [a, b])
    return {"x": [len(ones) if a > 0 else (ones[0] if b > 0 else 1)]}


NUMBER = (
    st.integers(-(2**60), 2**60)
    | st.integers(-9, 9)
    | st.floats(-1e6, 1e6)
    | st.sampled_from((0.5, 2.5, -0.0, 1e300, True, math.nan, math.inf, -math.inf))
)


TRANSLATED = [
    arithmetic,
    functions_of_python,
    functions_of_math,
    of_dicts,
    what_is_there_once,
    with_the_length_of_a_generator,
]


@pytest.mark.parametrize("function", TRANSLATED)
def test_a_function_gives_what_it_gives_in_python(function: Any, js: Harness) -> None:
    """Ints and floats as Python has them: types, signs of zero and all bits; what raises there throws here."""
    name = function.__name__
    view = OnDemand(name, ("a", "b"), (), ("x",), "")
    written = text_of([view], {name: function})
    (js.folder / f"{name}.js").write_bytes(translated(written))
    python = on_demand.load(written, (view,))[name]

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=40))
    def holds(rows: list[tuple[Any, Any]]) -> None:
        given = [{"a": [type(a).__name__, repr(a)], "b": [type(b).__name__, repr(b)]} for a, b in rows]
        said = js.call("called", f"/{name}.js", name, given)
        assert said == [in_python(python, a, b) for a, b in rows]

    holds()


def named_otherwise(inputs: Any) -> Any:
    """Calls functions of Python and of math, whose names views may have."""
    return {"x": [max(abs(round(a)), 3) + math.floor(b) for a, b in zip(inputs["a"], inputs["b"], strict=True)]}


def test_no_name_of_a_view_is_one_of_its_functions(js: Harness) -> None:
    """A view may be called as what its function calls, as a word of Python's or JavaScript's, or as nothing that is a name."""
    names = ("max", "abs", "math", "floor", "class", "function", "constructor", "__proto__", "__views", "py", "a view")
    views = [OnDemand(name, ("a", "b"), (), ("x",), "") for name in names]
    written = text_of(views, dict.fromkeys(names, named_otherwise))
    (js.folder / "names.js").write_bytes(translated(written))
    python = on_demand.load(written, tuple(views))
    for name in names:
        assert python[name]({"a": [-7], "b": [2.5]}) == {"x": [9]}
        assert js.call("called", "/names.js", name, [{"a": ["int", "-7"], "b": ["float", "2.5"]}]) == [[["x", ["int", "9"]]]]


def in_python(function: Any, a: Any, b: Any) -> Any:
    """What a function gives: a type and a text for each output, a double's bits."""
    try:
        made = function({"a": [a], "b": [b]})
    except Exception:  # as in a page, where it throws
        return None
    return [[name, printed(value)] for name, (value,) in made.items()]


def printed(value: Any) -> list[str]:
    """A value with its type."""
    if isinstance(value, float):
        if math.isnan(value):
            return ["float", "nan"]
        return ["float", str(struct.unpack("<q", struct.pack("<d", value))[0])]
    return [type(value).__name__.removesuffix("Type"), str(value).lower() if isinstance(value, bool) else str(value)]


def with_a_default(inputs: Any) -> Any:
    """An argument with a default."""

    def plus(x: Any, y: int = 1) -> Any:
        return x + y

    return {"y": [plus(x) for x in inputs["x"]]}


def with_a_set(inputs: Any) -> Any:
    """Distinct values."""
    return {"y": [len(set(inputs["x"]))]}


def with_a_pattern(inputs: Any) -> Any:
    """A pattern."""
    match inputs["x"]:
        case [x]:
            return {"y": [x]}


def with_a_key(inputs: Any) -> Any:
    """An argument by name."""
    return {"y": [max(inputs["x"], key=abs)]}


def with_a_function_as_a_value(inputs: Any) -> Any:
    """A function handed on."""
    return {"y": list(map(abs, inputs["x"]))}


def with_bits(inputs: Any) -> Any:
    """An operator of bits."""
    return {"y": [x & 1 for x in inputs["x"]]}


def with_is(inputs: Any) -> Any:
    """Identity of numbers."""
    return {"y": [x is LIMIT for x in inputs["x"]]}


def with_a_base(inputs: Any) -> Any:
    """A second argument that a browser's int has not."""
    return {"y": [int("10", 2) + x for x in inputs["x"]]}


def with_a_modulus(inputs: Any) -> Any:
    """A third argument."""
    return {"y": [pow(x, 2, 7) for x in inputs["x"]]}


def with_a_name_of_python(inputs: Any) -> Any:
    """A function of its own that has the name of one of Python's."""

    def round(x: Any) -> Any:  # noqa: A001
        return x // 10

    return {"y": [round(x) for x in inputs["x"]]}


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (with_a_default, "an argument with a default"),
        (with_a_set, "'set'"),
        (with_a_pattern, "'match inputs['x']:'"),
        (with_a_key, "'max(inputs['x'], key=abs)'"),
        (with_a_function_as_a_value, "'map'"),
        (with_bits, "'x & 1'"),
        (with_is, "'x is LIMIT'"),
        (with_a_base, "'int('10', 2)'"),
        (with_a_modulus, "'pow(x, 2, 7)'"),
        (with_a_name_of_python, "'round'"),
    ],
)
def test_a_function_that_has_no_translation_is_refused(function: Any, what: str) -> None:
    """One line says what it uses, and what to do; Python's runner takes it."""
    view = OnDemand(function.__name__, ("x",), (), ("y",), "")
    with pytest.raises(SettingError) as refused:
        translated(text_of([view], {view.view: function}))
    assert f"'{view.view}' uses {what}" in str(refused.value)
    assert "export with --runner python" in str(refused.value)
