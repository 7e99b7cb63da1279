"""`headrace features --label`: a file that a model of one's own starts from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.service import Service
from features.times import DAY_MS
from infra.cli import run
from infra.settings import load_settings
from jobs.history.compute import compute
from jobs.training.assess import assess, rows_tested
from jobs.training.split import Split
from tests.support.num import num_project


@pytest.mark.slow
def test_a_model_of_ones_own_starts_from_the_file(small: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fitted to the file's columns in the order of `headrace plan`, it has the metrics that the rows of a test give it."""
    file, project = tmp_path / "rows.parquet", str(small.folder)
    days = ("--from", "2018-04-20", "--to", "2018-05-11")
    assert run(["features", "handbook", "--label", *days, "--out", str(file), "--project", project]) == 0
    capsys.readouterr()
    assert run(["plan", "handbook", "--json", "--project", project]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    rows = pd.read_parquet(file)
    known = rows[rows["label"].notna()]
    day = known["event_time"] // DAY_MS
    split = Split(pd.Timestamp("2018-04-20").date(), 7, 7, 7)
    training, test = known[day < split.first_day + 7], known[day >= split.first_test_day]
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())
    model.fit(training[plan["inputs"]].astype(np.float64), training["label"])
    scores = model.predict_proba(test[plan["inputs"]].astype(np.float64))[:, 1]

    settings = load_settings(small.folder, train={"handbook": {"leave_out_known_positives": False}})
    config = settings.train["handbook"].config
    tested = rows_tested(small, config, split, compute(small, start_ms=split.first_day * DAY_MS, end_ms=split.end_day * DAY_MS))
    measured = assess(tested, dict(zip(test["transaction_id"], scores, strict=True)), config)
    assert measured["average_precision"] == average_precision_score(test["label"], scores) > 0.3


def test_a_label_is_null_where_none_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The column is the last one, of the section's label or of the column that is named; without either it is refused."""
    project = num_project(tmp_path / "a num")
    outcomes = project / "data" / "outcomes.parquet"
    rows = pq.read_table(outcomes)
    pq.write_table(rows.slice(1), outcomes)
    command = ["features", "num", "--out", str(tmp_path / "rows.parquet"), "--project", str(project)]
    for options in (["--label"], ["--label-of", "outcomes.bad"]):
        assert run([*command, *options]) == 0
        table = pq.read_table(tmp_path / "rows.parquet")
        assert table.column_names[-1] == "label"
        assert table["label"].to_pylist() == [None, *rows["bad"].to_pylist()[1:]]
    assert run([*command, "--label-of", "num.v"]) == 0
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table["label"].to_pylist() == [float(value) for value in table["v"].to_pylist()]
    (project / "headrace.toml").write_text("")
    capsys.readouterr()
    assert run([*command, "--label"]) == 2
    message = "--label is of [train.num], which headrace.toml does not have; add it, or write --label-of"
    assert capsys.readouterr().err.strip().endswith(message)
