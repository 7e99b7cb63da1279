"""The rows that a model learns from and is tested on: their inputs, their labels, and which is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import SettingError
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.inputs.matrix import Floats
from features.inputs.signature import Task
from features.plan import Plan
from features.service import Service
from features.times import DAY_MS
from jobs.history.compute import Progress, compute
from jobs.history.places import Written
from jobs.history.rows_file import together
from jobs.history.served import PLAN, Record, stream_served
from jobs.training.config import TrainConfig
from jobs.training.fitted import Labels
from jobs.training.labels import labels_of, outcomes
from jobs.training.split import Split, rows_to_test, rows_to_train

Mask = npt.NDArray[np.bool_]


class Rows(msgspec.Struct, frozen=True):
    """The rows of all days of a split, in one order everywhere."""

    table: pa.Table
    """The spine's columns and the features, as `jobs.history.compute` gives them."""
    frame: pd.DataFrame
    """event_id, day, label and, where there is one, group, as `jobs.training.labels.outcomes` gives them."""
    known: pa.Table
    """All labels, as `jobs.training.labels.labels_of` gives them."""
    inputs: tuple[str, ...]
    x: Floats
    """[rows, inputs], NaN is null."""
    training: Mask
    """The rows of `rows_to_train`."""
    test: Mask
    """The rows of `rows_to_test`."""


def rows_of(
    service: Service,
    config: TrainConfig,
    split: Split,
    *,
    histories: Mapping[str, Written] | None = None,
    known_then: bool = True,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Rows:
    """The rows of ``split``, computed over history.

    Rows of the training days have the labels that were known as the test began; without ``known_then`` the newest. Raises
    `SettingError` where the days have no rows or, of a classification, rows of one class only.
    """
    known = labels_of(
        service, config.label, config.task, histories
    )  # what they have wrong is refused before minutes of computing
    table = compute(
        service,
        start_ms=split.first_day * DAY_MS,
        end_ms=split.end_day * DAY_MS,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    return _of_table(service.plan, config, split, table, known, known_then=known_then)


def rows_served(
    service: Service,
    config: TrainConfig,
    split: Split,
    records: Iterable[Record],
    *,
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
) -> Rows:
    """The rows of ``split`` with the values that a model was served, by the receipts in ``records``, predictions.

    Rows that no prediction of this plan has a receipt of are left out. Raises `SettingError` as `rows_of` does, and for a plan
    with a list among its inputs, whose receipts have its columns apart.
    """
    plan = service.plan
    inputs = input_columns(plan, plan.inputs)
    if inputs != tuple(plan.inputs):
        raise SettingError(
            f"receipts have a list as its columns, which production's inputs are not made of here; service '{service.name}' has "
            "one; leave out --from-served"
        )
    known = labels_of(service, config.label, config.task, histories)
    start_ms, end_ms = split.first_day * DAY_MS, split.end_day * DAY_MS
    found = stream_served(service, records, start_ms=start_ms, end_ms=end_ms, histories=histories, on_progress=on_progress)
    table = together(found)
    whole = table.filter(pc.equal(table[PLAN], plan.short_digest))  # null where a row has no receipt: left out too
    missing = [name for name in inputs if name not in whole.column_names]
    if missing or not whole.num_rows:
        raise SettingError(
            f"rows of plan {plan.short_digest} are learnt from as they were served; got receipts of it for {whole.num_rows:,} of "
            f"{table.num_rows:,} rows from {split.train_from} on; leave out --from-served, or take other days"
        )
    return _of_table(plan, config, split, whole, known)


def _of_table(
    plan: Plan, config: TrainConfig, split: Split, table: pa.Table, known: pa.Table, *, known_then: bool = True
) -> Rows:
    frame = outcomes(plan, table, known, config.group, split if known_then else None)
    inputs = input_columns(plan, plan.inputs)
    x = table_matrix(table, plan, inputs)
    training, test = rows_to_train(frame, split).to_numpy(), rows_to_test(frame, split, config).to_numpy()
    check_labels(
        frame["label"][training].to_numpy(),
        config.task,
        f"training from {split.train_from} for {split.days} days, by what was known as the test began",
    )
    check_labels(
        frame["label"][test].to_numpy(),
        config.task,
        f"test of {split.test_days} days, {split.days + split.delay_days} days later",
    )
    _check_finite(x[training | test], inputs)
    return Rows(table, frame, known, inputs, x, training, test)


def check_labels(labelled: Labels, task: Task, what: str, *, fix: str = "take other days") -> None:
    """Raises `SettingError` where a model cannot learn from these labels, or be tested on them: ``what`` they are of."""
    if task == "regression":
        if len(labelled) < 2:
            raise SettingError(f"a model needs two rows with a label; got {len(labelled)} in the {what}; {fix}")
        return
    if len(np.unique(labelled)) < 2:
        raise SettingError(
            f"a model needs rows labelled 0 and rows labelled 1; got {len(labelled)} rows, {int(labelled.sum())} of them "
            f"labelled 1, in the {what}; {fix}"
        )


def _check_finite(x: Floats, inputs: Sequence[str]) -> None:
    """Raises `SettingError` for an input that is too large."""
    infinite = np.isinf(x).sum(axis=0)
    if infinite.any():
        place = int(infinite.argmax())
        raise SettingError(
            f"a model's inputs are numbers that a float32 can hold, up to 3.4e38; got {infinite[place]} rows beyond in input "
            f"'{inputs[place]}'; compute it in another unit, or leave it out"
        )
