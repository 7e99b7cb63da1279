"""What a service's features are, and their values in history."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.inputs.arrow import input_arrays, to_list
from features.plan import BatchView, OnDemand, Plan, Stage, WindowFeature
from jobs.audit.served import Served

Kind = tuple[Stage, WindowFeature] | BatchView | OnDemand
Near = Callable[[Any, Any], bool]


def kinds_of(plan: Plan) -> dict[str, Kind]:
    """What each feature of the plan is."""
    found: dict[str, Kind] = {feature.name: (stage, feature) for stage in plan.windows for feature in stage.features}
    found |= {f"{view.view}__{output}": view for view in plan.on_demand for output in view.outputs}
    return found | {f"{view.view}__{name}": view for view in plan.batch for name in view.features}


def true_values(table: pa.Table, plan: Plan, names: Sequence[str]) -> dict[str, list[Any]]:
    """History's values of features, or of a list's columns, as a receipt has them."""
    arrays = input_arrays(table, plan, names) if names else {}
    return {name: in_json(to_list(pa.chunked_array([array]))) for name, array in arrays.items()}


def in_json(values: Sequence[Any]) -> list[Any]:
    """Values as JSON has them: null for NaN and infinities, which an on-demand function may give.

    >>> in_json([1, 0.5, None, math.nan, math.inf])
    [1, 0.5, None, None, None]
    """
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


class Difference(NamedTuple):
    """A value that is not the true one."""

    served: Served
    row: int
    """Of the true values."""
    feature: str
    ours: Any
    theirs: Any


def near_of(plan: Plan, kind: Kind | None) -> Near:
    """Whether values that are not equal are as near as rule 7 says, or are the same in the 32 bits of a batch feature."""
    if isinstance(kind, BatchView):
        return _same_in_32_bits
    if isinstance(kind, tuple):
        stage, feature = kind
        relative = feature.aggregation.relative(plan.source(stage.source).column(feature.column).type)
        return lambda ours, theirs: _within(ours, theirs, relative)
    return lambda ours, theirs: False


def _within(ours: Any, theirs: Any, relative: float) -> bool:
    if not relative or ours is None or theirs is None:
        return False
    return bool(abs(ours - theirs) <= relative * max(abs(ours), abs(theirs)))


def _same_in_32_bits(ours: Any, theirs: Any) -> bool:
    """A Float32 of Feast's comes back from the online store as such, and history has it as it was computed."""
    return isinstance(ours, float) and isinstance(theirs, float) and float(np.float32(theirs)) == ours
