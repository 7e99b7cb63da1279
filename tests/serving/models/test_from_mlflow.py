"""Models from a real MLflow registry: what is taken from it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import SettingError, StackError
from features.inputs.columns import input_columns
from infra.cli import run
from serving.models.from_mlflow import fetch
from serving.models.registry import Registry
from tests.support.mlflow import MISSING, SERVER, mlflow_server
from tests.support.models import stumps
from tests.support.num import num_project

pytestmark = [pytest.mark.stack, pytest.mark.skipif(not SERVER.exists(), reason=MISSING)]

ONNX = stumps([0.1, 0.2])
PICKLED = "flavors: {python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the models orders, named columns; tensors; bare, without a signature; and pickled."""
    import mlflow
    import onnx
    from mlflow.models import infer_signature

    graph = onnx.load_from_string(ONNX)
    x = pd.DataFrame({"spend__sum_1h": [1.0], "spend__count_1h": [2.0]})
    with pytest.MonkeyPatch.context() as patch, mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        patch.setenv("MLFLOW_TRACKING_URI", uri)

        def log(name: str, **signature: Any) -> None:
            mlflow.onnx.log_model(
                graph, name=name, registered_model_name=name, pip_requirements=[], save_as_external_data=False, **signature
            )

        with mlflow.start_run():
            mlflow.log_metric("average_precision", 0.75)
            log("orders", signature=infer_signature(x, np.array([0.5])))
            log("tensors", signature=infer_signature(x.to_numpy(np.float32), np.array([0.5])))
            log("bare")
            mlflow.log_text(PICKLED, "pickled/MLmodel")
            run = mlflow.active_run().info
        client = mlflow.MlflowClient()
        client.create_registered_model("pickled")
        client.create_model_version("pickled", f"{run.artifact_uri}/pickled", run.run_id)
        client.set_registered_model_alias("orders", "champion", "1")
        yield uri


def test_a_version_comes_with_its_columns_metrics_and_origin(registry: str) -> None:
    """By number and by alias it is the same: the bytes that were logged, the signature's names in order, the run's metrics."""
    found = fetch(registry, "orders", "champion")
    assert found == fetch(registry, "orders", "1")
    assert found.onnx == ONNX
    assert found.inputs == ("spend__sum_1h", "spend__count_1h")
    assert found.metrics == {"average_precision": 0.75}
    assert {name: found.lineage[name] for name in ("source", "model")} == {"source": "mlflow", "model": "models:/orders/1"}


def test_the_command_makes_a_version_of_it(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature's columns are the model's inputs, in its order; run and address are in the lineage."""
    import mlflow
    import onnx
    from mlflow.models import infer_signature

    from features.definitions.load import load

    project = num_project(tmp_path / "a num")
    plan = load(project).service("num").plan
    inputs = [*reversed(input_columns(plan, plan.inputs))]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    x = pd.DataFrame({name: [1.0] for name in inputs})
    with mlflow.start_run():
        mlflow.log_metric("auc", 0.5)
        mlflow.onnx.log_model(
            onnx.load_from_string(stumps([0.1] * len(inputs))),
            name="clicks",
            registered_model_name="clicks",
            pip_requirements=[],
            save_as_external_data=False,
            signature=infer_signature(x, np.array([0.5])),
        )
    words = ["models", "import", "clicks", "1", "--service", "num", "--uri", registry, "--project", str(project), "--json"]
    capsys.readouterr()
    assert run(words) == 0
    capsys.readouterr()
    manifest = Registry(project / "models").get("clicks", 1).manifest
    assert list(manifest.inputs) == inputs
    assert manifest.metrics == {"auc": 0.5}
    assert manifest.lineage["model"] == "models:/clicks/1"
    assert run([*words[:3], "7", *words[4:]]) == 2
    assert f"MLflow at {registry} did not give the model" in capsys.readouterr().err.splitlines()[-1]


def test_a_signature_of_tensors_names_no_columns(registry: str) -> None:
    """The model's inputs are then those of the plan, in its order."""
    assert fetch(registry, "tensors", "1").inputs is None


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("bare", "1", "models:/bare/1 has none; log it again with signature"),
        ("pickled", "1", "has the flavors python_function; log it with mlflow.onnx"),
    ],
)
def test_what_is_no_onnx_with_a_signature_is_refused(registry: str, name: str, version: str, message: str) -> None:
    """It says what the model has, and how to log it."""
    with pytest.raises(SettingError, match=message):
        fetch(registry, name, version)


def test_what_is_not_there_is_said_in_one_line(registry: str) -> None:
    """An unknown model, version or alias, and a server that does not answer."""
    for uri, name, version in ((registry, "nope", "1"), (registry, "orders", "7"), (registry, "orders", "none")):
        with pytest.raises(StackError, match=rf"MLflow at {uri} did not give the model: .*; check"):
            fetch(uri, name, version)


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many attempts as the environment says."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StackError, match=r"MLflow at http://127.0.0.1:1 did not give"):
        fetch("http://127.0.0.1:1", "orders", "1")
