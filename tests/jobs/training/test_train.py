"""From history to a registered model, and back to scores of history."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from onnxruntime import InferenceSession
from pydantic import ValidationError
from xgboost import XGBClassifier

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.output import scores
from features.plan import DAY_MS
from features.service import Service
from jobs.predict.score import score_history
from jobs.training.experiment import rows_to_test
from jobs.training.metrics import auc, average_precision, card_precision
from jobs.training.split import Split
from jobs.training.train import TrainConfig, to_onnx, train
from serving.models.manifest import Manifest
from serving.models.registry import Registry
from serving.models.session import load_session

CONFIG = TrainConfig(label="labels.is_fraud", group="customer_id")
FROM = date(2018, 4, 20)


def test_the_handbooks_figures_are_met(handbook_data: Path, tmp_path: Path) -> None:
    """The published row of XGBoost: trained on 2018-07-25 to 31, tested on 2018-08-08 to 14."""
    result = train(
        load(handbook_data).service("handbook"), CONFIG, train_from=date(2018, 7, 25), register=Registry(tmp_path).register
    )
    assert result.metrics["auc"] == pytest.approx(0.862, abs=0.01)
    assert result.metrics["average_precision"] == pytest.approx(0.639, abs=0.01)
    assert result.metrics["card_precision_100"] == pytest.approx(0.273, abs=0.01)
    assert result.metrics["rows"] == 67_240
    assert result.metrics["test_rows"] == 58_264


@pytest.mark.core
def test_a_trained_model_scores_history(small: Service, tmp_path: Path) -> None:
    """Train, register, load, score: the test days' scores are good, and the manifest says what the model is."""
    registry = Registry(tmp_path)
    manifest: Manifest = train(small, CONFIG, train_from=FROM, register=registry.register, clock=lambda: 5.0).manifest
    assert manifest.inputs == small.plan.inputs
    assert manifest.plan == small.plan.digest
    assert (manifest.trained_until - manifest.trained_from) / DAY_MS == 7
    assert manifest.created_at == 5000
    session = load_session(registry.get("handbook", manifest.version))
    start = manifest.trained_from
    scored = score_history(small, lambda x: scores(session, x), start_ms=start, end_ms=manifest.trained_until)
    assert scored.num_rows == manifest.metrics["rows"]
    labels = pq.read_table(small.folder / "data" / "labels.parquet").to_pandas().set_index("transaction_id")["is_fraud"]
    assert auc(labels[scored["transaction_id"].to_numpy()].to_numpy(), scored["score"].to_numpy()) > 0.9


@pytest.mark.core
def test_equal_data_give_equal_bytes(small: Service, tmp_path: Path) -> None:
    """Training is repeatable: the same history gives the same sha256."""
    made = [train(small, CONFIG, train_from=FROM, register=Registry(tmp_path).register) for _ in range(2)]
    assert made[0].onnx == made[1].onnx


@pytest.mark.core
def test_a_null_is_to_onnx_what_it_is_to_xgboost() -> None:
    """NaN takes each tree's default branch: scores agree within 1e-5 where a third of the inputs are null."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 4)).astype(np.float32)
    labels = (x[:, 0] + random.normal(size=2000) > 0).astype(np.int64)
    x[random.random(x.shape) < 1 / 3] = np.nan
    classifier = XGBClassifier(n_estimators=30, tree_method="exact", base_score=0.5, n_jobs=1).fit(x, labels)
    session = InferenceSession(to_onnx(classifier, 4))
    np.testing.assert_allclose(scores(session, x), classifier.predict_proba(x)[:, 1], atol=1e-5)


@pytest.mark.core
def test_cards_known_to_be_defrauded_are_not_tested() -> None:
    """Known are the frauds of training, and with each test day those of one more day of the delay."""
    split = Split(date(1970, 1, 1), days=2, delay_days=2, test_days=2)
    rows = [
        ("in training", 0, 1),
        ("in training", 4, 0),
        ("in the delay", 2, 1),  # found before the second test day
        ("in the delay", 4, 0),
        ("in the delay", 5, 0),
        ("never", 4, 1),
        ("never", 6, 0),
        ("never", 5, None),
    ]
    frame = pd.DataFrame(rows, columns=["key", "day", "label"])
    assert frame[rows_to_test(frame, split)][["key", "day"]].values.tolist() == [["in the delay", 4], ["never", 4]]


@pytest.mark.core
def test_a_card_that_was_found_leaves() -> None:
    """The second day's two highest are the first day's, of which one was a fraud and is blocked."""
    rows = [
        ("a", 1, 1, 0.9),
        ("b", 1, 0, 0.8),
        ("c", 1, 1, 0.1),
        ("a", 2, 1, 0.9),
        ("b", 2, 1, 0.8),
        ("c", 2, 1, 0.7),
    ]
    frame = pd.DataFrame(rows, columns=["key", "day", "label", "score"])
    assert card_precision(frame, top=2) == (1 / 2 + 2 / 2) / 2


@pytest.mark.core
def test_metrics_are_those_of_a_ranking() -> None:
    """One of two negatives above one of two positives: three of four pairs are in order; precisions are 1 and 2/3."""
    labels, ranked = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert auc(labels, ranked) == 3 / 4
    assert average_precision(labels, ranked) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.core
def test_days_without_frauds_are_refused(small: Service, tmp_path: Path) -> None:
    """There is nothing to learn from rows of one class; the error says how many came."""
    with pytest.raises(SettingError, match="got 0 rows, 0 of them labelled 1, in the training from 2019-01-01 for 7 days"):
        train(small, CONFIG, train_from=date(2019, 1, 1), register=Registry(tmp_path).register)


@pytest.mark.core
def test_a_label_is_a_column_of_a_source(small: Service, tmp_path: Path) -> None:
    """Neither an unknown source nor a bare column is guessed at."""
    with pytest.raises(ValidationError):
        TrainConfig(label="is_fraud", group="customer_id")
    config = TrainConfig(label="label.is_fraud", group="customer_id")
    with pytest.raises(SettingError, match=r"got 'label.is_fraud'; the sources are labels, transactions"):
        train(small, config, train_from=FROM, register=Registry(tmp_path).register)
