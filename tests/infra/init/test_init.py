"""`headrace init`: a project that `plan` accepts, of sample events, of a file or of a topic."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.plan import Plan
from infra.cli import run
from infra.local.broker import Broker
from infra.settings import load_settings

T = 1714550400000
EVENTS: list[dict[str, Any]] = [
    {
        "reading_id": f"r{n}",
        "at": T + 60_000 * n,
        "sensor": f"s{n % 3}",
        "degrees": n / 8,
        "fee": n / 4,
        "steps": n,
        "ok": n % 2 == 0,
    }
    for n in range(12)
]


def init(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command says."""
    code = run(["init", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line of a user's error."""
    assert run(["init", *map(str, arguments)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def plan_of(project: Path) -> Plan:
    """The plan of the project's one service."""
    from features.definitions.load import load

    (plan,) = load(project).plans
    return plan


def schema(plan: Plan) -> dict[str, str]:
    """The spine's columns and their types."""
    return {column.name: str(column.type) for column in plan.spine_source.columns}


def test_the_sample_is_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`plan` accepts it; its settings name a label and the days of a run; its folder may have a space."""
    told = init(capsys, tmp_path / "my shop")
    assert "headrace train orders --from 2026-01-12 --promote production" in told
    plan = plan_of(tmp_path / "my shop")
    assert plan.inputs[:3] == ("event__amount", "event__items", "activity__count_order_id_1h")
    assert plan.inputs[-1] == "pause__seconds"
    settings = load_settings(tmp_path / "my shop")
    assert settings.train["orders"].label == "orders_labels.returned"
    assert settings.run is not None
    assert settings.run.service == "orders"
    assert sum(1 for _ in (tmp_path / "my shop" / "data" / "new_orders.jsonl").open()) > 100


def test_a_file_is_its_schema_and_its_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Types of Parquet as they are; time, id and key are guessed, and marked; the label is left out of the events."""
    file = tmp_path / "readings.parquet"
    times = pa.array([event["at"] for event in EVENTS], pa.timestamp("us", tz="UTC"))
    fees = pa.array([Decimal(str(event["fee"])) for event in EVENTS], pa.decimal128(9, 3))
    columns = {name: [event[name] for event in EVENTS] for name in EVENTS[0]} | {"at": times, "fee": fees, "broken": [0, 1] * 6}
    pq.write_table(pa.table({**columns, "raw": [b"x"] * 12}), file)
    told = init(capsys, tmp_path / "p", "--from-file", file, "--label", "broken")
    assert "guessed: time at, id reading_id, key sensor" in told
    assert "left out: raw" in told
    plan = plan_of(tmp_path / "p")
    assert schema(plan) == {
        "reading_id": "string",
        "at": "timestamp",
        "sensor": "string",
        "degrees": "float64",
        "fee": "decimal(9,3)",
        "steps": "int64",
        "ok": "bool",
    }
    text = (tmp_path / "p" / "definitions.py").read_text()
    assert text.count("# guessed: ") == 3
    assert "left out, 'raw': its type, BLOB, is none of a schema's" in text
    assert (tmp_path / "p" / "data" / "readings.parquet").resolve() == file
    assert load_settings(tmp_path / "p").train["readings"].label == "readings_labels.broken"


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
@pytest.mark.parametrize("zone", ["UTC", None])
def test_the_days_of_a_file_are_those_of_its_times(
    unit: str, zone: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In each unit that Parquet has, with and without a zone: pandas writes nanoseconds. What is missing is said, and no more."""
    file = tmp_path / "readings.parquet"
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = [(start + timedelta(days=day)).replace(tzinfo=UTC if zone else None) for day in range(30)]
    ids = [f"r{number}" for number in range(30)]
    pq.write_table(
        pa.table({"id": ids, "at": pa.array(times, pa.timestamp(unit, tz=zone)), "m": [1, 2] * 15, "bad": [0, 1] * 15}), file
    )
    assert "headrace train readings --from 2026-01-09 --promote" in init(
        capsys, tmp_path / "p", "--from-file", file, "--label", "bad"
    )
    told = init(capsys, tmp_path / "q", "--from-file", file)
    assert told.splitlines()[-1].endswith("headrace plan, say in headrace.toml what a model learns (docs/own-stream.md)")


def test_truth_values_of_pandas_are_a_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a CSV it writes them with a capital, as the reader of files takes them."""
    file = tmp_path / "readings.csv"
    rows = [f"r{number},2026-01-{number + 1:02d} 08:00:00+00:00,{number % 3},{number % 2 == 0}" for number in range(12)]
    file.write_text("\n".join(["id,at,m,broken", *rows]) + "\n")
    init(capsys, tmp_path / "p", "--from-file", file, "--label", "broken", "--key", "m")
    assert "broken boolean" in (tmp_path / "p" / "definitions.py").read_text()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_texts_say_their_types_by_their_values(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV and JSON lines: money is exact where its name says so."""
    file = tmp_path / f"readings.{suffix}"
    events = [
        {**event, "at": datetime.fromtimestamp(event["at"] / 1000, UTC).isoformat().replace("+00:00", "Z")} for event in EVENTS
    ]
    rows = [json.dumps(event) for event in events] if suffix == "jsonl" else csv(events)
    file.write_text("\n".join(rows) + "\n")
    init(capsys, tmp_path / "p", "--from-file", file, "--key", "sensor", "--id", "reading_id", "--time", "at")
    found = schema(plan_of(tmp_path / "p"))
    assert (found["at"], found["degrees"], found["fee"], found["ok"]) == ("timestamp", "float64", "decimal(18,2)", "bool")
    assert "guessed: is" not in (tmp_path / "p" / "definitions.py").read_text()


def test_a_csv_of_a_spreadsheet_has_its_first_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Excel's begins with a byte order mark, which is no part of a name."""
    file = tmp_path / "readings.csv"
    file.write_text("\n".join(csv(EVENTS)) + "\n", encoding="utf-8-sig")
    init(capsys, tmp_path / "p", "--from-file", file)
    assert plan_of(tmp_path / "p").spine_source.event_id == "reading_id"


def test_ids_of_64_bits_without_a_sign_are_longs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As history reads them."""
    file = tmp_path / "readings.parquet"
    table = pa.Table.from_pylist(EVENTS)
    pq.write_table(table.set_column(0, "reading_id", pa.array(range(12), pa.uint64())), file)
    init(capsys, tmp_path / "p", "--from-file", file)
    assert plan_of(tmp_path / "p").spine_source.event_id == "reading_id"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (pa.array([2**62] * 12, pa.timestamp("us")), f"of the years 1 to 9999; 'at' of {{}} has some from {2**62 // 1000} to"),
        (pa.array([T] * 11 + [-(2**47)], pa.timestamp("ms")), f"'at' of {{}} has some from {-(2**47)} to {T} ms; fix these rows"),
        (pa.array(["2024-05-01T08:00:00Z"] * 12), "'at': its times are texts; a Parquet file has times as timestamps"),
    ],
)
def test_times_that_no_history_has_are_one_line(
    at: pa.Array, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those beyond the calendar were a traceback."""
    file = tmp_path / "readings.parquet"
    pq.write_table(pa.Table.from_pylist(EVENTS).set_column(1, "at", at), file)
    assert message.format(file) in refused(capsys, tmp_path / "p", "--from-file", file)


def csv(events: list[dict[str, Any]]) -> list[str]:
    """A header, and a line for each event."""
    return [",".join(events[0]), *(",".join(json.dumps(value).strip('"') for value in event.values()) for event in events)]


def test_what_stands_in_a_file_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A field's name may be anything; definitions.py is run as Python."""
    evil = 'x"\nraise SystemExit(3)\n"""'
    file = tmp_path / '"""\nraise SystemExit(4)\n.jsonl'
    file.write_text("".join(json.dumps({**event, evil: 1}) + "\n" for event in EVENTS))
    told = init(capsys, tmp_path / "p[/]", "--from-file", file)
    assert f"left out: {evil!a};" in told
    (tmp_path / "p[/]").rename(tmp_path / "p")
    assert "sensor" in schema(plan_of(tmp_path / "p"))


def test_only_an_empty_folder_is_begun_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is overwritten: one line names what is there."""
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(capsys, tmp_path) == (
        f"error: a project begins in an empty folder; {tmp_path} has notes.txt; name another, or move that away\n"
    )
    assert "is a file" in refused(capsys, tmp_path / "notes.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"at": 1714550400}, [], "'at': it looks like seconds; a time is UTC milliseconds"),
        ({"reading_id": "same"}, [], "(those that differ: steps); name it with --id"),
        ({"reading_id": "same", "steps": 1}, [], "(those that differ: (none)); add one: each id gets one prediction"),
        ({}, ["--time", "sensor"], "'sensor' is none in"),
        ({}, ["--key", "nobody"], "'nobody' is not there in"),
        ({}, ["--label", "steps"], "'steps' has 2 in "),
        ({}, ["--label", "sensor"], "; name one of ok with --label"),
        ({}, ["--from-kafka", "t"], "give --kafka HOST:PORT"),
    ],
)
def test_what_cannot_be_proposed_is_one_line(
    change: dict[str, Any], options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    file = tmp_path / "readings.jsonl"
    file.write_text("".join(json.dumps({**event, "steps": n, **change}) + "\n" for n, event in enumerate(EVENTS)))
    assert message in refused(capsys, tmp_path / "p", "--from-file", file, *options)
    assert not (tmp_path / "p").exists()


def test_a_file_that_no_command_could_read_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV with a column without a name, as pandas writes its index, and one that is not there."""
    file = tmp_path / "readings.csv"
    file.write_text("\n".join(["," + line for line in csv(EVENTS)]) + "\n")
    told = refused(capsys, tmp_path / "p", "--from-file", file)
    assert "got ,reading_id,at,sensor" in told
    assert "name that column; pandas writes none with to_csv(…, index=False)" in told
    assert "none.csv is not there; name another" in refused(capsys, tmp_path / "p", "--from-file", tmp_path / "none.csv")
    assert not (tmp_path / "p").exists()


@pytest.mark.stack
def test_a_topic_is_its_schema_and_its_first_history(broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The key is that of the records; what is no JSON object is passed over, and the events are the history."""
    broker.create_topics({"init.readings": 2, "init.none": 1, "init.text": 1})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event in EVENTS:
            producer.send("init.readings", json.dumps({**event, "place": {"x": 1}}).encode(), event["sensor"].encode())
        producer.send("init.readings", b"\xff\xfe", b"?")
        producer.send("init.text", b"hello")
    where = ("--kafka", broker.bootstrap)
    told = init(capsys, tmp_path / "p", "--from-kafka", "init.readings", *where)
    assert "guessed: time at, id reading_id, key sensor" in told
    assert "left out: place" in told
    plan = plan_of(tmp_path / "p")
    assert (plan.service, plan.spine_source.topic, plan.windows[0].key) == ("init_readings", "init.readings", ("sensor",))
    assert schema(plan)["fee"] == "decimal(18,2)"
    assert len((tmp_path / "p" / plan.spine_source.history).read_text().splitlines()) == len(EVENTS)
    assert load_settings(tmp_path / "p").kafka.bootstrap == broker.bootstrap
    history = tmp_path / "old.jsonl"
    history.write_text("".join(json.dumps({**event, "broken": n % 2, "note": "x"}) + "\n" for n, event in enumerate(EVENTS)))
    told = init(capsys, tmp_path / "b", "--from-kafka", "init.readings", *where, "--from-file", history, "--label", "broken")
    assert "left out: note" in told
    assert load_settings(tmp_path / "b").train["init_readings"].label == "init_readings_labels.broken"
    assert schema(plan_of(tmp_path / "b")) == schema(plan)
    assert "has none" in refused(capsys, tmp_path / "q", "--from-kafka", "init.none", *where)
    assert "none of 1 records of topic 'init.text' is one" in refused(capsys, tmp_path / "q", "--from-kafka", "init.text", *where)
    assert "a topic exists before it is used" in refused(capsys, tmp_path / "q", "--from-kafka", "init.lost", *where)
