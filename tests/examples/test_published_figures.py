"""The example's own settings, on all of its data: the figures that the Fraud Detection Handbook publishes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from features.definitions.load import load
from infra.models import registering
from infra.settings import load_settings
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.registry import Registry


@pytest.mark.slow
def test_the_handbooks_figures_are_met(handbook_data: Path, tmp_path: Path) -> None:
    """The published row of XGBoost: trained on 2018-07-25 to 31, tested on 2018-08-08 to 14 without blocked cards."""
    result = train(
        load(handbook_data).service("handbook"),
        load_settings(handbook_data).train["handbook"].config,
        Split(date(2018, 7, 25), days=7, delay_days=7, test_days=7),
        register=registering(Registry(tmp_path)),
    )
    # Published are 0.862, 0.639 and 0.273.
    figures = {"auc": 0.8618, "average_precision": 0.6389, "precision_at_100_by_customer_id": 0.2729}
    assert {name: result.metrics[name] for name in figures} == pytest.approx(figures, abs=0.0001)
    counts = {"rows": 67_240, "positives": 598, "test_rows": 58_264, "test_positives": 385}
    assert {name: result.metrics[name] for name in counts} == counts
