"""What is refused before anything is computed: options and settings of training that do not fit."""

from __future__ import annotations

from pathlib import Path

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
        (("--trainer", "logit"), "a trainer is one of lightgbm, linear, logistic, random_forest, xgboost; got 'logit'"),
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
