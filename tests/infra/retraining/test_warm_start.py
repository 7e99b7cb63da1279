"""`headrace retrain --warm-start`: a network goes on from production's weights; what cannot is refused, and says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from features.definitions.load import load
from infra.cli import run
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.training.config import TrainConfig
from jobs.training.fitted import onnx_scores
from jobs.training.networks.graph import read_graph
from jobs.training.rows import rows_of
from jobs.training.split import Split
from jobs.training.train import learn, train
from jobs.training.trainers import random_forest, takes_start, trainers
from serving.models.manifest import read_onnx
from serving.models.registry import Registry

pytestmark = pytest.mark.slow

SPLIT, NEWER = Split(date(2018, 4, 17), 7, 7, 7), Split(date(2018, 4, 24), 7, 7, 7)
Retrain = Callable[..., str]


def config_of(**keys: object) -> TrainConfig:
    """What a small network learns."""
    return TrainSettings(**{"label": "labels.is_fraud", "trainer": "mlp", "width": 8, "epochs": 3, **keys}).config  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def original(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a network in production."""
    folder = Path(shutil.copytree(small_data, tmp_path_factory.mktemp("warm") / "project"))
    registry = Registry(folder / "models")
    train(load(folder).service("handbook"), config_of(), SPLIT, register=registering(registry))
    registry.set_alias("handbook", "production", 1)
    return folder


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "project"))


@pytest.fixture
def retrain(project: Path, capsys: pytest.CaptureFixture[str]) -> Retrain:
    """`headrace retrain handbook --warm-start` with these keys of [train.handbook]; gives what it said."""

    def called(*options: str, code: int = 0, **keys: object) -> str:
        given = {"label": "labels.is_fraud", "trainer": "mlp", "width": 8, "epochs": 3, **keys}
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items() if value is not None)
        (project / "headrace.toml").write_text(f"[train.handbook]\n{lines}")
        found = run(["retrain", "handbook", "--warm-start", *options, "--project", str(project)])
        said = capsys.readouterr()
        assert found == code, said
        return " ".join((said.out + said.err).split())

    return called


def test_it_goes_on_from_productions_weights_and_the_lineage_says_so(project: Path, retrain: Retrain) -> None:
    """What is no weight, the scaling, is production's to the bit; without an epoch it would be production."""
    retrain()
    registry = Registry(project / "models")
    assert registry.manifest("handbook", 2).lineage["warm_start"] == "handbook v1"
    before, after = (read_graph(read_onnx(registry.get("handbook", version))).constants for version in (1, 2))
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in ("medians", "means", "factors"))


def test_without_a_step_it_is_production(project: Path) -> None:
    """With steps that are next to none, scores are production's; a cold start has others."""
    of, registry = load(project).service("handbook"), Registry(project / "models")
    start = read_onnx(registry.get("handbook", 1))
    config = config_of(epochs=1, learning_rate=1e-12)
    rows = rows_of(of, config, NEWER)
    warm, cold = (learn(of, config, NEWER, rows, given) for given in (start, None))
    expected = onnx_scores(start, rows.x[rows.test])
    assert np.abs(warm.scores - expected).max() < 1e-6
    assert np.abs(cold.scores - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"trainer": "xgboost", "width": None}, "the registry has its trees as ONNX, which they cannot be restored from exactly"),
        (
            {"trainer": "lightgbm", "width": None},
            "the registry has its trees as ONNX, which they cannot be restored from exactly",
        ),
        ({"trainer": "random_forest", "width": None}, "its trees do not build on each other"),
        ({"trainer": "logistic", "width": None}, "it is solved anew, wherever it starts"),
        ({"width": 16}, "handbook v1 has width = 8, and the settings say 16"),
    ],
)
def test_what_cannot_go_on_is_refused(retrain: Retrain, keys: dict[str, object], why: str) -> None:
    """With why, before anything is computed."""
    no_network = {"epochs": None} if "trainer" in keys else {}
    assert why in retrain(code=2, **no_network, **keys)


def test_a_trainer_without_a_reason_of_its_own_is_refused_too(retrain: Retrain, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that a user has added."""
    monkeypatch.delattr(random_forest, "NO_START")
    assert "got trainer 'random_forest': its fit has no parameter start" in retrain(
        code=2, trainer="random_forest", width=None, epochs=None
    )


def test_a_version_of_another_trainer_is_refused(project: Path, retrain: Retrain) -> None:
    """And one that was compressed."""
    file = project / "models" / "handbook" / "1" / "manifest.json"
    known = json.loads(file.read_text())
    for lineage, why in (
        ({"trainer": "cnn"}, "was made by cnn"),
        ({"method": "quantize"}, "was compressed"),
        ({"layers": "3"}, "layers = 3"),
    ):
        file.chmod(0o644)
        file.write_text(json.dumps(known | {"lineage": known["lineage"] | lineage}))
        assert why in retrain(code=2)


def test_the_trainers_that_can() -> None:
    """All others are refused."""
    assert [name for name in trainers() if takes_start(name)] == ["cnn", "mlp"]
