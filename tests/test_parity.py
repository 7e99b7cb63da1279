"""The comparison of stream and batch: it finds what differs, and excuses only what a late row explains."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from features.errors import SettingError
from features.plan import Column, ColumnType, Plan, Source, WindowFeature, Windows
from jobs.parity import Published, compare
from schemas import FeatureVector, Origin

pytestmark = pytest.mark.core


def _source(name: str, kind: str) -> Source:
    columns = (
        Column("id", ColumnType("int64")),
        Column("at", ColumnType("timestamp")),
        Column("key", ColumnType("int64")),
        Column("value", ColumnType(kind)),  # type: ignore[arg-type]
    )
    return Source(name, name, columns, "at", "id", f"{name}.parquet", 0)


def _plan(kind: str = "int64", function: str = "count") -> Plan:
    windows = Windows("labels", ("key",), (WindowFeature("risk__n", function, "value", 1000),))
    sources = (_source("events", "int64"), _source("labels", kind))
    return Plan("s", "events", sources, (windows,), (), (), ("risk__n",), "arrival", 0)


def _vector(value: Any, arrived: int = 5_000) -> FeatureVector:
    origin = Origin("events", 0, 0)
    return FeatureVector(1, 2_000, "p", origin, arrived, True, {"id": 1, "at": 2_000, "key": 7, "value": 0}, {"risk__n": value})


def _batch(value: Any, event: int = 1) -> pa.Table:
    return pa.table({"id": [event], "risk__n": [value]})


def test_equal_values_do_not_differ() -> None:
    """Nothing is counted where stream and batch agree, on null too."""
    for value in (3, None):
        (stage,) = compare(_plan(), _batch(value), [_vector(value)]).stages
        assert (stage.values, stage.differing) == (1, 0)


def test_a_difference_is_unexplained_by_itself() -> None:
    """A value that differs, with every row published long before, is a defect and is shown."""
    parity = compare(_plan(), _batch(3), [_vector(2)], {"labels": {(7,): [Published(1_500, 100)]}})
    assert parity.unexplained == 1
    assert "event 1 risk__n: stream 2, batch 3" in parity.stages[0].examples[0]


@pytest.mark.parametrize(
    ("row", "explained"), [((1_500, 5_001), 1), ((1_500, 4_500), 1), ((1_500, 3_999), 0), ((1_000, 9_000), 0)]
)
def test_a_late_row_of_the_window_explains(row: tuple[int, int], explained: int) -> None:
    """A row within the window, published after the event or under a second before it, explains a difference; another doesn't."""
    (stage,) = compare(_plan(), _batch(3), [_vector(2)], {"labels": {(7,): [Published(*row)]}}).stages
    assert (stage.differing, stage.explained) == (1, explained)


def test_nothing_is_excused_in_event_time_mode() -> None:
    """Without the other sources' rows, each difference is a defect."""
    assert compare(_plan(), _batch(3), [_vector(2)]).unexplained == 1


def test_only_sums_and_means_of_floats_may_be_an_ulp_off() -> None:
    """Rule 7: 1e-12 relative for those; to the bit for all else."""
    close = 1.0 + 2**-50
    assert compare(_plan("float64", "mean"), _batch(1.0), [_vector(close)]).unexplained == 0
    assert compare(_plan("float64", "max"), _batch(1.0), [_vector(close)]).unexplained == 1
    assert compare(_plan("int64", "mean"), _batch(1.0), [_vector(close)]).unexplained == 1
    assert compare(_plan("float64", "mean"), _batch(1.0), [_vector(1.0 + 1e-11)]).unexplained == 1


def test_an_event_without_batch_row_is_refused() -> None:
    """A vector that the batch lacks would pass unseen."""
    with pytest.raises(SettingError, match="there is none for 1"):
        compare(_plan(), _batch(3, event=2), [_vector(3)])
