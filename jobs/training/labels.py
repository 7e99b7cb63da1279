"""The labels that a model learns, beside the rows that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import SettingError
from features.inputs.signature import Task
from features.plan import Plan
from features.service import Service
from features.times import DAY_MS
from jobs.history.labels import labels
from jobs.history.places import Written
from jobs.training.split import Split


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


def outcomes(plan: Plan, table: pa.Table, known: pa.Table, group: str | None, split: Split | None = None) -> pd.DataFrame:
    """A row for each row of ``table``, in its order: event_id, day (since 1970) and label, NaN where ``known`` has none.

    ``table`` has the spine's columns, ``known`` is as `labels_of` gives it; ``group`` is a column of the spine. The rows of the
    training days of ``split`` have the labels that were known as its test began: no model can have learnt from others by then.
    """
    spine = plan.spine_source
    columns = {"event_id": table[spine.event_id].to_numpy(), "day": table[spine.time].to_numpy() // DAY_MS}
    if group is not None:
        columns["group"] = table[spine.column(group).name].to_numpy()
    frame = pd.DataFrame(columns)
    found = frame.assign(label=labels_known(frame["event_id"], known))
    if split is None:
        return found
    then = labels_known(frame["event_id"], known, split.first_test_day * DAY_MS)
    return found.assign(label=np.where(frame["day"] < split.first_day + split.days, then, found["label"]))


def labels_known(events: pd.Series[Any], known: pa.Table, before_ms: int | None = None) -> npt.NDArray[np.float64]:
    """The label of each of ``events``, ids, as known before a time (UTC milliseconds; None: ever); NaN: none. The last counts."""
    of = known if before_ms is None else known.filter(pc.less(known["known_at"], before_ms))
    newest = of.select(["event_id", "label"]).to_pandas().drop_duplicates("event_id", keep="last")
    merged = events.to_frame("event_id").merge(newest, on="event_id", how="left", validate="many_to_one")
    return merged["label"].to_numpy(np.float64)
