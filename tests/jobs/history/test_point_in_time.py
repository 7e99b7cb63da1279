"""Windows of queries that are no rows of a source, held against the reference on random streams."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.times import DAY_MS, EventTimes
from jobs.history.files import connect
from jobs.history.point_in_time import Windows, queries_of, windows_as_of
from tests.contract.reference import Event, vectors
from tests.support.strategies import COLUMNS, PLAN, VALUES, same, streams, together

pytestmark = pytest.mark.slow
ANY = EventTimes(max_ahead_ms=100 * 366 * DAY_MS, max_age_days=100 * 366)
TYPES = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "decimal": pa.decimal128(12, 2),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("ms", "UTC"),
}


@given(st.lists(streams(size=20), min_size=1, max_size=4).map(together), st.data())
@settings(max_examples=15)
def test_queries_see_what_the_reference_sees(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    """At the times of the events, a millisecond off them, and of keys that have none; twice, and in any order."""
    folder = tmp_path_factory.mktemp("streams")
    for source in PLAN.sources:
        write(folder / source.history, [event for event in events if event.source == source.name])
    times = [event.time for event in events] or [1_500_000_000_000]
    keys = [(event.columns["card"], event.columns["shop"]) for event in events] + [(-1, "nobody")]
    moments = st.tuples(st.sampled_from(times), st.sampled_from((-1, 0, 0, 1, 500, 86_400_000)), st.sampled_from(keys))
    drawn = data.draw(st.lists(moments, min_size=1, max_size=30))
    queries = [Event("queries", max(0, time + off), {"card": card, "shop": shop}) for time, off, (card, shop) in drawn]
    wanted = [
        Windows(PLAN.source(stage.source), tuple((key, f"their {key}") for key in stage.key), stage.features)
        for stage in PLAN.windows
    ]
    columns = {f"their {key}": pa.array([query.columns[key] for query in queries]) for key in ("card", "shop")}
    with connect() as connection:
        found = windows_as_of(
            connection, folder, wanted, queries_of(pa.array([query.time for query in queries], pa.int64()), columns), ANY
        )
    largest = {name: max((abs(float(e.columns[name] or 0)) for e in events), default=0) for name in ("whole", "exact", "real")}
    for stage in PLAN.windows:
        expected = vectors(stage, "queries", [*events, *queries])
        for feature in stage.features:
            got = found[feature.name].to_pylist()
            for one, vector in zip(got, expected, strict=True):
                assert same(feature, one, vector[feature.name], largest.get(feature.column, 0)), (feature, one, vector)


def write(path: Path, events: list[Event]) -> None:
    """The history of one source."""
    columns = {c.name: pa.array([event.columns[c.name] for event in events], TYPES[c.type.kind]) for c in COLUMNS}
    assert set(VALUES) < set(columns)
    pq.write_table(pa.table(columns), path)
