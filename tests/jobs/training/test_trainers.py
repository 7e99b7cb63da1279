"""Each trainer: its ONNX is its library's model, nulls included, the same bytes each time."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import HeadraceError, SettingError
from infra.train_settings import TrainSettings
from jobs.training import trainers
from jobs.training.config import TrainConfig
from jobs.training.fitted import Fitted, agreeing_scores, onnx_scores

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "training.md"
FEW: dict[str, dict[str, float]] = {
    "cnn": {"width": 8, "kernel": 2, "epochs": 6, "learning_rate": 0.01},
    "lightgbm": {"trees": 20},
    "linear": {},
    "logistic": {},
    "mlp": {"width": 16, "epochs": 6, "learning_rate": 0.01},
    "random_forest": {"trees": 10},
    "xgboost": {"trees": 20},
}
PAIRS = [(name, task) for name in FEW for task in ("classification", "regression") if task in trainers.tasks(name)]


def config(trainer: str, task: str = "classification", **given: Any) -> TrainConfig:
    """What training is told of a trainer and its parameters."""
    return TrainSettings(label="orders.late", trainer=trainer, task=task, **given).config  # type: ignore[arg-type]


def rows(nulls: bool = True) -> tuple[Any, Any]:
    """2,000 vectors of small numbers, a time, cents and an input that is always null; a quarter of the first three is null."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 5)).astype(np.float32)
    x[:, 1] = 1.7e9 + random.integers(0, 100_000, 2000)
    x[:, 2] = np.round(np.abs(x[:, 2]) * 100, 2)
    amounts = x[:, 0] * 20 + x[:, 2]
    if nulls:
        x[:, :3][random.random((2000, 3)) < 1 / 4] = np.nan
    x[:, 4] = np.nan
    return x, amounts.astype(np.float64)


def fitted(trainer: str, task: str, x: Any, labels: Any) -> Fitted:
    """A small model of the trainer."""
    fit, _ = trainers.chosen(config(trainer, task, **FEW[trainer]))
    if trainers.takes_sequences(trainer):
        fit = partial(fit, sequences=((0, 1), (2, 4)))
    return fit(x, (labels > labels.mean()).astype(np.float64) if task == "classification" else labels)


def test_the_trainers_are_the_files() -> None:
    """Boosted trees of two libraries, forests, linear models for each task, and networks."""
    assert trainers.trainers() == tuple(FEW)


@pytest.mark.parametrize(("trainer", "task"), PAIRS)
def test_onnx_is_the_librarys_model(trainer: str, task: str) -> None:
    """Scores agree within the trainer's tolerance, where it was trained with nulls and where it meets its first ones."""
    with_nulls, labels = rows()
    for x in (with_nulls, rows(nulls=False)[0]):
        model = fitted(trainer, task, x, labels)
        nothing = np.full((1, x.shape[1]), np.nan, np.float32)
        found = agreeing_scores(model, np.vstack([with_nulls, x, nothing]), trainer)
        assert np.isfinite(found).all()
        assert np.corrcoef(found[2000:4000], labels)[0, 1] > 0.5


@pytest.mark.parametrize(("trainer", "task"), PAIRS)
def test_equal_data_give_equal_bytes(trainer: str, task: str) -> None:
    """Nothing in the graph is random, and a seed is a trainer's only chance."""
    x, labels = rows()
    assert fitted(trainer, task, x, labels).onnx == fitted(trainer, task, x, labels).onnx


@pytest.mark.parametrize(("trainer", "task"), PAIRS)
def test_a_score_does_not_depend_on_the_batch(trainer: str, task: str) -> None:
    """At 1, 7 and 256 rows it is the same to the bit: trees add in one order, linear models in doubles.

    Of networks the last bits may differ: ONNX Runtime adds float32s of a small batch in another order.
    """
    x, labels = rows()
    onnx = fitted(trainer, task, x, labels).onnx
    whole = onnx_scores(onnx, x[:256])
    for size in (1, 7):
        parts = np.concatenate([onnx_scores(onnx, x[i : i + size]) for i in range(0, 70, size)])
        assert np.allclose(parts, whole[:70], rtol=1e-5 if trainer in ("mlp", "cnn") else 0, atol=0)


def test_neighbouring_floats_take_lightgbms_branches() -> None:
    """Its thresholds are doubles between them: rounded to the nearest float32, most of these rows would take other branches."""
    random = np.random.default_rng(0)
    values = [np.float32(1000)]
    while len(values) < 40:
        values.append(np.nextafter(values[-1], np.float32(2000)))
    places = random.integers(0, len(values), (2000, 2))
    x = np.array(values)[places]
    labels = places.sum(axis=1) + random.normal(size=2000)
    for task in ("classification", "regression"):
        agreeing_scores(fitted("lightgbm", task, x, labels), x, "lightgbm")


@pytest.mark.parametrize("rows", [8, 30])
@pytest.mark.parametrize("trainer", ["lightgbm", "random_forest", "xgboost"])
def test_trees_of_a_few_rows_are_models_too(trainer: str, rows: int) -> None:
    """LightGBM makes none of two leaves of so few: it says the mean."""
    x = np.arange(rows, dtype=np.float32).reshape(-1, 1)
    for task in ("classification", "regression"):
        agreeing_scores(fitted(trainer, task, x, x[:, 0].astype(np.float64)), x, trainer)


@pytest.mark.parametrize("trainer", ["lightgbm", "random_forest", "xgboost"])
def test_trees_that_nothing_can_be_learnt_by_are_models_too(trainer: str) -> None:
    """Of inputs that are the same in all rows, and as many labels of either kind, every tree is one leaf: a chance of 1/2."""
    x, amounts = np.ones((40, 3), np.float32), np.arange(40.0)
    found = fitted(trainer, "classification", x, amounts)
    assert agreeing_scores(found, x, trainer) == pytest.approx(np.full(40, 0.5), abs=0.15)


def test_scores_that_are_not_the_librarys_are_refused() -> None:
    """The message says how far they are apart, and how far they may be."""
    x, labels = rows()
    model = fitted("linear", "regression", x, labels)
    wrong = Fitted(model.onnx, lambda rows: model.predict(rows) + 1, 1e-6)
    with pytest.raises(HeadraceError, match=r"trainer 'linear' equal its library's within 0\.\d+; got 1(\.0\d*)? apart"):
        agreeing_scores(wrong, x, "linear")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (config("catboost"), "a trainer is one of cnn, lightgbm, linear, logistic, mlp, random_forest, xgboost; got 'catboost'"),
        (config("logistic", trees=5, seed=1), "trainer 'logistic' takes regularization; got trees, seed; leave it out"),
        (config("xgboost", leaves=5), "trainer 'xgboost' takes trees, depth, learning_rate, seed; got leaves; leave it out"),
        (
            config("logistic", "regression"),
            "trainer 'logistic' is for classification; got task 'regression'; take one of cnn, lightgbm,",
        ),
    ],
)
def test_what_a_trainer_does_not_take_is_refused(refused: TrainConfig, message: str) -> None:
    """One line: the rule, what came, what there is."""
    with pytest.raises(SettingError, match=re.escape(message)):
        trainers.chosen(refused)


def test_every_parameter_of_a_trainer_is_a_setting() -> None:
    """A trainer with a parameter of its own has a key for it, with its bounds and meaning."""
    for name in trainers.trainers():
        assert trainers.parameters(name).keys() <= TrainSettings.model_fields.keys(), name


def test_a_new_trainer_is_one_file_with_one_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that docs/training.md shows: beside the others it is listed, with its tasks and parameters, chosen and checked."""
    (example,) = re.findall(r"```python\n# jobs/training/trainers/extra_trees.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "extra_trees.py").write_text(example)
    monkeypatch.setattr(trainers, "__path__", [*trainers.__path__, str(tmp_path)])
    assert "extra_trees" in trainers.trainers()
    assert trainers.parameters("extra_trees") == {"trees": 100, "depth": 10, "seed": 0}
    x, amounts = rows()
    for task, labels in (("regression", amounts), ("classification", amounts > 100)):
        fit, parameters = trainers.chosen(config("extra_trees", task, trees=3))
        assert parameters["trees"] == 3
        agreeing_scores(fit(x, labels.astype(np.float64)), x, "extra_trees")


def test_the_page_has_each_trainer_with_its_defaults_and_tolerance() -> None:
    """docs/training.md says what the code does."""
    lines = PAGE.read_text().splitlines()
    for name in trainers.trainers():
        row = next(line for line in lines if line.startswith(f"| `{name}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[2] == ", ".join(trainers.tasks(name))
        assert cells[3] == ", ".join(f"`{key}` {value}" for key, value in trainers.parameters(name).items())
        (allowed,) = [line for line in lines if line.startswith("|") and f"`{name}`" in line and "| 1e-" in line]
        assert f"{import_module(f'jobs.training.trainers.{name}').AGREEMENT:.0e}".replace("e-0", "e-") in allowed
