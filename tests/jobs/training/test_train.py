"""From history to a registered model, and back to scores of history."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.arrow import table_matrix
from features.inputs.matrix import matrix
from features.service import Service
from features.times import DAY_MS
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.history.batch_views import materialize
from jobs.history.compute import compute
from jobs.predict.score import score_history
from jobs.training.fitted import onnx_scores
from jobs.training.metrics import auc
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.manifest import Manifest
from serving.models.registry import Registry
from serving.models.session import load_model

LABEL = "labels.is_fraud"
CONFIG = TrainSettings(label=LABEL).config
SPLIT = Split(date(2018, 4, 20), days=7, delay_days=7, test_days=7)


@pytest.mark.slow
def test_a_trained_model_scores_history(small: Service, tmp_path: Path) -> None:
    """Train, register, load, score: the training days' scores are good, and the manifest says what the model is."""
    registry = Registry(tmp_path)
    manifest: Manifest = train(small, CONFIG, SPLIT, register=registering(registry), clock=lambda: 5.0).manifest
    assert manifest.inputs == small.plan.inputs
    assert manifest.plan == small.plan.digest
    assert manifest.trained_from is not None
    assert manifest.trained_until == manifest.trained_from + 7 * DAY_MS
    assert manifest.created_at == 5000
    score = partial(load_model(registry.get("handbook", manifest.version)).score_table, plan=small.plan)
    start = manifest.trained_from
    scored = score_history(small, score, start_ms=start, end_ms=manifest.trained_until)
    assert scored.num_rows == manifest.metrics["rows"]
    labels = pq.read_table(small.folder / "data" / "labels.parquet").to_pandas().set_index("transaction_id")["is_fraud"]
    assert auc(labels[scored["transaction_id"].to_numpy()].to_numpy(), scored["score"].to_numpy()) > 0.9


@pytest.mark.slow
def test_what_is_measured_depends_on_the_group(small: Service, tmp_path: Path) -> None:
    """Without a group there is no metric of groups and no row is left out; with both options, fewer rows are tested."""
    register = registering(Registry(tmp_path))
    without = train(small, CONFIG, SPLIT, register=register).metrics
    settings = TrainSettings(label=LABEL, group="customer_id", group_top=10, leave_out_known_positives=True)
    ranked = train(small, settings.config, SPLIT, register=register).metrics
    names = ["auc", "average_precision", "positives", "rows", "test_positives", "test_rows"]
    assert sorted(without) == names
    assert sorted(ranked) == sorted([*names, "precision_at_10_by_customer_id"])
    assert (ranked["rows"], ranked["positives"]) == (without["rows"], without["positives"])
    assert ranked["test_rows"] < without["test_rows"]
    first = DAY_MS * SPLIT.first_test_day
    times = pq.read_table(small.folder / "data" / "transactions.parquet")["event_time"].cast(pa.int64()).to_numpy()
    assert without["test_rows"] == ((times >= first) & (times < first + 7 * DAY_MS)).sum()


@pytest.mark.slow
def test_the_settings_reach_the_model(small: Service, tmp_path: Path) -> None:
    """Trees, depth and learning rate each change the model that comes out."""
    register = registering(Registry(tmp_path))
    several = ({"trees": 3}, {"trees": 4}, {"trees": 3, "depth": 2}, {"trees": 3, "learning_rate": 0.1})
    made = [train(small, TrainSettings(label=LABEL, **one).config, SPLIT, register=register).onnx for one in several]
    assert len(set(made)) == len(several)


@pytest.mark.slow
def test_rows_without_a_batch_row_are_counted(small_copy: Path, tmp_path: Path) -> None:
    """Of training in the manifest, beside its rows; of training and test together for the warning."""
    service = load(small_copy).service("fraud")
    materialize(service, date(2018, 4, 22), date(2018, 5, 3))
    result = train(service, CONFIG, SPLIT, register=registering(Registry(tmp_path)))
    table = compute(service, start_ms=SPLIT.first_day * DAY_MS, end_ms=(SPLIT.first_day + SPLIT.days) * DAY_MS)
    days = table["event_time"].to_numpy() // DAY_MS - SPLIT.first_day
    lacking = table["_incomplete_customer_profile"].is_valid().to_numpy()
    assert lacking[days < 2].all()
    assert result.metrics["rows_without_batch_row"] == lacking.sum() < len(lacking)
    (found,) = result.batch
    assert found.events == result.metrics["rows"] + result.metrics["test_rows"]
    assert found.missing >= result.metrics["rows_without_batch_row"]
    assert found.stale > 0
    assert found.oldest_ms // DAY_MS == 7


@pytest.mark.slow
def test_equal_data_give_equal_bytes(small: Service, tmp_path: Path) -> None:
    """Training is repeatable: the same history gives the same sha256."""
    made = [train(small, CONFIG, SPLIT, register=registering(Registry(tmp_path))) for _ in range(2)]
    assert made[0].onnx == made[1].onnx


@pytest.mark.slow
def test_days_without_positives_are_refused(small: Service, tmp_path: Path) -> None:
    """There is nothing to learn from rows of one class; the error says how many came."""
    with pytest.raises(SettingError, match="got 0 rows, 0 of them labelled 1, in the training from 2019-01-01 for 7 days"):
        train(small, CONFIG, Split(date(2019, 1, 1), 7, 7, 7), register=registering(Registry(tmp_path)))


@pytest.mark.slow
def test_a_regression_learns_a_number(small: Service, tmp_path: Path) -> None:
    """Its metrics are a regression's, and it is nearer to the labels than their mean is."""
    config = TrainSettings(label="transactions.amount", task="regression", trees=20).config
    manifest: Manifest = train(small, config, SPLIT, register=registering(Registry(tmp_path))).manifest
    assert sorted(manifest.metrics) == ["bias", "mae", "mae_of_mean", "r2", "rmse", "rows", "test_rows"]
    assert manifest.metrics["mae"] < 0.5 * manifest.metrics["mae_of_mean"]
    assert manifest.task == "regression"
    assert manifest.lineage == {
        "trainer": "xgboost",
        "label": "transactions.amount",
        "trees": "20",
        "depth": "6",
        "learning_rate": "0.3",
        "seed": "0",
    }


@pytest.mark.slow
def test_a_version_is_registered_with_rows_to_replay_it_on(small: Service) -> None:
    """At most 256 of the test rows, from first to last, in the order of the inputs and as float32 holds them; a null is None."""
    config = TrainSettings(label=LABEL, trees=2).config
    given = train(small, config, SPLIT, register=lambda onnx, **known: known).manifest
    golden = given["golden_rows"]
    assert len(golden) == 256
    assert {len(row) for row in golden} == {len(given["inputs"])}
    span = {"start_ms": SPLIT.first_test_day * DAY_MS, "end_ms": SPLIT.end_day * DAY_MS}
    rows = table_matrix(compute(small, **span), small.plan, given["inputs"]).tolist()
    assert golden[0] == tuple(rows[0])
    assert golden[-1] == tuple(rows[-1])
    assert given["plan"] == small.plan


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["lightgbm", "logistic"])
def test_a_null_is_scored_as_the_library_scores_it(small: Service, tmp_path: Path, trainer: str) -> None:
    """A version of the registry, loaded as the scorer loads it, has a score for a null: its graph knows what a null is."""
    registry, known = Registry(tmp_path), {}

    def register(onnx: bytes, **given: Any) -> Manifest:
        known.update(given)
        return registering(registry)(onnx, **given)

    config = TrainSettings(label=LABEL, trainer=trainer).config
    made = train(small, config, SPLIT, register=register)
    rows = [(*row[:place], None, *row[place + 1 :]) for row in known["golden_rows"][:50] for place in range(len(row))]
    loaded = load_model(registry.get("handbook", made.manifest.version)).score(rows).scores
    assert loaded == onnx_scores(made.onnx, matrix(rows)).tolist()
    assert all(0 <= score <= 1 for score in loaded)
    assert len(set(loaded)) > 50
