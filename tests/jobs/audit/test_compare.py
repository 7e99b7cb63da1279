"""The comparison of stream and batch: it finds what differs, and excuses only what a late row explains."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest

from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from jobs.audit.compare import compare
from jobs.audit.ledger import Ledger, Place, ledger_of
from schemas import FeatureVector, LateRow, Origin


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


def _vector(value: Any, plan: Plan | None = None) -> FeatureVector:
    origin = Origin("events", 0, 0)
    event, plan = {"id": 1, "at": 2_000, "key": 7, "value": 0}, (plan or _plan()).short_digest
    return FeatureVector(1, 2_000, plan, origin, 5_000, True, event, {"risk__n": value})


def _batch(value: Any, *events: int) -> pa.Table:
    ids = events or (1,)
    return pa.table({"id": ids, "at": [2_000] * len(ids), "key": [7] * len(ids), "risk__n": [value] * len(ids)})


def _of(event: int, value: Any, **changes: Any) -> FeatureVector:
    return msgspec.structs.replace(_vector(value), event_id=event, **changes)


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
    assert parity.features[0].examples == ["event 1 risk__n: served 2, history 3"]


@pytest.mark.parametrize(("time", "explained"), [(1_000, 0), (1_001, 1), (2_000, 1), (2_001, 0)])
def test_a_late_row_of_the_window_explains(time: int, explained: int) -> None:
    """A row in (t - window, t] that the ledger has explains a difference; one beside it doesn't."""
    (stage,) = compare(_plan(), _batch(3), [_vector(2)], _ledger(time)).stages
    assert (stage.differing, stage.causes["late_row"]) == (1, explained)
    assert len(stage.examples) == 1 - explained


def test_late_rows_of_other_keys_and_views_explain_nothing() -> None:
    """Nor does an entry whose row is not known, or that changed nothing."""
    unknown = ledger_of(_plan(), [LateRow("risk", "labels", Origin("labels", 0, 9), 1_500, 10, 1, 1, True)], {})
    for ledger in (_ledger(1_500, key=8), _ledger(1_500, view="other"), _ledger(1_500, changed=0), unknown):
        assert compare(_plan(), _batch(3), [_vector(2)], ledger).unexplained == 1


def test_late_rows_explain_no_more_values_than_they_changed() -> None:
    """Three differences and a late row that changed one value: two are a defect; where not all were counted, none is known."""
    vectors, batch = [_of(event, 2) for event in (1, 2, 3)], _batch(3, 1, 2, 3)
    assert compare(_plan(), batch, vectors, _ledger(1_500)).unexplained == 2
    assert compare(_plan(), batch, vectors, _ledger(1_500, 1_600)).unexplained == 1
    assert compare(_plan(), batch, vectors, _ledger(1_500, counted=False)).unexplained == 0


def test_a_vector_that_is_not_complete_says_so_itself() -> None:
    """What was gone before the event came is no defect, in either mode (rule 6), and takes nothing from the late rows."""
    vectors = [_of(1, 2, complete=False), _of(2, 2), _of(3, 2)]
    (stage,) = compare(_plan(), _batch(3, 1, 2, 3), vectors, _ledger(1_500)).stages
    assert (stage.causes["incomplete"], stage.causes["late_row"], stage.unexplained) == (1, 1, 1)


def test_another_plan_explains_what_its_vectors_differ_in() -> None:
    """A vector of other definitions is compared all the same: its equal values are counted as such."""
    vectors = [_of(event, value, plan="other") for event, value in ((1, 2), (2, 3))]
    (stage,) = compare(_plan(), _batch(3, 1, 2), vectors).stages
    assert (stage.values, stage.differing, stage.causes["changed_definition"], stage.unexplained) == (2, 1, 1, 0)


def test_an_entry_that_was_written_twice_counts_once() -> None:
    """After a restart the ledger may hold a repeat."""
    origin = Origin("labels", 0, 0)
    entry = LateRow("risk", "labels", origin, 1_500, 10, 1, 1, True)
    ledger = ledger_of(_plan(), [entry, entry], {origin: {"key": 7}})
    assert ledger[Place("labels", "risk", (7,))].values == 1


def test_only_sums_and_means_of_floats_may_be_an_ulp_off() -> None:
    """Rule 7: 1e-12 relative for those; to the bit for all else."""
    close = 1.0 + 2**-50

    def unexplained(kind: str, function: str, value: float) -> int:
        plan = _plan(kind, function)
        return compare(plan, _batch(1.0), [_vector(value, plan)]).unexplained

    assert unexplained("float64", "mean", close) == 0
    assert unexplained("float64", "max", close) == 1
    assert unexplained("int64", "mean", close) == 1
    assert unexplained("float64", "mean", 1.0 + 1e-11) == 1


def test_an_event_that_history_lacks_is_told() -> None:
    """It is counted and named, and its values are not taken for equal ones."""
    found = compare(_plan(), _batch(3, 2), [_vector(3)])
    assert (found.events, found.not_in_history, found.not_in_history_ids, found.features) == (0, 1, [1], [])
