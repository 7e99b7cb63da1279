"""The window contract, rules 1 to 5 and 7, computed in the slow obvious way. Every engine is held against this."""

from fractions import Fraction
from statistics import mean, pstdev, pvariance, stdev, variance
from typing import Any, NamedTuple

from features.plan import Stage, WindowFeature

NUMBERS = {"sum": sum, "mean": mean, "var_pop": pvariance, "var_samp": variance, "std_pop": pstdev, "std_samp": stdev}
VALUES = {"sum": sum, "min": min, "max": max, "first": lambda values: values[0], "last": lambda values: values[-1]}
VALUES |= {"count": len, "count_distinct": lambda values: len(set(values)), "last_n": list}


class Event(NamedTuple):
    """A row of a source; a list of them is in the order of arrival."""

    source: str
    time: int
    columns: dict[str, Any]


def vectors(stage: Stage, spine: str, events: list[Event]) -> list[dict[str, Any]]:
    """The features of every event of the spine."""
    return [{f.name: _feature(stage, f, events, n, e) for f in stage.features} for n, e in enumerate(events) if e.source == spine]


def _window(stage: Stage, feature: WindowFeature, events: list[Event], place: int, at: Event) -> list[Any]:
    inside = [
        (e.time, n, e.columns[feature.column])
        for n, e in enumerate(events)
        if e.source == stage.source and all(e.columns[key] == at.columns[key] for key in stage.key)
        if at.time - feature.window_ms < e.time and (e.time, n if e.source == at.source else 0) <= (at.time, place)
    ]
    return [value + 0.0 if isinstance(value, float) else value for *_, value in sorted(inside) if value is not None]


def _feature(stage: Stage, feature: WindowFeature, events: list[Event], place: int, at: Event) -> Any:
    row, parameter = feature.aggregation.row, feature.aggregation.parameter or 0
    known = _window(stage, feature, events, place, at)
    if row.empty is None and len(known) <= row.name.endswith("_samp"):
        return feature.fill
    if row.name == "mean" and not isinstance(known[0], float):
        unit = 1 if isinstance(known[0], int) else 10 ** -known[0].as_tuple().exponent
        return float(sum(known) * unit) / (len(known) * unit)
    if row.name in NUMBERS and (row.name != "sum" or float in map(type, known)):
        return float(NUMBERS[row.name](map(Fraction, known)))
    if row.name == "quantile":
        x = float(sorted(known)[int((parameter * len(known)).to_integral_value("ROUND_CEILING")) - 1])
        return x if abs(x) > 1e290 else x * (2**45 + 1) - (x * (2**45 + 1) - x)
    return VALUES[row.name](known[-int(parameter) :])
