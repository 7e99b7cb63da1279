"""How good scores are on the days after training, by the Fraud Detection Handbook's protocol, whoever made them.

Train on some days, leave out those whose frauds are not yet known, test on the days after, without the cards whose fraud was
known by then (chapter 3, "Baseline fraud detection system").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from features.errors import SettingError
from features.plan import Plan, Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS, DAY_MS
from jobs.history.files import connect
from jobs.history.tables import File, create_table
from jobs.training.metrics import Numbers, auc, average_precision, card_precision
from jobs.training.split import Split


class Labels(BaseModel):
    """Where the label is, and whom an investigator looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(pattern=r"^\w+\.\w+$")
    """``<source>.<column>``: 0 or 1, in another source's history, joined on the event id."""
    group: str
    """A column of the spine: who an investigator looks at, a card or a customer."""
    group_top: int = Field(default=100, ge=1)
    """How many of them a day."""


def assess(service: Service, config: Labels, split: Split, table: pa.Table, scores: Mapping[Any, float]) -> dict[str, float]:
    """The metrics of ``scores``, by event id, on the test rows of ``split``; ``table`` has the spine's rows of all its days.

    Raises `SettingError` where a test row has no score.
    """
    frame = outcomes(service.plan, config, table, labels(service, config))
    test = frame[rows_to_test(frame, split)]
    missing = [event for event in test["event_id"] if event not in scores]
    if missing:
        raise SettingError(
            f"each test row has a score; {len(missing)} have none, event {missing[0]} is the first; score them all"
        )
    found = np.array([scores[event] for event in test["event_id"]])
    return metrics(test, found, config)


def metrics(test: pd.DataFrame, scores: Numbers, config: Labels) -> dict[str, float]:
    """AUC, average precision and the cards' precision of the rows of `outcomes`, scored in their order."""
    known = test["label"].to_numpy(np.int64)
    return {
        "auc": auc(known, scores),
        "average_precision": average_precision(known, scores),
        f"card_precision_{config.group_top}": card_precision(test.assign(score=scores), config.group_top),
    }


def positives(service: Service, config: Labels) -> frozenset[Any]:
    """The ids of the events that are labelled 1."""
    table = labels(service, config)
    return frozenset(table.filter(table["label"].to_numpy() == 1)["event_id"].to_pylist())


def label_source(service: Service, config: Labels) -> Source:
    """The source that has the label, any of the project."""
    name, _, column = config.label.partition(".")
    if name not in service.sources:
        known = ", ".join(sorted(service.sources))
        raise SettingError(f"a label is a column of a source, '<source>.<column>'; got '{config.label}'; the sources are {known}")
    source = service.sources[name]
    source.column(column)
    return source


def labels(service: Service, config: Labels, histories: Mapping[str, Path] | None = None) -> pa.Table:
    """Event id and label of all the source's history: a label is known later than its event's time."""
    source, column = label_source(service, config), config.label.partition(".")[2]
    history = (histories or {}).get(source.name, service.folder / source.history)
    with connect() as connection:
        required = {source.event_id, column}
        create_table(connection, source, [File(history)], required | {source.time}, ALWAYS)
        return connection.sql(
            f"SELECT {quoted(source.event_id)} AS event_id, CAST({quoted(column)} AS BIGINT) AS label FROM {quoted(source.name)}"
        ).to_arrow_table()


def outcomes(plan: Plan, config: Labels, table: pa.Table, labels: pa.Table) -> pd.DataFrame:
    """A row for each row of ``table``, in its order: key, day (since 1970) and label, NaN where none is known."""
    plan.spine_source.column(config.group)
    rows = pd.DataFrame(
        {
            "event_id": table[plan.spine_source.event_id].to_numpy(),
            "key": table[config.group].to_numpy(),
            "day": table[plan.spine_source.time].to_numpy() // DAY_MS,
        }
    )
    known = labels.to_pandas().drop_duplicates("event_id", keep="last")
    bad = known[~known["label"].isin([0, 1])]
    if len(bad):
        raise SettingError(f"a label is 0 or 1; got {bad['label'].iloc[0]} in {config.label} ({len(bad)} rows); mend them")
    return rows.merge(known, on="event_id", how="left", validate="many_to_one")


def rows_to_train(frame: pd.DataFrame, split: Split) -> pd.Series[bool]:
    """The training days' rows that have a label; ``frame`` has key, day and label."""
    return (frame["day"] < split.first_day + split.days) & frame["label"].notna()


def rows_to_test(frame: pd.DataFrame, split: Split) -> pd.Series[bool]:
    """The test days' rows of those keys that had no fraud known by then.

    Known are the frauds of the training days and, as a fraud is found ``delay_days`` later, with each test day those of
    one more day after training.
    """
    frauds = frame[frame["label"] == 1]
    known = set(frauds["key"][frauds["day"] < split.first_day + split.days])
    test = pd.Series(data=False, index=frame.index)
    for number in range(split.test_days):
        known |= set(frauds["key"][frauds["day"] == split.first_day + split.days + number - 1])
        test |= (frame["day"] == split.first_test_day + number) & ~frame["key"].isin(known)
    return test & frame["label"].notna()
