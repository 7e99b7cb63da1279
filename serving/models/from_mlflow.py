"""An ONNX model from an MLflow registry: its bytes, what its signature calls its inputs, and where it came from.

Nothing of it is run or unpickled: of the downloaded folder, MLflow's own reader reads ``MLmodel``, and the ONNX file is bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import SettingError, StackError
from features.inputs.session import open_session

CLIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Settings of MLflow's client where the environment has none: its own wait for minutes on a server that does not answer."""


SERVERS = ("http://", "https://", "databricks")


class Fetched(NamedTuple):
    """A version of an MLflow model."""

    onnx: bytes
    inputs: tuple[str, ...] | None
    """The columns of its signature, in order; None where it names none, but tensors."""
    metrics: dict[str, float]
    """Of the run that logged it."""
    note: str
    """Its description."""
    lineage: dict[str, str]


def fetch(uri: str, name: str, version_or_alias: str) -> Fetched:
    """The version of ``name`` in the MLflow registry at ``uri``, by its number or by an alias.

    Raises `SettingError` where it is no ONNX model with a signature, `StackError` where MLflow does not give it.
    """
    if not uri.startswith(SERVERS):
        raise SettingError(f"an MLflow registry is read over HTTP; got '{uri}'; give its address: http://127.0.0.1:5000, say")
    if find_spec("mlflow") is None:
        raise SettingError("models of MLflow need the extra: pip install 'headrace[mlflow]'")
    os.environ.update({name: value for name, value in CLIENT.items() if name not in os.environ})
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    with _mlflow_errors(uri), tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = _version(client, name, version_or_alias)
        source = f"models:/{name}/{found.version}"
        downloaded = Path(download_artifacts(source, dst_path=folder, tracking_uri=uri, registry_uri=uri))
        model = Model.load(str(downloaded))
        onnx = onnx_of(source, model, downloaded)
        metrics = dict(client.get_run(found.run_id).data.metrics) if found.run_id else {}
    lineage = {"source": "mlflow", "uri": uri, "model": source, "run": found.run_id or ""}
    return Fetched(onnx, _columns(source, model), metrics, found.description or "", lineage)


def is_named(fetched: Fetched) -> bool:
    """Whether the ONNX inputs have the names of the signature's columns, in whatever order; else they are columns of a matrix."""
    return {one.name for one in open_session(fetched.onnx).get_inputs()} == set(fetched.inputs or ())


def _version(client: Any, name: str, version_or_alias: str) -> Any:
    if version_or_alias.isdecimal():
        return client.get_model_version(name, version_or_alias)
    return client.get_model_version_by_alias(name, version_or_alias)


def onnx_of(source: str, model: Any, folder: Path) -> bytes:
    """The ONNX file of a model that lies in a folder. Raises `SettingError` where it has none there, or more than one file."""
    if "onnx" not in model.flavors:
        flavors = ", ".join(sorted(model.flavors)) or "none"
        raise SettingError(
            f"a model is imported as ONNX; {source} has the flavors {flavors}; log it with mlflow.onnx.log_model: what is "
            "pickled is not loaded here"
        )
    named = model.flavors["onnx"].get("data")
    file = (folder / str(named)).resolve()
    if not isinstance(named, str) or not file.is_relative_to(folder.resolve()):
        raise SettingError(
            f"a model's file is in its folder; {source} names {named!r:.80}; log it again with mlflow.onnx.log_model"
        )
    if file.is_dir():  # external data lie beside the graph
        raise SettingError(f"a model is one ONNX file; {source} has external data; log it with save_as_external_data=False")
    onnx: bytes = file.read_bytes()
    return onnx


def _columns(source: str, model: Any) -> tuple[str, ...] | None:
    if model.signature is None or model.signature.inputs is None:
        raise SettingError(
            f"a signature says what a model's inputs are; {source} has none; log it again with signature=infer_signature(x, y)"
        )
    names = model.signature.inputs.input_names() if not model.signature.inputs.is_tensor_spec() else []
    return tuple(names) or None


@contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """Within, what MLflow's client raises is a `StackError` of one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise StackError(f"MLflow at {uri} did not give the model: {line}; check address, name and version") from error
