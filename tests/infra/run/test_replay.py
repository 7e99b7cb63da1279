"""A replay on the local stack: what the scorer uses of batch views is what history gives, day by day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from bench.common import polled
from features.definitions.load import load
from features.times import day_ms
from infra.cli import run
from infra.local import stack
from infra.settings import load_settings
from jobs.history.compute import compute
from schemas import Prediction
from schemas.codec import decode_prediction
from tests.support.models import register, stumps

pytestmark = pytest.mark.stack


@pytest.fixture
def project(small_copy: Path) -> Iterator[Path]:
    """The example, up, with the rows of 1 to 3 May, and those of 3 May online."""
    plan = load(small_copy).service("fraud").plan
    register(small_copy / "models", plan, stumps([0.01 * (place + 1) for place in range(len(plan.inputs))]))
    (small_copy / "headrace.toml").write_text('services = ["fraud"]\n[scorer]\nbatch_cache_seconds = 0.5\n')
    assert run(["batch-views", "fraud", *_project(small_copy), "--from", "2018-05-01", "--to", "2018-05-04", "--push"]) == 0
    try:
        assert run(["up", *_project(small_copy)]) == 0
        yield small_copy
    finally:
        run(["down", *_project(small_copy)])


def test_each_event_is_scored_with_its_days_rows(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three days replayed have the batch inputs of history; published events of April have none, and status says so."""
    replayed = ["--from", "2018-05-01", "--to", "2018-05-04"]
    assert run(["replay", "fraud", *_project(project), *replayed]) == 0
    service = load(project).service("fraud")
    history = compute(service, start_ms=day_ms(date(2018, 5, 1)), end_ms=day_ms(date(2018, 5, 4))).to_pylist()
    found = predictions(project, len(history))
    names = [name for name in service.plan.inputs if name.startswith("customer_profile__")]
    for row in history:
        receipt = found[row["transaction_id"]].receipt
        assert receipt.batch_as_of.get("customer_profile") == row["_as_of_customer_profile"]
        assert receipt.incomplete.get("customer_profile") == row["_incomplete_customer_profile"]
        assert [receipt.inputs[name] for name in names] == [row[name] for name in names]
    assert {
        receipt.batch_as_of["customer_profile"] for receipt in (p.receipt for p in found.values()) if receipt.batch_as_of
    } == {day_ms(date(2018, 5, day)) for day in (1, 2, 3)}
    capsys.readouterr()
    assert run(["status", *_project(project)]) == 0
    assert "without a row, as it is too_new" not in capsys.readouterr().err
    events = project / "data" / "transactions.parquet"
    published = ["--topic", "transactions", "--from", "2018-04-20", "--to", "2018-04-22"]
    assert run(["publish", str(events), *published, *_project(project)]) == 0
    assert "to change them with the days, use 'headrace replay fraud'" in " ".join(capsys.readouterr().err.split())
    late = compute(service, start_ms=day_ms(date(2018, 4, 20)), end_ms=day_ms(date(2018, 4, 22))).num_rows
    of_april = [p for p in predictions(project, len(history) + late).values() if p.event_time < day_ms(date(2018, 5, 1))]
    assert {tuple(p.receipt.incomplete.items()) for p in of_april} == {(("customer_profile", "too_new"),)}
    assert {p.receipt.inputs[name] for p in of_april for name in names} == {None}
    assert run(["status", *_project(project)]) == 0
    assert f"{len(of_april):,} without a row, as it is too_new" in " ".join(capsys.readouterr().err.split())


def _project(folder: Path) -> list[str]:
    return ["--project", str(folder)]


def predictions(project: Path, count: int, seconds: float = 60) -> dict[int | str, Prediction]:
    """The predictions by event, once there are so many."""
    bootstrap = stack.bootstrap(project, load_settings(project))
    deadline = time.monotonic() + seconds
    while True:
        found = [decode_prediction(r.value) for records in polled(bootstrap, "predictions.fraud") for r in records]
        if len(found) >= count:
            return {one.event_id: one for one in found}
        assert time.monotonic() < deadline, f"{len(found)} of {count} predictions"
        time.sleep(0.5)
