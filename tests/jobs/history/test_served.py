"""`headrace features --as-of served`: the values that a model was given, by the receipts of its predictions."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from infra.cli import run
from infra.local.broker import Broker
from schemas import Origin, Prediction, Receipt
from schemas.codec import encode
from tests.support.num import T, num_project


def prediction(event: int, inputs: dict[str, Any], *, plan: str, complete: bool = True) -> bytes:
    """Of an event that was served these inputs."""
    receipt = Receipt(Origin("num", 0, event), plan, "num", 3, "s", inputs, {}, complete, 1, 2, T + event)
    return encode(Prediction(event, T, 0.5, receipt))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose events have the ids 0, 1, …"""
    return num_project(tmp_path_factory.mktemp("served") / "a num")


def served(project: Path, *options: str) -> list[dict[str, Any]]:
    """The rows that the command writes."""
    out = project / "out.parquet"
    assert run(["features", "num", "--as-of", "served", *options, "--out", str(out), "--project", str(project)]) == 0
    return pq.read_table(out).to_pylist()


def test_what_was_served_and_what_was_not(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Values as the receipts have them, nulls where there is none; a repeat does not count; what is amiss is told."""
    now = load(project).service("num").plan.short_digest
    ids = pq.read_table(project / "data" / "num.parquet")["id"].to_pylist()
    count, other = "totals__count_id", "totals__other"
    lines = [
        prediction(ids[1], {count: 7, other: 1.5}, plan="another"),
        prediction(ids[0], {count: 5}, plan=now, complete=False),
        prediction(ids[0], {count: 6}, plan=now),
        prediction(-1, {count: 9}, plan=now),
    ]
    tailed = b'{"topic":"predictions.num","partition":0,"offset":1,"timestamp":1,"key":null,"value":%s}'
    file = tmp_path / "receipts.jsonl"
    file.write_bytes(b"\n".join([lines[0], b"", *(tailed % line for line in lines[1:])]))
    first, second, *rest = served(project, "--receipts", str(file), "--label")
    assert (first["id"], first[count], first[other], first["_complete"], first["_plan"]) == (ids[0], 5, None, False, now)
    assert (second["id"], second[count], second[other], second["_model"], second["_version"]) == (ids[1], 7, 1.5, "num", 3)
    assert second["_served_at"] == T + ids[1]
    assert [row["id"] for row in rest] == ids[2:]
    assert {row[count] for row in rest} == {row["_served_at"] for row in rest} == {None}
    assert None not in {row["label"] for row in rest}
    said = " ".join(capsys.readouterr().err.split())
    assert f"{len(rest)} of {len(ids)} rows have no receipt: nothing was served of them" in said
    assert f"1 of {len(ids)} rows were served with windows or batch rows that were not whole" in said
    assert f"1 of {len(ids)} rows were served by another plan than {now}" in said


def test_what_is_no_receipt_is_refused(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file and the line; and receipts without --as-of served are."""
    file = tmp_path / "receipts.jsonl"
    for text, message in (
        (
            json.dumps({"event_id": 1}),
            "receipts.jsonl, line 1: a receipt is in a prediction, docs/messages.md; got ",
        ),
        ("no JSON", "receipts.jsonl, line 1: a receipt is in a prediction"),
    ):
        file.write_text(text)
        command = ["features", "num", "--out", str(tmp_path / "x.parquet"), "--project", str(project), "--receipts", str(file)]
        assert run([*command, "--as-of", "served"]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert run(command) == 2
    assert "--receipts is for what was served; got --as-of event-time; add --as-of served" in capsys.readouterr().err


@pytest.mark.stack
def test_receipts_are_read_from_the_topic(project: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all partitions, from the beginning to where they end."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    now = load(project).service("num").plan.short_digest
    ids = pq.read_table(project / "data" / "num.parquet")["id"].to_pylist()
    broker.create_topics({"predictions.num": 2})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event in ids:
            producer.send("predictions.num", prediction(event, {"totals__count_id": event}, plan=now), partition=event % 2)
    rows = served(project)
    assert [row["totals__count_id"] for row in rows] == ids
