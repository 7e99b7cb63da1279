"""The functions of windows, one each: what it makes of the values that are not null, in their order (rules 4, 5 and 7).

Whole numbers and decimals, as whole numbers of units, are added exactly. Doubles are added to the nearest double (Shewchuk,
"Adaptive Precision Floating-Point Arithmetic", 1997, as ``math.fsum`` does); a variance is a quotient of whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .errors import UnscorableError
from .plan import DIGITS, Feature

LARGEST = 1e290
"""Beyond it a quantile is not rounded."""
BITS = 2.0**45 + 1
"""Rounds a double to eight significant bits (Veltkamp's splitting)."""


def result(feature: Feature, values: Sequence[Any]) -> Any:
    """The feature of a window with these ``values``, nulls left out. Raises `UnscorableError` for what no double holds."""
    if len(values) < LEAST.get(feature.function, 1):
        return EMPTY[feature.function](feature) if feature.function in EMPTY else feature.fill
    try:
        return FUNCTIONS[feature.function](feature, values)
    except OverflowError:
        raise UnscorableError(f"{feature.name} is beyond a double") from None


def _exact(feature: Feature, value: int) -> Any:
    """A whole number of units as the column's own type."""
    return Decimal(value).scaleb(-feature.column.scale, DIGITS) if feature.column.kind == "decimal" else value


def _sum(feature: Feature, values: Sequence[Any]) -> Any:
    return _double_sum(values) if feature.column.kind == "float64" else _exact(feature, sum(values))


def _double_sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:  # on the way, maybe, not in the end
        return float(sum(map(Fraction, values)))


def _mean(feature: Feature, values: Sequence[Any]) -> float:
    if feature.column.kind != "float64":
        return float(sum(values)) / float(len(values) * 10**feature.column.scale)
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return float(sum(map(Fraction, values)) / len(values))


def _variance(feature: Feature, values: Sequence[Any], less: int) -> float:
    """(n Σx² - (Σx)²) / (n (n - less)), in whole numbers, divided once."""
    wholes, unit = values, 10**feature.column.scale
    if feature.column.kind == "float64":
        ratios = [value.as_integer_ratio() for value in values]
        unit = max(denominator for _, denominator in ratios)  # powers of two
        wholes = [numerator * (unit // denominator) for numerator, denominator in ratios]
    n, total = len(values), sum(wholes)
    return float((n * sum(value * value for value in wholes) - total * total) / (n * (n - less) * unit * unit))


def _quantile(feature: Feature, values: Sequence[Any]) -> float:
    numerator, denominator = feature.parameter or (1, 2)
    place = max(1, -(-numerator * len(values) // denominator))
    found = sorted(values)[place - 1]
    x: float = found if feature.column.kind == "float64" else found / 10**feature.column.scale
    x = float(x)
    return x if abs(x) > LARGEST else x * BITS - (x * BITS - x)


def _last_n(feature: Feature, values: Sequence[Any]) -> list[Any]:
    count = (feature.parameter or (1, 1))[0]
    return [_exact(feature, value) for value in values[-count:]]


FUNCTIONS: dict[str, Callable[[Feature, Sequence[Any]], Any]] = {
    "count": lambda feature, values: len(values),
    "count_distinct": lambda feature, values: len(set(values)),
    "sum": _sum,
    "mean": _mean,
    "min": lambda feature, values: _exact(feature, min(values)),
    "max": lambda feature, values: _exact(feature, max(values)),
    "var_pop": lambda feature, values: _variance(feature, values, 0),
    "var_samp": lambda feature, values: _variance(feature, values, 1),
    "std_pop": lambda feature, values: math.sqrt(_variance(feature, values, 0)),
    "std_samp": lambda feature, values: math.sqrt(_variance(feature, values, 1)),
    "first": lambda feature, values: _exact(feature, values[0]),
    "last": lambda feature, values: _exact(feature, values[-1]),
    "last_n": _last_n,
    "quantile": _quantile,
}
LEAST = {"var_samp": 2, "std_samp": 2}
"""How many values a function needs at least, where that is not one."""
EMPTY: dict[str, Callable[[Feature], Any]] = {
    "count": lambda feature: 0,
    "count_distinct": lambda feature: 0,
    "sum": lambda feature: 0.0 if feature.column.kind == "float64" else _exact(feature, 0),
    "last_n": lambda feature: [],
}
"""What an empty window is, where that is not null or the fill value (rule 4)."""
