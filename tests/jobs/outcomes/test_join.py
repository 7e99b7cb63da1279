"""Which label a prediction meets: the rules of `jobs.outcomes.join`, each on events of one key, and against a slow reference."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.definitions.load import load
from features.errors import SettingError
from features.service import Service
from features.times import DAY_MS, Span
from jobs.history.served import Record
from jobs.outcomes.join import OWN, already_joined, join
from schemas import Outcome, Prediction, Receipt
from schemas.codec import encode
from tests.support.num import T, num_project

pytestmark = pytest.mark.slow

HOUR = 3_600_000
HORIZON = 10 * HOUR


class Label(NamedTuple):
    """A row of the labels' source."""

    event: int
    at: int
    bad: int


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The service; its events are an hour's multiple after `T`."""
    return load(num_project(tmp_path_factory.mktemp("outcomes") / "num")).service("num")


def predicted(event: int, at: int, score: float = 0.5, version: int = 1, **inputs: Any) -> Record:
    """A prediction as the scorer writes it."""
    receipt = Receipt(None, "p", "num", version, "0" * 64, inputs, {}, True, at, at, at + 5)
    return Record(f"event {event}", encode(Prediction(event, at, score, receipt)))


def joined(service: Service, folder: Path, labels: list[Label], records: list[Record], **options: Any) -> list[dict[str, Any]]:
    """The outcomes, as rows."""
    place = folder / "labels.parquet"
    at = pa.array([datetime.fromtimestamp(label.at / 1000, UTC) for label in labels], pa.timestamp("ms", tz="UTC"))
    columns = {"id": pa.array([label.event for label in labels], pa.int64()), "at": at}
    pq.write_table(pa.table(columns | {"bad": pa.array([label.bad for label in labels], pa.int64())}), place)
    found = join(service, records, "outcomes.bad", HORIZON, histories={"outcomes": str(place)}, **options)
    rows: list[dict[str, Any]] = found.table.to_pylist()
    return rows


def label_of(row: dict[str, Any]) -> tuple[float | None, int | None, int | None, int]:
    """What an outcome says of its label, times in hours after `T`."""
    known, at = (None if row[name] is None else (row[name] - T) // HOUR for name in ("known_at", "label_at"))
    return row["label"], known, at, row["labels"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], (None, None, None, 0)),
        ([(3, 1)], (1.0, 3, 3, 1)),
        ([(3, 1), (3, 1)], (1.0, 3, 3, 2)),
        ([(3, 1), (5, 1)], (1.0, 3, 5, 2)),
        ([(3, 0), (5, 1)], (1.0, 3, 5, 2)),
        ([(5, 1), (3, 0)], (1.0, 3, 5, 2)),
        ([(3, 0), (3, 1)], (1.0, 3, 3, 2)),
        ([(-2, 1)], (1.0, -2, -2, 1)),
        ([(10, 1)], (1.0, 10, 10, 1)),
        ([(11, 1)], (None, None, None, 0)),
        ([(-11, 1)], (None, None, None, 0)),
        ([(3, 0), (11, 1)], (0.0, 3, 3, 1)),
    ],
    ids=[
        "never",
        "once",
        "twice",
        "twice, later",
        "changed",
        "changed, in another order",
        "changed at the same time",
        "before the event",
        "at the horizon",
        "beyond the horizon",
        "too long before",
        "changed beyond the horizon",
    ],
)
def test_a_prediction_meets_its_label(
    service: Service, tmp_path: Path, labels: list[tuple[int, int]], expected: tuple[float | None, int | None, int | None, int]
) -> None:
    """Times are hours from the event's; the labels of other events are not its own."""
    rows = [Label(1, T + hour * HOUR, bad) for hour, bad in labels] + [Label(2, T, 1)]
    (found,) = joined(service, tmp_path, rows, [predicted(1, T)])
    assert label_of(found) == expected


def test_the_first_prediction_of_an_event_counts(service: Service, tmp_path: Path) -> None:
    """It is what was acted upon; outcomes stand in the order of the predictions, with the receipt's version."""
    records = [predicted(7, T, 0.9, version=2), predicted(3, T, 0.1), predicted(7, T, 0.2, version=3)]
    found = joined(service, tmp_path, [Label(7, T, 1)], records)
    assert [(row["event_id"], row["score"], row["version"]) for row in found] == [("7", 0.9, 2), ("3", 0.1, 1)]
    assert (found[0]["model"], found[0]["scored_at"]) == ("num", T + 5)


def test_events_of_other_times_are_left_out(service: Service, tmp_path: Path) -> None:
    """By the event's time, from the first to before the last; labels may be of any; the first prediction still counts."""
    records = [predicted(event, T + event * HOUR) for event in range(4)] + [predicted(0, T + HOUR)]
    found = joined(service, tmp_path, [Label(2, T + 9 * HOUR, 1)], records, times=Span(T + HOUR, T + 3 * HOUR))
    assert [(row["event_id"], row["label"]) for row in found] == [("1", None), ("2", 1.0)]


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=8, unique_by=lambda pair: pair[0])
LABELS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 1)), max_size=12)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, LABELS)
def test_the_join_is_what_the_rules_say(
    service: Service, tmp_path: Path, events: list[tuple[int, int]], labels: list[tuple[int, int, int]]
) -> None:
    """Against all pairs, looked at one by one."""
    rows = [Label(event, T + hour * HOUR, bad) for event, hour, bad in labels]
    expected = []
    for event, hour in events:
        own = [(label.at, place, label.bad) for place, label in enumerate(rows) if label.event == event]
        near = sorted(one for one in own if abs(one[0] - (T + hour * HOUR)) <= HORIZON)
        holds = near[-1] if near else (None, None, None)
        expected.append((holds[2], near[0][0] if near else None, holds[0], len(near)))
    found = joined(service, tmp_path, rows, [predicted(event, T + hour * HOUR) for event, hour in events])
    assert [(row["label"], row["known_at"], row["label_at"], row["labels"]) for row in found] == expected


def test_a_segment_is_a_column_of_the_events_or_an_input(service: Service, tmp_path: Path) -> None:
    """Null where history lacks the event; another name is refused with those that there are."""
    records = [predicted(1, T, size=2), predicted(999, T, size=2.5)]
    found = joined(service, tmp_path, [], records, columns=["k", "size"])
    assert [(row["k"], row["size"]) for row in found] == [("k1", 2.0), (None, 2.5)]
    with pytest.raises(SettingError, match="got 'colour'; there are id, at, k, v, c, n, d, size"):
        joined(service, tmp_path, [], records, columns=["colour"])


def test_of_an_event_that_history_has_twice_the_last_row_is_read_whole(service: Service, tmp_path: Path) -> None:
    """Its nulls too: a value of the row before it would be of another event than the other columns are."""
    place, rows = tmp_path / "num.parquet", pq.read_table(service.folder / "data" / "num.parquet").slice(0, 20)
    again = rows.slice(7, 1).set_column(rows.schema.get_field_index("n"), "n", pa.array([None], rows.schema.field("n").type))
    again = again.set_column(again.schema.get_field_index("k"), "k", pa.array(["another"], again.schema.field("k").type))
    pq.write_table(pa.concat_tables([rows, again]), place)
    (event,) = rows["id"].slice(7, 1).to_pylist()
    assert rows["n"][7].as_py() is not None
    options: dict[str, Any] = {"columns": ["k", "n"], "histories": {"num": str(place)}}
    for found in (
        join(service, [predicted(event, T)], "outcomes.bad", HORIZON, **options),
        already_joined(service, [written(event)], **options),
    ):
        assert [(row["k"], row["n"]) for row in found.table.to_pylist()] == [("another", None)]


def test_what_is_no_prediction_is_refused(service: Service, tmp_path: Path) -> None:
    """By its place."""
    with pytest.raises(SettingError, match=r"line 3: it is no prediction, docs/messages\.md"):
        joined(service, tmp_path, [], [Record("line 3", msgspec.json.encode({"event_id": 1}))])


def test_days_are_matured_before_the_newest_label_less_the_delay(service: Service, tmp_path: Path) -> None:
    """The day of the newest label may lack some; without labels no day is."""
    place = tmp_path / "labels.parquet"
    shutil.copy(service.folder / "data" / "outcomes.parquet", place)
    found = join(service, [], "outcomes.bad", HORIZON, histories={"outcomes": str(place)})
    newest = max(found_at.timestamp() for found_at in pq.read_table(place)["at"].to_pylist())
    assert found.newest_label == round(newest * 1000)
    assert found.matured_until(2) == found.newest_label // DAY_MS - 2
    pq.write_table(pq.read_table(place).slice(0, 0), place)
    assert join(service, [], "outcomes.bad", HORIZON, histories={"outcomes": str(place)}).matured_until(2) == 0


def written(event: int, label: float | None = None, labels: int = 0, **changes: Any) -> Record:
    """An outcome as the stream's join writes it, of a label an hour after the event."""
    at = None if label is None else T + HOUR
    outcome = Outcome(event, f"k{event}", T, 0.5, "p", "num", 1, "0" * 64, True, T + 5, label, at, at, labels)
    return Record(f"outcome {event}", encode(msgspec.structs.replace(outcome, **changes)))


def test_the_last_outcome_of_an_event_holds(service: Service) -> None:
    """In the order of the first ones; with columns of the events, null where history lacks one."""
    records = [written(7), written(999), written(1, 1.0, 1), written(7, 0.0, 1), written(7, 1.0, 2, label_at=T + 2 * HOUR)]
    found = already_joined(service, records, columns=["k"])
    rows = found.table.to_pylist()
    assert [(row["event_id"], row["k"], *label_of(row)) for row in rows] == [
        ("7", "k1", 1.0, 1, 2, 2),
        ("999", None, None, None, None, 0),
        ("1", "k1", 1.0, 1, 1, 1),
    ]
    assert found.newest_label == T + 2 * HOUR
    assert found.table.schema.names == [*OWN, "k"]
    assert join(service, [predicted(7, T)], "outcomes.bad", HORIZON, columns=["k"]).table.schema == found.table.schema


def test_what_was_joined_has_columns_of_the_events_alone(service: Service) -> None:
    """An outcome has no inputs. Nothing is an empty table; what is no outcome is refused by its place."""
    with pytest.raises(SettingError, match="a segment is a column of num; got 'size'; there are id, at, k, v, c, n, d"):
        already_joined(service, [], columns=["size"])
    assert (already_joined(service, []).table.num_rows, already_joined(service, []).newest_label) == (0, None)
    with pytest.raises(SettingError, match=r"event 1: it is no outcome, docs/messages\.md"):
        already_joined(service, [predicted(1, T)])
