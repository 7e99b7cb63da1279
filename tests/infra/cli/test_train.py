"""What is refused before anything is computed: options and settings of training that do not fit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.cli import run
from tests.support.num import num_project

pytestmark = pytest.mark.core

DAYS = ("--from", "2024-05-01", "--days", "1", "--delay", "1", "--test-days", "1")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project."""
    return num_project(tmp_path_factory.mktemp("a train") / "num")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trees", "0"), "command line: train.num.trees: input should be greater than or equal to 1; got 0; fix its value"),
        (("--trainer", "logistic"), "trainer 'logistic' takes regularization; got trees; leave it out"),
        (("--trainer", "logit"), "a trainer is one of cnn, lightgbm, linear, logistic, mlp, random_forest, xgboost; got 'logit'"),
        (("--regularization", "2"), "trainer 'xgboost' takes trees, depth, learning_rate, seed; got regularization"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(
    options: tuple[str, ...], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trainer's own parameters, and the settings' bounds, hold for the command line."""
    assert run(["train", "num", *DAYS, *options, "--project", str(project)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_input_beyond_float32_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the input and counts its rows; the libraries would say that something is infinite."""
    folder = num_project(tmp_path / "a num")
    history = folder / "data" / "num.parquet"
    table = pq.read_table(history)
    large = pa.array([1e300, *table["d"].to_pylist()[1:]], pa.float64())
    pq.write_table(table.set_column(table.column_names.index("d"), "d", large), history)
    assert run(["train", "num", *DAYS, "--project", str(folder)]) == 2
    message = "a model's inputs are numbers that a float32 can hold, up to 3.4e38; got "
    assert message in capsys.readouterr().err.splitlines()[-1]
