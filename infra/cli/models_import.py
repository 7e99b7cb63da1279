"""``headrace models import``: a model of an MLflow registry becomes a version."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from infra.cli.app import HERE, JsonOption, ProjectOption, folder
from infra.cli.models import models_app, registry_at
from infra.cli.models_add import show_added


@models_app.command(
    "import", epilog="Example: headrace models import MODEL champion --service SERVICE --uri http://127.0.0.1:5000"
)
def import_model(
    model: Annotated[str, typer.Argument(help="The model's name in MLflow.", show_default=False)],
    version: Annotated[str, typer.Argument(help="Its version in MLflow, or an alias.", show_default=False)],
    service: Annotated[str, typer.Option(help="The feature service whose vectors it scores.", show_default=False)],
    uri: Annotated[str, typer.Option(help="MLflow's registry.", envvar="MLFLOW_TRACKING_URI", metavar="URI", show_default=False)],
    name: Annotated[str | None, typer.Option(help="What it is called here; none: as in MLflow.", show_default=False)] = None,
    score: Annotated[
        str | None,
        typer.Option(help="The number that is the score; none: the only one.", metavar="OUTPUT[:CLASS]", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add a version of a model that is in an MLflow registry, logged as ONNX and with a signature.

    The signature's columns are features, in the model's order; the metrics of the run that logged it come with it. Nothing of
    it is unpickled or run but the ONNX graph.
    """
    where, registry = folder(project), registry_at(project)
    registry.versions(name or model)  # a name that is none is refused before anything is fetched
    from serving.models.from_mlflow import fetch, is_named

    found = fetch(uri, model, version)
    from features.definitions.load import load  # slow
    from serving.models.admit import admit

    draft = admit(
        found.onnx,
        load(where).service(service).plan,
        name=name or model,
        created_at=int(time.time() * 1000),
        inputs=None if is_named(found) else found.inputs,
        score=score,
        metrics=found.metrics,
        note=found.note,
        lineage=found.lineage,
    )
    show_added(registry.register(draft), as_json)
