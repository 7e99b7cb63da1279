"""`headrace outcomes` reads the predictions of an environment from its topic, as it does from a file."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from infra.cli import run
from infra.local.broker import Broker
from schemas import Prediction, Receipt
from schemas.codec import encode
from tests.support.num import num_project

pytestmark = pytest.mark.stack


def test_predictions_of_a_topic_are_those_of_a_file(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several partitions, up to the end as it is, in any order of the keys; a tombstone says nothing; no topic is one line."""
    folder, name = num_project(tmp_path / "num"), f"num-{uuid.uuid4().hex[:8]}"
    for file in ("definitions.py", "headrace.toml"):
        text = (folder / file).read_text()
        text = text.replace('FeatureService(name="num"', f'FeatureService(name="{name}"').replace(
            "[train.num]", f"[train.{name}]"
        )
        (folder / file).write_text(
            text.replace('services = ["num"]', f'services = ["{name}"]').replace('service = "num"', f'service = "{name}"')
        )
    lines = []
    for row in pq.read_table(folder / "data" / "num.parquet").to_pylist():
        at = round(row["at"].timestamp() * 1000)
        receipt = Receipt(None, "p", "num", 1, "0", {"n": row["n"]}, {}, True, at, at, at)
        lines.append((row["k"], encode(Prediction(row["id"], at, 0.9 if row["id"] % 3 == 2 else 0.2, receipt))))
    (folder / "predictions.jsonl").write_bytes(b"\n".join(line for _, line in lines))
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)

    def told(*options: str) -> dict[str, Any]:
        assert run(["outcomes", name, "--delay", "1", *options, "--json", "--project", str(folder)]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    topic = f"predictions.{name}.staging"
    assert run(["outcomes", name, "--alias", "staging", "--project", str(folder)]) == 2
    assert topic in capsys.readouterr().err
    broker.create_topics({topic: 3})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for key, line in [*lines, ("gone", None)]:
            producer.send(topic, line, key=str(key).encode())
        producer.flush()
    of_topic = told("--alias", "staging")
    assert of_topic["predictions"] == len(lines) == 48
    assert of_topic["performances"][0]["metrics"]["auc"]["value"] == 1.0
    of_file = told("--predictions", str(folder / "predictions.jsonl"))
    counted = [
        [(one["kind"], one["name"], one["rows"], one["labelled"]) for one in of["performances"]] for of in (of_topic, of_file)
    ]
    assert counted[0] == counted[1]
