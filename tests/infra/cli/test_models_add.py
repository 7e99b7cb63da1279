"""``headrace models add`` and ``headrace score``: a model made elsewhere, from the features file to its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from infra.cli import run
from serving.models.registry import Registry
from tests.support.num import num_project

COLUMNS = ["totals__sum_v", "totals__count_id", "totals__sum_n", "totals__max_d"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with its features in a file and a logistic regression of some of them, in scikit-learn's default export."""
    folder = num_project(tmp_path_factory.mktemp("add") / "a num")
    assert run(["features", "num", "--out", str(folder / "features.parquet"), "--project", str(folder)]) == 0
    frame = pq.read_table(folder / "features.parquet").to_pandas()
    x = frame[COLUMNS].astype(np.float32).to_numpy()
    model = LogisticRegression(max_iter=1000).fit(x, frame["id"] % 3 // 2)
    (folder / "model.onnx").write_bytes(to_onnx(model, x[:1]).SerializeToString())
    scored = pa.table({**{name: frame[name] for name in COLUMNS}, "score": model.predict_proba(x)[:, 1]})
    pq.write_table(scored, folder / "golden.parquet")
    (folder / "metrics.json").write_text('{"auc": 0.75}')
    return folder


def added(project: Path, *words: str) -> list[str]:
    """The words of a command that adds the model."""
    inputs = ["--inputs", ",".join(COLUMNS)]
    at = ["--service", "num", "--project", str(project)]
    return ["models", "add", "brought", str(project / "model.onnx"), *inputs, *at, *words]


@pytest.mark.slow
def test_a_model_is_added_and_scores(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With its metrics and note, checked against its library's scores; `headrace score` gives those again."""
    words = ["--golden", str(project / "golden.parquet"), "--metrics", str(project / "metrics.json"), "--note", "from a notebook"]
    assert run(added(project, *words, "--json")) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["metrics"], manifest["note"], manifest["task"]) == ({"auc": 0.75}, "from a notebook", "classification")
    assert manifest["signature"]["score"] == ["output_probability", 1]
    assert manifest["golden"]["rows"] == 48
    out = tmp_path / "scores.parquet"
    by = ["--model", "brought", "--version", str(manifest["version"]), "--project", str(project), "--out", str(out)]
    assert run(["score", "num", *by]) == 0
    table = pq.read_table(out)
    assert table["unscorable"].null_count == table.num_rows
    expected = pq.read_table(project / "golden.parquet")["score"]
    np.testing.assert_allclose(table["score"].to_numpy(), expected.to_numpy(), rtol=1e-5)


def test_what_was_understood_is_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs and outputs, which of them is the score, and within what scores are repeated."""
    assert run(added(project)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "classification for num" in out
    assert "X float [n, 4] totals__sum_v X float [n, 4] totals__count_id" in out
    assert "output_label int64 follows from the score output_probability float 0, 1 score: output_probability:1" in out
    assert "tried on 256 rows" in out


def test_rows_without_a_score_are_counted(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A null into a model that takes none: the file says why, and the command how many."""
    inputs = ["--inputs", "totals__last_2_d,totals__max_d,totals__count_id"]
    frame = pq.read_table(project / "features.parquet").to_pandas()
    x = np.random.default_rng(0).normal(size=(len(frame), 4)).astype(np.float32)
    model = LogisticRegression().fit(x, frame["id"] % 2)
    (tmp_path / "lists.onnx").write_bytes(to_onnx(model, x[:1]).SerializeToString())
    at = ["--project", str(project)]
    assert run(["models", "add", "lists", str(tmp_path / "lists.onnx"), "--service", "num", *inputs, *at]) == 0
    out = tmp_path / "scores.parquet"
    capsys.readouterr()
    assert run(["score", "num", "--model", "lists", "--version", "1", "--out", str(out), *at]) == 0
    table = pq.read_table(out)
    short = [len(values) < 2 for values in table["totals__last_2_d"].to_pylist()]
    assert [value is None for value in table["score"].to_pylist()] == short
    reasons = {"model 'lists' 1 gave no finite score" if one else None for one in short}
    assert set(table["unscorable"].to_pylist()) == reasons
    assert f"{sum(short)} of 48 rows have no score" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics", "golden.parquet"], "metrics are a JSON object of numbers"),
        (["--golden", "data/num.parquet"], "data/num.parquet has no totals__sum_v"),
        (["--score", "output_label:3"], "got 'output_label:3'; it has output_label, output_probability:0, output_probability:1"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[Any], message: str, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, and nothing is added."""
    monkeypatch.chdir(project)
    before = Registry(project / "models").versions("brought")
    assert run(added(project, *words)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert Registry(project / "models").versions("brought") == before
