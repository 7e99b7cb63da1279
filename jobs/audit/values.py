"""What a service's features are, and their values in history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from features.inputs.arrow import input_arrays, to_list
from features.plan import BatchView, OnDemand, Plan, Stage, WindowFeature
from jobs.audit.served import Served

Kind = tuple[Stage, WindowFeature] | BatchView | OnDemand


def kinds_of(plan: Plan) -> dict[str, Kind]:
    """What each feature of the plan is."""
    found: dict[str, Kind] = {feature.name: (stage, feature) for stage in plan.windows for feature in stage.features}
    found |= {f"{view.view}__{output}": view for view in plan.on_demand for output in view.outputs}
    return found | {f"{view.view}__{name}": view for view in plan.batch for name in view.features}


def true_values(table: pa.Table, plan: Plan, names: Sequence[str]) -> dict[str, list[Any]]:
    """History's values of features, or of a list's columns, as the scorer has them."""
    arrays = input_arrays(table, plan, names) if names else {}
    return {name: to_list(pa.chunked_array([array])) for name, array in arrays.items()}


class Difference(NamedTuple):
    """A value that is not the true one."""

    served: Served
    row: int
    """Of the true values."""
    feature: str
    ours: Any
    theirs: Any
