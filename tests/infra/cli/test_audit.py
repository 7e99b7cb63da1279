"""`headrace audit` and `headrace explain` on a real broker, over receipts that a scorer would have written."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.disk import keep
from features.errors import SettingError
from features.inputs.columns import all_features
from features.plan import Source
from features.seam import Seam
from features.times import DAY_MS, day_ms
from infra.cli import page_explain, run
from infra.cli.page_explain import Explaining
from infra.local import stack
from infra.local.broker import Broker
from infra.settings import load_settings, run_folder
from jobs.history.batch_views import materialize
from jobs.history.compute import compute
from jobs.stream.backfill import record
from jobs.stream.files import sources_file
from jobs.stream.topics import Sources
from schemas import DeadLetter, FeatureVector, LateRow, Origin, Prediction
from schemas.codec import encode
from schemas.topics import DEAD_LETTERS
from serving.http.page.audit import read_report
from tests.infra.cli.served_project import Project, of_plan, publish, write_late
from tests.support.receipts import WRITTEN_MS, changed, history, served, write

pytestmark = pytest.mark.stack

START = day_ms(date(2018, 5, 10))
DAYS = ["--from", "2018-05-10", "--to", "2018-05-12"]


@pytest.fixture(scope="module")
def original(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[FeatureVector, Prediction]]]:
    """The example's project with batch rows, and what history gives: computed once."""
    folder = Path(shutil.copytree(small_data, tmp_path_factory.mktemp("audit") / "a project"))
    service = load(folder).service("fraud")
    materialize(service, date(2018, 5, 8), date(2018, 5, 12))
    return folder, list(served(service.plan, history(service, START, START + 2 * DAY_MS)))


@pytest.fixture
def project(
    original: tuple[Path, list[tuple[FeatureVector, Prediction]]], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """It, with topics and a service that no other test has; nothing is on them."""
    folder, told = original
    mark = uuid.uuid4().hex[:8]
    text = (folder / "definitions.py").read_text()
    for name in ("transactions", "labels"):
        text = text.replace(f'topic="{name}', f'topic="{name}-{mark}', 1)
    copy = folder.parent / mark
    copy.mkdir()
    (copy / "data").symlink_to(folder / "data")
    shutil.copy(folder / "feature_store.yaml", copy)
    (copy / "headrace.toml").write_text('services = ["fraud"]\n')
    (copy / "definitions.py").write_text(text.replace('name="fraud"', f'name="fraud-{mark}"'))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    service = load(copy).service(f"fraud-{mark}")
    plan = service.plan
    names = (plan.features_topic, plan.predictions_topic, *(source.topic for source in plan.sources))
    broker.create_topics(dict.fromkeys(names, 1))
    return Project(copy, service, [of_plan(plan.short_digest, plan.spine_source.topic, *one) for one in told])


Audited = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def audited(project: Project, capsys: pytest.CaptureFixture[str]) -> Audited:
    """Runs an audit of the two days; gives its exit code and its JSON."""

    def command(*options: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run(["audit", project.name, "--project", str(project.folder), *DAYS, *options, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


def test_what_was_served_right_has_zero_of_everything(project: Project, broker: Broker, audited: Audited) -> None:
    """Receipts that are history's: every value is compared, none differs, and nothing is missing."""
    publish(project, broker)
    code, found = audited()
    assert code == 0
    assert found["served"] == found["found"]["events"] == len(project.told) > 300
    assert found["without_receipt"] == found["never_served"] == found["found"]["not_in_history"] == found["late_rows"] == 0
    features = {one["name"]: one for one in found["found"]["features"]}
    assert features.keys() == set(project.service.plan.inputs)
    assert {(one["values"], one["differing"]) for one in features.values()} == {(len(project.told), 0)}
    assert sum(hour["values"] for hour in found["found"]["hours"]) == len(project.told) * len(features)
    left = read_report(stack.Folders(run_folder(project.folder, load_settings(project.folder))).audit_of(project.name))
    assert (left.served, left.compared, left.late_rows, left.examples) == (len(project.told), len(project.told), 0, [])
    assert {one.name for one in left.stages} == {one["of"] for one in features.values()}
    assert sum(one.values for one in left.stages) == len(project.told) * len(features)


def test_what_cannot_be_left_for_the_page_is_said_after_what_was_found(
    project: Project, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading all of it takes minutes: the table is there, the exit code is 2, and one line says what to fix."""
    publish(project, broker)
    folders = stack.Folders(run_folder(project.folder, load_settings(project.folder)))
    folders.audits.parent.mkdir(parents=True, exist_ok=True)
    folders.audits.write_text("")
    assert run(["audit", project.name, "--project", str(project.folder), *DAYS]) == 2
    found = capsys.readouterr()
    assert f"{len(project.told):,}" in found.out
    assert "the stack keeps its files in" in found.err


def test_an_event_is_explained_for_the_page_in_another_process(
    project: Project, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With values and a picture; an event that is nowhere is refused with the command's line, and one at a time."""
    monkeypatch.setattr(page_explain, "SECONDS", 400.0)  # where tests fill the cores, another process takes a minute to begin
    publish(project, broker)
    explain, prediction = Explaining(project.folder), project.told[0][1]
    found = explain(project.name, str(prediction.event_id))
    assert found.picture.lstrip().startswith("<?xml")
    served = {value.feature: value.served for value in found.values}
    assert {name: json.loads(served[name] or "") for name in prediction.receipt.inputs} == prediction.receipt.inputs
    assert {value.cause for value in found.values} == {None}
    with pytest.raises(SettingError, match="has none of event 999999999"):
        explain(project.name, "999999999")
    with pytest.raises(SettingError, match="got '--help'"):
        explain(project.name, "--help")


def test_each_difference_has_its_cause(project: Project, broker: Broker, audited: Audited) -> None:
    """A late label, a batch row that was not there yet, other definitions and lost rows explain; what is left is exit code 1."""
    late, pushed, other, lost = _with_labels(project, 4)
    as_of = project.told[pushed][1].receipt.batch_as_of["customer_profile"]
    changes: dict[int, Callable[[Prediction], Prediction]] = {
        late: lambda one: changed(one, {"terminal_risk__count_30d": -1}),
        pushed: lambda one: changed(
            one, {"customer_profile__mean_amount": -1.0}, batch_as_of={"customer_profile": as_of - DAY_MS}
        ),
        other: lambda one: changed(one, {"customer_spend__count_1d": -1}, plan="0123456789ab"),
        lost: lambda one: changed(one, {"customer_spend__mean_7d": -1.0}, complete=False),
    }
    publish(project, broker, changes)
    vector = project.told[late][0]
    label = {"transaction_id": 1, "event_time": vector.event_time - DAY_MS, **_key(vector, "terminal_id"), "is_fraud": 1}
    write(broker, project.topic("labels"), [(WRITTEN_MS + 10**7, label)])
    entry = LateRow("terminal_risk", "labels", Origin(project.topic("labels"), 0, 0), label["event_time"], 10, 1, 1, True)
    write_late(broker, WRITTEN_MS + 10**7, entry)
    code, found = audited()
    assert code == 0, found
    assert found["late_rows"] == 1
    assert _causes(found) == {
        "terminal_risk__count_30d": {"late_row": 1},
        "customer_profile__mean_amount": {"late_batch_row": 1},
        "customer_spend__count_1d": {"changed_definition": 1},
        "customer_spend__mean_7d": {"incomplete": 1},
    }


def test_what_cannot_be_compared_is_counted(
    project: Project, broker: Broker, audited: Audited, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events that history lacks, or were never served, a vector without a prediction, a late row that is gone, other records."""
    publish(project, broker, skip={3, 4})
    plan, (vector, unknown) = project.service.plan, project.told[3]
    unknown = msgspec.structs.replace(unknown, event_id=10**9)
    event = msgspec.structs.replace(vector, event_id=10**9, event=vector.event | {"transaction_id": 10**9})
    write(broker, plan.features_topic, [(unknown.receipt.featured_at, event)])
    write(broker, plan.predictions_topic, [(WRITTEN_MS + 10**7, unknown)])
    letter = DeadLetter("unscorable", "", Origin(plan.features_topic, 0, 3), WRITTEN_MS, encode(vector))
    broker.create_topics({DEAD_LETTERS.name: 1}, DEAD_LETTERS.config)
    write(broker, DEAD_LETTERS.name, [(WRITTEN_MS + 10**7, letter)])
    gone = LateRow("terminal_risk", "labels", Origin(project.topic("labels"), 0, 7), vector.event_time, 10, 1, 1, True)
    write_late(broker, WRITTEN_MS + 10**7, gone)
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for value in (None, b"", b"\xff", b"{}", b"[1]"):
            producer.send(plan.predictions_topic, value, key=b"k", partition=0)
        producer.flush()
    code, found = audited()
    told = found["found"]
    assert found["unreadable"] == 5
    assert (code, told["not_in_history"], told["not_in_history_ids"]) == (0, 1, [10**9])
    assert (found["without_receipt"], found["never_served"]) == (1, 1)
    assert (found["late_rows"], found["late_rows_gone"]) == (1, 1)
    assert run(["explain", project.name, str(10**9), "--project", str(project.folder), "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert (explained["in_history"], explained["event_id"]) == (False, 10**9)


def test_an_unexplained_difference_is_exit_code_1(
    project: Project, broker: Broker, audited: Audited, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is named, in JSON and in the table; events without a receipt are counted; and all of it can be drawn."""
    publish(project, broker, {7: lambda one: changed(one, {"customer_spend__count_1d": 99})}, skip={3, 4})
    code, found = audited()
    assert code == 1
    assert (found["found"]["unexplained"], found["never_served"]) == (1, 2)
    (spend,) = (one for one in found["found"]["features"] if one["name"] == "customer_spend__count_1d")
    event = project.told[7][1].event_id
    true = project.told[7][0].features["customer_spend__count_1d"]
    assert spend["examples"] == [f"event {event} customer_spend__count_1d: served 99, history {true}"]
    out = tmp_path / "audit.svg"
    assert run(["audit", project.name, "--project", str(project.folder), *DAYS, "--out", str(out)]) == 1
    assert "unexplained: 1" in out.read_text()
    said = capsys.readouterr()
    assert spend["examples"][0] in said.out
    assert "2 events of history were never served" in " ".join(said.err.split())


def test_windows_that_began_empty_are_a_cause(
    project: Project, broker: Broker, audited: Audited, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What a job gave that had the days' rows alone is explained by that, unless it was backfilled; a lost row is not."""
    spine, name = project.service.plan.spine_source, "customer_spend__count_7d"
    begin = min(vector.event_time for vector, _ in project.told)
    histories = {source.name: _since(project, source, begin, tmp_path) for source in project.service.plan.sources}
    whole = {vector.event_id: vector.features for vector, _ in project.told}
    table = compute(
        project.service, wanted=all_features(project.service.plan), start_ms=START, end_ms=START + 2 * DAY_MS, histories=histories
    )
    told = list(served(project.service.plan, table))
    project = project._replace(told=told)
    count = sum(vector.features[feature] != true for vector, _ in told for feature, true in whole[vector.event_id].items())
    write(broker, spine.topic, [(prediction.receipt.arrived_at, vector.event) for vector, prediction in told])
    state = run_folder(project.folder, load_settings(project.folder)) / "checkpoints" / project.name / "digest" / "heap"
    keep(sources_file(state), Sources(begins={source.topic: {0: 0} for source in project.service.plan.sources}))
    publish(project, broker)
    code, found = audited()
    causes = _causes(found)
    assert (code, found["found"]["unexplained"]) == (0, 0)
    assert sum(of["began_empty"] for of in causes.values()) == count > 1000
    assert {cause for of in causes.values() for cause in of} == {"began_empty"}
    assert run(["audit", project.name, "--project", str(project.folder), *DAYS]) == 0
    said = capsys.readouterr()
    assert "began empty" in said.out
    assert f"{count:,} values are of windows that began empty" in " ".join(said.err.split())
    event = next(vector for vector, _ in told if vector.features[name] != whole[vector.event_id][name])
    assert run(["explain", project.name, str(event.event_id), "--project", str(project.folder), "--json"]) == 0
    values = {one["feature"]: one["cause"] for one in json.loads(capsys.readouterr().out)["values"]}
    assert values[name] == "began_empty"
    record(state, Seam(begin, {spine.name: begin - DAY_MS}, 1))
    code, found = audited()
    assert (code, found["found"]["unexplained"]) == (1, count), "a backfilled job lost its rows"


def test_windows_that_began_empty_hide_no_lost_row(project: Project, broker: Broker, audited: Audited) -> None:
    """One row less than the topic had is unexplained, in windows that began empty too."""
    spine = project.service.plan.spine_source
    write(broker, spine.topic, [(prediction.receipt.arrived_at, vector.event) for vector, prediction in project.told])
    state = run_folder(project.folder, load_settings(project.folder)) / "checkpoints" / project.name / "digest" / "heap"
    keep(sources_file(state), Sources(begins={source.topic: {0: 0} for source in project.service.plan.sources}))
    publish(project, broker, {len(project.told) - 1: lambda one: changed(one, {"customer_spend__count_30d": 0})})
    code, found = audited()
    assert (code, _causes(found)) == (1, {"customer_spend__count_30d": {"unexplained": 1}})


def test_an_event_is_explained(project: Project, broker: Broker, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The rows in its windows make up its values, and the late label that it lacks is named, in JSON, as text and on a page."""
    (number,) = _with_labels(project, 1)
    vector, prediction = project.told[number]
    name = "terminal_risk__count_30d"
    true = vector.features[name]
    publish(project, broker, {number: lambda one: changed(one, {name: true - 1})})
    command = ["explain", project.name, str(vector.event_id), "--project", str(project.folder)]
    assert run([*command, "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    values = {one["feature"]: one for one in explained["values"]}
    assert (values[name]["served"], values[name]["recomputed"], values[name]["cause"]) == (true - 1, true, "unexplained")
    assert {one["feature"] for one in values.values() if one["cause"]} == {name}
    assert explained["prediction"]["receipt"]["inputs"] == {**prediction.receipt.inputs, name: true - 1}
    stages = {one["stage"]: one for one in explained["windows"]}
    for stage in project.service.plan.windows:
        inside = [row for row in stages[stage.name]["rows"] if row["where"] == "in"]
        for feature in stage.features:
            rows = [r for r in inside if r["event_time"] > explained["event_time"] - feature.window_ms]
            assert len(rows) == values[feature.name]["rows"]
            if feature.function == "count":
                assert values[feature.name]["recomputed"] == len(rows)
    late = [row for row in stages["labels_by_terminal_id"]["rows"] if row["where"] == "in"][-1]
    key = stages["labels_by_terminal_id"]["key"]
    label = {"transaction_id": late["event_id"], "event_time": late["event_time"], **key, **late["values"]}
    write(broker, project.topic("labels"), [(WRITTEN_MS + 10**7, label)])
    origin = Origin(project.topic("labels"), 0, 0)
    write_late(broker, WRITTEN_MS + 10**7, LateRow("terminal_risk", "labels", origin, label["event_time"], 5, 1, 6, True))
    out = tmp_path / "event.html"
    assert run([*command, "--out", str(out), "--at", "2023-11-14"]) == 0
    said = capsys.readouterr().out
    assert "a row of its window came too late" in said
    assert "LATE: came" in said
    page = out.read_text()
    assert page.count("<svg") == 1
    assert "LATE: came" in page
    assert "://" not in page.replace("http://www.w3.org/", ""), "it needs another file"


def test_an_event_that_was_never_served_is_explained_by_history(
    project: Project, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a note; one that is nowhere, or whose id is no number, is one line of advice."""
    publish(project, broker, skip={5})
    event, command = project.told[5][0], ["explain", project.name, "--project", str(project.folder)]
    assert run([*command, str(event.event_id), "--json"]) == 0
    said = capsys.readouterr()
    explained = json.loads(said.out)
    assert explained["prediction"] is None
    recomputed = {one["feature"]: one["recomputed"] for one in explained["values"]}
    assert {name: recomputed[name] for name in event.features} == event.features
    assert run([*command, str(event.event_id)]) == 0
    assert "it was never served" in " ".join(capsys.readouterr().err.split())
    for wanted, rule in (("123456789", "nor has the history of 'transactions'"), ("x", "has a whole number as its id")):
        assert run([*command, wanted]) == 2
        assert rule in " ".join(capsys.readouterr().err.split())


def _since(project: Project, source: Source, begin: int, folder: Path) -> Path:
    """A source's history without what is from before a time."""
    out = folder / f"{source.name}.parquet"
    rows = f"SELECT * FROM '{project.folder / source.history}' WHERE epoch_ms({source.time}) >= {begin}"
    duckdb.execute(f"COPY ({rows}) TO '{out}'")
    return out


def _with_labels(project: Project, most: int) -> list[int]:
    """The first events whose terminal has labels in its windows, and whose customer has a row of the day before."""
    fits = (
        number
        for number, (vector, prediction) in enumerate(project.told)
        if vector.features["terminal_risk__count_30d"] > 2 and prediction.receipt.batch_as_of  # type: ignore[operator]
    )
    return [number for number, _ in zip(fits, range(most), strict=False)]


def _key(vector: FeatureVector, name: str) -> dict[str, Any]:
    return {name: vector.event[name]}


def _causes(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    """How many values differ, by feature and cause, where some do."""
    return {
        one["name"]: {cause: count for cause, count in one["causes"].items() if count}
        for one in found["found"]["features"]
        if one["differing"]
    }
