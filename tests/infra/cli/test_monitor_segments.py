"""Predictions watched apart by a column of their events that no model reads: from training to alarms, over history and live."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import msgspec
import numpy as np
import pytest
from kafka import TopicPartition

from features.definitions.load import load
from features.inputs.bins import LONGEST, NULL
from features.inputs.reference import SCORE
from features.times import DAY_MS, day_ms
from infra.cli import run
from infra.config import monitor_rules
from infra.models import references, registering
from infra.monitor_settings import MonitorSettings
from infra.monitoring import drift_over_history, reference_of
from infra.train_settings import TrainSettings
from jobs.history.compute import compute
from jobs.training.split import Split
from jobs.training.train import train
from schemas import Prediction
from schemas.codec import decode_prediction, encode
from serving.models.registry import Registry
from serving.monitor.monitor import Monitor, columns_of
from serving.monitor.run import Loop
from serving.monitor.state import State
from serving.predict.lineup import no_rows
from tests.support.streamed import streamed

pytestmark = pytest.mark.slow

AMOUNT = "transaction_amount__amount"
LONG = "l" * 2 * LONGEST
SEGMENTS = ("channel", "kind", AMOUNT)


@pytest.fixture(scope="module")
def project(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events with a channel and a kind, which no model reads, and a history in which amounts of one channel are others.

    The production version is watched by both.
    """
    folder = Path(shutil.copytree(small_data, tmp_path_factory.mktemp("watched") / "project"))
    definitions, events = folder / "definitions.py", folder / "data" / "transactions.parquet"
    of_transactions = "customer_id long, terminal_id long, amount decimal(12,2)"
    definitions.write_text(definitions.read_text().replace(of_transactions, f"{of_transactions}, channel string, kind long"))
    channel = f"CASE transaction_id % 5 WHEN 0 THEN 'web' WHEN 1 THEN 'web' WHEN 2 THEN NULL WHEN 3 THEN '{LONG}' ELSE 'shop' END"
    duckdb.sql(f"COPY (SELECT *, {channel} AS channel, transaction_id % 2 AS kind FROM '{events}') TO '{folder}/more.parquet'")
    (folder / "more.parquet").rename(events)
    moved = "amount * (CASE WHEN channel = 'web' AND event_time >= TIMESTAMP '2018-05-08' THEN 20 ELSE 1 END)"
    duckdb.sql(f"COPY (SELECT * REPLACE (CAST({moved} AS DECIMAL(12, 2)) AS amount) FROM '{events}') TO '{folder}/moved.parquet'")
    registry = Registry(folder / "models")
    config = TrainSettings(label="labels.is_fraud", trees=5, segments=SEGMENTS).config
    train(load(folder).service("handbook"), config, Split(date(2018, 4, 20), 7, 7, 7), register=registering(registry))
    registry.set_alias("handbook", "production", 1)
    return folder


def test_a_version_is_held_against_the_columns_of_its_events(project: Path) -> None:
    """They are watched as inputs are, behind those; its manifest says which its receipts have to carry."""
    model = Registry(project / "models").get("handbook", 1)
    reference, plan = reference_of(model), load(project).service("handbook").plan
    assert [one.name for one in reference.histograms] == [*plan.inputs, "channel", "kind", SCORE]
    assert model.manifest.segments == ("channel", "kind")
    channel, kind, _ = reference.segments
    assert channel.names == ("web", "(others)")
    assert kind.names == ("0", "1", "(others)")
    whole = {one.name: one for one in reference.histograms}
    assert set(whole["channel"].bins.categories) == {"web", "shop", LONG[:LONGEST]}
    for segments in reference.segments:
        for own in zip(*segments.histograms, strict=True):
            assert np.sum([one.counts for one in own], axis=0).tolist() == list(whole[own[0].name].counts)


def test_what_happens_to_one_channel_is_found(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over history: of amounts within the channels those of this one drift, from the day on when they are others."""
    monkeypatch.setenv("HEADRACE_MONITOR__MIN_EVENTS", "50")
    words = ["monitor", "handbook", "--from", "2018-05-04", "--to", "2018-05-13", "--project", str(project)]
    assert run([*words, "--history", f"transactions={project / 'moved.parquet'}", "--json"]) == 0
    windows = json.loads(capsys.readouterr().out)["windows"]
    drifted = [
        {one["segment"] for one in window["segments"] if one["input"] == AMOUNT and one["segment"].startswith("channel")}
        for window in windows
    ]
    assert drifted == [set()] * 4 + [{"channel is web"}] * 5


def test_receipts_count_as_history_does(project: Path) -> None:
    """The same events, as vectors of the stream through a scorer's parts: every counter is equal, of segments too."""
    service, model = load(project).service("handbook"), Registry(project / "models").get("handbook", 1)
    start = day_ms(date(2018, 5, 4))
    rows = compute(service, start_ms=start, end_ms=start + DAY_MS).to_pylist()
    found = [one for one in streamed(model, service.plan, rows, service.functions, no_rows) if isinstance(one, Prediction)]
    assert len(found) == len(rows) > 100
    carried = [one.receipt.segments for one in found]
    assert {msgspec.to_builtins(one)["channel"] for one in carried} == {"web", "shop", LONG[:LONGEST], None}
    section = MonitorSettings(min_events=100)
    of_history = drift_over_history(service, model, reference_of(model), section, start_ms=start, end_ms=start + DAY_MS)
    live = Monitor(State("handbook", "day"), monitor_rules(section), references(Registry(project / "models")))
    values = [one.receipt.inputs | msgspec.to_builtins(one.receipt.segments) for one in found]
    times = np.array([one.event_time for one in found], np.int64)
    live.count("handbook", 1, times, columns_of(values, [one.score for one in found], reference_of(model)))
    (window,) = live.state.versions["handbook/1"].windows.values()
    assert set(window.segments) == set(SEGMENTS)
    live.advance(2**62)
    (verdict,) = live.state.versions["handbook/1"].closed
    assert verdict == of_history.verdicts[0]


def test_receipts_of_an_older_scorer_say_nothing_of_them(project: Path) -> None:
    """They carry no column of the events, which is not that it was null: they are counted by all but those."""
    service, model = load(project).service("handbook"), Registry(project / "models").get("handbook", 1)
    start = day_ms(date(2018, 5, 4))
    rows = compute(service, start_ms=start, end_ms=start + DAY_MS).to_pylist()
    made = [encode(one) for one in streamed(model, service.plan, rows, service.functions, no_rows) if isinstance(one, Prediction)]
    old = [msgspec.json.decode(one) for one in made[::2]]
    for one in old:
        del one["receipt"]["segments"]
    monitor = Monitor(State("handbook", "day"), monitor_rules(MonitorSettings()), references(Registry(project / "models")))
    loop = Loop(monitor, None, None, None)  # type: ignore[arg-type]
    values = [value for pair in zip(map(msgspec.json.encode, old), made[1::2], strict=False) for value in pair]
    loop._count(TopicPartition("t", 0), [SimpleNamespace(value=value, offset=at) for at, value in enumerate(values)])
    (window,) = monitor.state.versions["handbook/1"].windows.values()
    assert window.rows == sum(window.counts[AMOUNT]) == len(values) > 100
    carried = [decode_prediction(one).receipt.segments for one in made[1::2]]
    nulls = sum(msgspec.to_builtins(one)["channel"] is None for one in carried[: len(values) // 2])
    assert (sum(window.counts["channel"]), window.counts["channel"][NULL]) == (len(values) // 2, nulls)
    assert sum(window.segments["channel"][AMOUNT]) == len(values) // 2
    assert sum(window.segments[AMOUNT]["kind"]) == len(values) // 2


def test_a_model_without_them_carries_nothing(project: Path, tmp_path: Path) -> None:
    """Nor does one whose segments are inputs: its receipts are what they were."""
    service, registry = load(project).service("handbook"), Registry(tmp_path)
    config = TrainSettings(label="labels.is_fraud", trees=5, segments=(AMOUNT,)).config
    train(service, config, Split(date(2018, 4, 20), 7, 7, 7), register=registering(registry))
    rows = compute(service, start_ms=day_ms(date(2018, 5, 4))).to_pylist()[:3]
    for one in streamed(registry.get("handbook", 1), service.plan, rows, service.functions, no_rows):
        assert isinstance(one, Prediction)
        assert one.receipt.segments is msgspec.UNSET
