"""Batch prediction: the features of history, and a score for each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.errors import DefinitionError
from features.inputs.columns import input_columns, list_columns
from features.plan import Plan
from features.service import Service
from jobs.history.compute import Progress, compute, floats

Floats = npt.NDArray[np.float32]
Scores = Callable[[Floats], Floats]
"""[n, inputs] → [n], as `serving.models.registry.scores` gives them of a session."""
BATCH = 65_536
NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)


def score_history(
    service: Service,
    scores: Scores,
    *,
    inputs: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Path | None = None,
    histories: Mapping[str, Path] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> pa.Table:
    """What `jobs.history.compute.compute` gives, and ``score``; ``inputs`` are the model's, by default the plan's."""
    table = compute(
        service,
        start_ms=start_ms,
        end_ms=end_ms,
        events=events,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    plan = service.plan
    x = matrix(flat(table, plan), input_columns(plan, plan.inputs if inputs is None else inputs))
    parts = [scores(x[first : first + BATCH]) for first in range(0, len(x), BATCH)]
    return table.append_column("score", pa.array(np.concatenate([np.empty(0, np.float32), *parts])))


def flat(table: pa.Table, plan: Plan) -> pa.Table:
    """``table`` with its lists as the columns that they are to a model, null where a list is shorter."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for column, (feature, place) in list_columns(plan).items():
        if feature in table.column_names:
            columns[column] = _at(table[feature].combine_chunks(), place)
    lists = {feature for feature, _ in list_columns(plan).values()}
    return pa.table({name: column for name, column in columns.items() if name not in lists})


def _at(lists: pa.ListArray, place: int) -> pa.Array:
    """Of each list the value at ``place`` from its end."""
    offsets = lists.offsets.to_numpy()
    places = offsets[1:] + place
    return lists.values.take(pa.array(places, mask=places < offsets[:-1]))


def matrix(table: pa.Table, inputs: Sequence[str]) -> Floats:
    """The model's inputs as [rows, inputs]; null is NaN, as it is to the scorer."""
    missing = [name for name in inputs if name not in table.column_names]
    if missing:
        raise DefinitionError(
            f"a model's inputs are features of its service; got {', '.join(missing)}; "
            "use the model with its own service, or train one for this"
        )
    columns = floats(table.select(list(inputs)))
    x = np.empty((table.num_rows, len(inputs)), np.float32)
    for place, column in enumerate(columns.columns):
        if not any(is_a(column.type) for is_a in NUMBERS):
            raise DefinitionError(
                f"a model's inputs are numbers; got '{inputs[place]}' of type {column.type}; make a number of it on demand"
            )
        with np.errstate(over="ignore"):
            x[:, place] = column.cast(pa.float64()).to_numpy()
    return x
