"""`headrace retrain --when decay`: production's predictions have met their labels, and are clearly worse than at training."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.inputs.arrow import floats
from jobs.history.compute import compute
from schemas import Prediction, Receipt
from schemas.codec import encode
from tests.infra.retraining.support import Look, entries

pytestmark = pytest.mark.slow


def predictions_of(project: Path, score: Callable[[int], float]) -> Path:
    """A file of production's predictions of all of history."""
    plan = load(project).service("num").plan
    lines = []
    for row in floats(compute(load(project).service("num"))).to_pylist():
        receipt = Receipt(None, plan.short_digest, "num", 1, "0", {}, {}, True, row["at"], row["at"], row["at"])
        lines.append(encode(Prediction(row["id"], row["at"], score(row["id"]), receipt)).decode())
    file = project / "predictions.jsonl"
    file.write_text("\n".join(lines))
    return file


def with_metrics(project: Path, **metrics: float) -> None:
    """Have production's manifest say how it did at training."""
    file = project / "models" / "num" / "1" / "manifest.json"
    file.chmod(0o644)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"metrics": metrics}))


def with_labels_of_all_keys(project: Path) -> None:
    """Every second event is bad: a draw of keys has both kinds."""
    file = project / "data" / "outcomes.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(2, "bad", pa.array([number % 2 for number in table["id"].to_pylist()])), file)


def test_decay_is_a_reason_once_the_interval_is_below_what_was_at_training(project: Path, look: Look) -> None:
    """Scores against the labels, where training said 0.99."""
    with_labels_of_all_keys(project)
    with_metrics(project, average_precision=0.99)
    bad = predictions_of(project, lambda number: 1 - number % 2)
    said = look("--when", "decay", "--receipts", str(bad))
    assert "for decay: average precision 0.5000 [" in said
    assert "of 12 predictions from 2024-05-04 to 2024-05-04, 0.9900 at training" in said
    (entry,) = entries(project)
    assert entry.action == "alias"
    assert "for decay: average precision 0.5000 [" in entry.why


def test_what_has_not_decayed_is_said_with_its_figures(project: Path, look: Look) -> None:
    """Once: predictions are read again as soon as a newer day is matured. Of scores alone nothing is said."""
    with_labels_of_all_keys(project)
    good = predictions_of(project, lambda number: number % 2)
    assert "not for decay: num v1 has no average precision of its training" in look("--when", "decay", "--receipts", str(good))
    (project / ".headrace" / "retrain" / "num.json").unlink()
    with_metrics(project, average_precision=0.99)
    assert "not for decay: average precision 1.0000 [" in look("--when", "decay", "--receipts", str(good))
    good.unlink()
    assert "not for decay: average precision 1.0000 [" in look("--when", "decay", "--receipts", str(good))
    assert [entry.action for entry in entries(project)] == ["postpone", "postpone"]


def test_what_cannot_be_measured_yet_is_looked_at_again(project: Path, look: Look) -> None:
    """A monitor's first look is at its start, when the predictions may be yet to come: the log then has what is new."""
    with_labels_of_all_keys(project)
    with_metrics(project, average_precision=0.99)
    file = predictions_of(project, lambda number: number % 2)
    every = file.read_text()
    file.write_text("\n".join(every.splitlines()[:12]))
    assert "not for decay: there are no predictions of num v1 from 2024-05-04" in look("--when", "decay", "--receipts", str(file))
    look("--when", "decay", "--receipts", str(file))
    file.write_text(every)
    assert "not for decay: average precision 1.0000 [" in look("--when", "decay", "--receipts", str(file))
    first, second = (entry.why for entry in entries(project))
    assert "there are no predictions" in first
    assert "average precision 1.0000" in second


def test_labels_that_come_after_months_are_met(project: Path, look: Look) -> None:
    """Where they are due 40 days later, so far a prediction is joined with its label."""
    with_labels_of_all_keys(project)
    with_metrics(project, average_precision=0.99)
    file = project / "data" / "outcomes.parquet"
    table = pq.read_table(file)
    late = pa.array([at + timedelta(days=39) for at in table["at"].to_pylist()], pa.timestamp("ms", tz="UTC"))
    pq.write_table(table.set_column(1, "at", late), file)
    bad = predictions_of(project, lambda number: 1 - number % 2)
    said = look("--when", "decay", "--delay", "40", "--dry-run", "--receipts", str(bad))
    assert "for decay: average precision 0.5000 [" in said


def test_known_positives_are_left_out_as_a_test_does(project: Path, look: Look) -> None:
    """By predictions from the first day of training on; where they do not reach so far nothing is said."""
    with_labels_of_all_keys(project)
    with_metrics(project, average_precision=0.99)
    file = project / "headrace.toml"
    file.write_text(file.read_text().replace("trees = 2", 'trees = 2\ngroup = "k"\nleave_out_known_positives = true'))
    good = predictions_of(project, lambda number: number % 2)
    lines = good.read_text().splitlines()
    good.write_text("\n".join(lines[-12:]))
    assert "known positives are left out by predictions from 2024-05-02 on, and there are none so early" in look(
        "--when", "decay", "--receipts", str(good)
    )
