"""The comparison of stream and batch: it finds what differs, and excuses only what a late row explains."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest

from features.errors import SettingError
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from jobs.audit.parity import Ledger, compare, ledger_of
from schemas import FeatureVector, LateRow, Origin

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
    windows = Stage("labels", ("key",), (WindowFeature("risk__n", function, "value", 1000),))
    sources = (_source("events", "int64"), _source("labels", kind))
    return Plan("s", "events", sources, (windows,), (), (), ("risk__n",), "arrival", 0)


def _vector(value: Any) -> FeatureVector:
    origin = Origin("events", 0, 0)
    return FeatureVector(1, 2_000, "p", origin, 5_000, True, {"id": 1, "at": 2_000, "key": 7, "value": 0}, {"risk__n": value})


def _batch(value: Any, event: int = 1) -> pa.Table:
    return pa.table({"id": [event], "risk__n": [value]})


def test_equal_values_do_not_differ() -> None:
    """Nothing is counted where stream and batch agree, on null too."""
    for value in (3, None):
        (stage,) = compare(_plan(), _batch(value), [_vector(value)]).stages
        assert (stage.values, stage.differing) == (1, 0)


def _ledger(*times: int, key: int = 7, view: str = "risk", changed: int = 1, counted: bool = True) -> Ledger:
    """Late labels of these times, one entry each."""
    origins = [Origin("labels", 0, place) for place in range(len(times))]
    entries = [
        LateRow(view, "labels", origin, time, 10, 1, changed, counted) for time, origin in zip(times, origins, strict=True)
    ]
    rows = {origin: {"id": 5, "at": time, "key": key, "value": 1} for time, origin in zip(times, origins, strict=True)}
    return ledger_of(_plan(), entries, rows)


def test_a_difference_is_unexplained_by_itself() -> None:
    """A value that differs, with no row that came late, is a defect and is shown."""
    parity = compare(_plan(), _batch(3), [_vector(2)])
    assert parity.unexplained == 1
    assert "event 1 risk__n: stream 2, batch 3" in parity.stages[0].examples[0]


@pytest.mark.parametrize(("time", "explained"), [(1_000, 0), (1_001, 1), (2_000, 1), (2_001, 0)])
def test_a_late_row_of_the_window_explains(time: int, explained: int) -> None:
    """A row in (t - window, t] that the ledger has explains a difference; one beside it doesn't."""
    (stage,) = compare(_plan(), _batch(3), [_vector(2)], _ledger(time)).stages
    assert (stage.differing, stage.explained) == (1, explained)
    assert len(stage.examples) == 1 - explained


def test_late_rows_of_other_keys_and_views_explain_nothing() -> None:
    """Nor does an entry whose row is not known, or that changed nothing."""
    unknown = ledger_of(_plan(), [LateRow("risk", "labels", Origin("labels", 0, 9), 1_500, 10, 1, 1, True)], {})
    for ledger in (_ledger(1_500, key=8), _ledger(1_500, view="other"), _ledger(1_500, changed=0), unknown):
        assert compare(_plan(), _batch(3), [_vector(2)], ledger).unexplained == 1


def test_late_rows_explain_no_more_values_than_they_changed() -> None:
    """Three differences and a late row that changed one value: two are a defect; where not all were counted, none is known."""
    vectors = [_vector(2)] * 3
    assert compare(_plan(), _batch(3), vectors, _ledger(1_500)).unexplained == 2
    assert compare(_plan(), _batch(3), vectors, _ledger(1_500, 1_600)).unexplained == 1
    assert compare(_plan(), _batch(3), vectors, _ledger(1_500, counted=False)).unexplained == 0


def test_a_vector_that_is_not_complete_says_so_itself() -> None:
    """What was forgotten before the event came is not a defect in arrival mode."""
    incomplete = msgspec.structs.replace(_vector(2), complete=False)
    assert compare(_plan(), _batch(3), [incomplete, _vector(2)], {}).unexplained == 1


def test_nothing_is_excused_in_event_time_mode() -> None:
    """Without a ledger, each difference is a defect."""
    incomplete = msgspec.structs.replace(_vector(2), complete=False)
    assert compare(_plan(), _batch(3), [incomplete, _vector(2)]).unexplained == 2


def test_an_entry_that_was_written_twice_counts_once() -> None:
    """After a restart the ledger may hold a repeat."""
    origin = Origin("labels", 0, 0)
    entry = LateRow("risk", "labels", origin, 1_500, 10, 1, 1, True)
    ledger = ledger_of(_plan(), [entry, entry], {origin: {"key": 7}})
    assert ledger["labels", "risk", (7,)].values == 1


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
