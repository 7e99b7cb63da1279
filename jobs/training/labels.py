"""What happened after an event: its label, a column of a source's history, joined on the event id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.plan import Plan
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS, DAY_MS
from jobs.history.files import connect
from jobs.history.tables import File, create_table
from jobs.training.config import Task


def labels(service: Service, label: str, task: Task, histories: Mapping[str, Path] | None = None) -> pa.Table:
    """``event_id`` and ``label`` (double) of all history of the source in ``label``, ``<source>.<column>``.

    Of all, as a label is known later than its event's time. The source is any of the project, the spine too. Raises
    `SettingError` for an unknown source, and for values that are no labels of the task.
    """
    name, _, column = label.partition(".")
    if name not in service.sources:
        known = ", ".join(sorted(service.sources))
        raise SettingError(f"a label is a column of a source, '<source>.<column>'; got '{label}'; the sources are {known}")
    source = service.sources[name]
    kind = source.column(column).type.kind
    if kind in ("string", "timestamp"):
        raise SettingError(f"a label is a number; got '{label}' of type {kind}; name a column of numbers or booleans")
    history = (histories or {}).get(name, service.folder / source.history)
    with connect() as connection:
        required = {source.event_id, source.time, column}
        create_table(connection, source, [File(history)], required, ALWAYS, service.event_times)
        rows = connection.sql(f"SELECT {quoted(source.event_id)}, CAST({quoted(column)} AS DOUBLE) FROM {quoted(name)}")
        table = rows.to_arrow_table().rename_columns(["event_id", "label"])
    _check(table["label"].to_numpy(), label, task)
    return table


def _check(values: np.ndarray[Any, np.dtype[np.float64]], label: str, task: Task) -> None:
    """Raises `SettingError` for the first value that is no label of the task."""
    fits = np.isfinite(values) if task == "regression" else (values == 0) | (values == 1)
    other = values[~fits]
    if not len(other):
        return
    came = f"got {other[0]:g} in {label} ({len(other)} rows)"
    if task == "regression":
        raise SettingError(f"a label of a regression is a finite number; {came}; fix them")
    raise SettingError(f'a label of a classification is 0 or 1; {came}; fix them, or set task = "regression"')


def positives(service: Service, label: str) -> frozenset[Any]:
    """The ids of the events that are labelled 1."""
    table = labels(service, label, "classification")
    return frozenset(table.filter(table["label"].to_numpy() == 1)["event_id"].to_pylist())


def outcomes(plan: Plan, table: pa.Table, known: pa.Table, group: str | None) -> pd.DataFrame:
    """A row for each row of ``table``, in its order: event_id, day (since 1970) and label, NaN where ``known`` has none.

    ``table`` has the spine's columns, ``known`` is as `labels` gives it; ``group``, a column of the spine, is the column group.
    """
    spine = plan.spine_source
    columns = {"event_id": table[spine.event_id].to_numpy(), "day": table[spine.time].to_numpy() // DAY_MS}
    if group is not None:
        columns["group"] = table[spine.column(group).name].to_numpy()
    newest = known.to_pandas().drop_duplicates("event_id", keep="last")
    return pd.DataFrame(columns).merge(newest, on="event_id", how="left", validate="many_to_one")
