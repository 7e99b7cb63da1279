"""Labels: where they are, which values they have, and what is refused."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import DefinitionError, SettingError
from features.service import Service
from features.times import DAY_MS
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.history.compute import compute
from jobs.training.labels import labels_of, outcomes, positives
from jobs.training.rows import rows_of
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.registry import Registry

pytestmark = pytest.mark.slow


def test_positives_are_the_events_labelled_1(small: Service) -> None:
    """The ids come from the label's source, whether or not the plan reads it."""
    rows = pq.read_table(small.folder / "data" / "labels.parquet")
    assert positives(small, "labels.is_fraud") == set(rows.filter(pc.equal(rows["is_fraud"], 1))["transaction_id"].to_pylist())


def test_a_label_is_a_column_of_a_source(small: Service) -> None:
    """Neither an unknown source nor a bare column nor an unknown column is guessed at."""
    with pytest.raises(SettingError, match=r"got 'label.is_fraud'; the sources are labels, transactions"):
        labels_of(small, "label.is_fraud", "classification")
    with pytest.raises(SettingError, match=r"'<source>.<column>'; got 'is_fraud'"):
        labels_of(small, "is_fraud", "classification")
    with pytest.raises(DefinitionError, match="source 'labels' has no column 'fraud'"):
        labels_of(small, "labels.fraud", "classification")


def test_a_label_of_a_classification_is_0_or_1(small: Service) -> None:
    """Other numbers are refused with the first of them and the way to learn them; so is a column that is no number."""
    advice = re.escape('fix them, or set task = "regression" in [train.handbook]')
    message = rf"a label of a classification is 0 or 1; got [\d.]+ in transactions.amount \(\d+ rows\); {advice}"
    with pytest.raises(SettingError, match=message):
        labels_of(small, "transactions.amount", "classification")
    with pytest.raises(SettingError, match=r"got 'labels.event_time' of type timestamp"):
        labels_of(small, "labels.event_time", "classification")


def test_a_label_of_a_regression_is_any_number(small: Service) -> None:
    """Decimals are doubles."""
    table = labels_of(small, "transactions.amount", "regression")
    amounts = pq.read_table(small.folder / "data" / "transactions.parquet")["amount"].to_pylist()
    assert table["label"].to_pylist() == [float(amount) for amount in amounts]


def test_a_group_is_a_column_of_the_spine(small: Service) -> None:
    """An unknown one is refused with those that there are."""
    table, known = compute(small), labels_of(small, "labels.is_fraud", "classification")
    assert outcomes(small.plan, table, known, "terminal_id")["group"].tolist() == table["terminal_id"].to_pylist()
    assert "group" not in outcomes(small.plan, table, known, None)
    with pytest.raises(DefinitionError, match="source 'transactions' has no column 'account_id'; it has transaction_id,"):
        outcomes(small.plan, table, known, "account_id")


def test_training_days_have_the_labels_that_were_known_as_the_test_began(small: Service) -> None:
    """One that came later, or changed later, is not learnt from; the days between and the test's have the newest."""
    split = Split(date(2018, 4, 10), days=2, delay_days=3, test_days=2)
    begin = (date(2018, 4, 15) - date(1970, 1, 1)).days * DAY_MS
    table = compute(small, start_ms=split.first_day * DAY_MS, end_ms=split.end_day * DAY_MS)
    days = table["event_time"].to_numpy() // DAY_MS
    ids = table["transaction_id"].to_numpy()
    training, between = ids[days < split.first_day + 2], ids[(days >= split.first_day + 2) & (days < split.first_test_day)]
    events = [training[0], training[1], training[2], training[2], between[0]]
    columns = {
        "event_id": events,
        "label": [1.0, 1.0, 0.0, 1.0, 1.0],
        "known_at": [begin - 1, begin, begin - 1, begin, begin + 5],
    }
    found = outcomes(small.plan, table, pa.table(columns), None, split).set_index("event_id")["label"]
    assert found[training[0]] == 1
    assert np.isnan(found[training[1]])
    assert found[training[2]] == 0
    assert found[between[0]] == 1
    assert outcomes(small.plan, table, pa.table(columns), None).set_index("event_id")["label"][training[2]] == 1


def test_a_model_learns_from_no_label_that_came_too_late(small: Service) -> None:
    """Labels come seven days after their events: by a test that begins at once, none of the last seven days is known."""
    config = TrainSettings(label="labels.is_fraud").config
    rows = rows_of(small, config, Split(date(2018, 4, 20), days=10, delay_days=0, test_days=7))
    learnt = rows.frame["day"][rows.training]
    assert learnt.max() <= (date(2018, 4, 23) - date(1970, 1, 1)).days
    assert rows_of(small, config, Split(date(2018, 4, 20), 10, 0, 7), known_then=False).training.sum() > 2 * rows.training.sum()


def test_an_event_may_carry_its_own_label(small_copy: Path, tmp_path: Path) -> None:
    """A label that is a column of the spine trains the same model as the same label in a source of its own."""
    definitions = small_copy / "definitions.py"
    definitions.write_text(definitions.read_text().replace("amount decimal(12,2)", "amount decimal(12,2), is_fraud long"))
    data = small_copy / "data"
    rows = pq.read_table(data / "transactions.parquet").append_column("is_fraud", _in_order(data))
    pq.write_table(rows, data / "transactions.parquet")
    service = load(small_copy).service("handbook")
    split = Split(date(2018, 4, 20), 7, 7, 7)
    made = [
        train(service, TrainSettings(label=label, trees=3).config, split, register=registering(Registry(tmp_path / label)))
        for label in ("transactions.is_fraud", "labels.is_fraud")
    ]
    assert made[0].onnx == made[1].onnx
    assert made[0].metrics == made[1].metrics


def _in_order(data: Path) -> pa.ChunkedArray:
    """The labels in the order of the transactions, which is that of their ids."""
    return pq.read_table(data / "labels.parquet").sort_by("transaction_id")["is_fraud"]
