"""The labels that a model learns, beside the rows that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.inputs.signature import Task
from features.plan import Plan
from features.service import Service
from features.times import DAY_MS
from jobs.history.labels import labels
from jobs.history.places import Written


def labels_of(service: Service, label: str, task: Task, histories: Mapping[str, Written] | None = None) -> pa.Table:
    """`jobs.history.labels.labels`; raises `SettingError` where they are none of the task."""
    table = labels(service, label, histories)
    values = table["label"].to_numpy()
    other = values[(values != 0) & (values != 1)]
    if task == "classification" and len(other):
        raise SettingError(
            f"a label of a classification is 0 or 1; got {other[0]:g} in {label} ({len(other)} rows); fix them, or set "
            f'task = "regression" in [train.{service.name}]'
        )
    return table


def positives(service: Service, label: str) -> frozenset[Any]:
    """The ids of the events that are labelled 1."""
    table = labels_of(service, label, "classification")
    return frozenset(table.filter(table["label"].to_numpy() == 1)["event_id"].to_pylist())


def outcomes(plan: Plan, table: pa.Table, known: pa.Table, group: str | None) -> pd.DataFrame:
    """A row for each row of ``table``, in its order: event_id, day (since 1970) and label, NaN where ``known`` has none.

    ``table`` has the spine's columns, ``known`` is as `labels_of` gives it; ``group`` is a column of the spine.
    """
    spine = plan.spine_source
    columns = {"event_id": table[spine.event_id].to_numpy(), "day": table[spine.time].to_numpy() // DAY_MS}
    if group is not None:
        columns["group"] = table[spine.column(group).name].to_numpy()
    newest = known.to_pandas().drop_duplicates("event_id", keep="last")
    return pd.DataFrame(columns).merge(newest, on="event_id", how="left", validate="many_to_one")
