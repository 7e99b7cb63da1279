"""What happened after an event: its label, a column of a source's history, joined on the event id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import SettingError
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS
from jobs.history.files import connect
from jobs.history.tables import File, create_table

LABEL = "label"
"""The column that `with_label` adds."""


def labels(service: Service, label: str, histories: Mapping[str, Path] | None = None) -> pa.Table:
    """``event_id`` and ``label`` (double) of all history of the source in ``label``, ``<source>.<column>``.

    Of all, as a label is known later than its event's time. The source is any of the project, the spine too. Raises
    `SettingError` for an unknown source, and for what is no finite number.
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
        table = rows.to_arrow_table().rename_columns(["event_id", LABEL])
    values = table[LABEL].to_numpy()
    endless = values[~np.isfinite(values)]
    if len(endless):
        raise SettingError(f"a label is a finite number; got {endless[0]:g} in {label} ({len(endless)} rows); fix them")
    return table


def with_label(service: Service, table: pa.Table, label: str, histories: Mapping[str, Path] | None = None) -> pa.Table:
    """``table``, which has the spine's event ids, and a column `LABEL`, null where none is known; of several the last counts."""
    if LABEL in table.column_names:
        raise SettingError(f"the label is the file's column '{LABEL}'; source '{service.plan.spine}' has one too; rename that")
    known = labels(service, label, histories)
    newest = dict(zip(known["event_id"].to_pylist(), known[LABEL].to_pylist(), strict=True))
    found = [newest.get(event) for event in table[service.plan.spine_source.event_id].to_pylist()]
    return table.append_column(LABEL, pa.array(found, pa.float64()))
