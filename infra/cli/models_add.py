"""``headrace models add``: a model that was trained elsewhere becomes a version."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, folder
from infra.cli.models import models_app, registry_at
from schemas.codec import UNREADABLE

if TYPE_CHECKING:
    from features.plan import Plan
    from serving.models.admit import GiveRows
    from serving.models.manifest import Manifest

SCORE = "score"


@models_app.command(epilog="Example: headrace models add MODEL model.onnx --service SERVICE --golden features.parquet")
def add(
    name: Annotated[str, typer.Argument(help="What the model is called.", show_default=False)],
    onnx: Annotated[Path, typer.Argument(help="The ONNX file.", show_default=False)],
    service: Annotated[str, typer.Option(help="The feature service whose vectors it scores.", show_default=False)],
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Features in the order of the model's columns, or inputs; none: the service's, or as its inputs are named.",
            metavar="A,B,C",
            show_default=False,
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(help="The number that is the score; none: the only one.", metavar="OUTPUT[:CLASS]", show_default=False),
    ] = None,
    task: Annotated[
        Literal["classification", "regression"] | None,
        typer.Option(help="What the model does; none: as its outputs look.", show_default=False),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(
            help="Rows to try it on, as 'headrace features' writes them, and with a column 'score' what its library says; "
            "none: made ones.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="A JSON file with metrics, numbers by name.", metavar="FILE", show_default=False)
    ] = None,
    note: Annotated[str, typer.Option(help="What is worth knowing of it.", show_default=False)] = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Add a version of a model that was trained elsewhere, as an ONNX file.

    It is checked against the service's features and tried before it gets a number.
    """
    where = folder(project)
    registry = registry_at(project)
    registry.versions(name)  # a name that is none is refused before the definitions are loaded
    measured, content = _metrics(metrics), onnx.read_bytes()

    from features.definitions.load import load
    from serving.models.admit import admit

    plan = load(where).service(service).plan
    draft = admit(
        content,
        plan,
        name=name,
        created_at=int(time.time() * 1000),
        inputs=[one.strip() for one in inputs.split(",")] if inputs is not None else None,
        score=score,
        task=task,
        give=_rows(golden, plan) if golden else None,
        metrics=measured,
        note=note,
        lineage={"source": onnx.name},
    )
    show_added(registry.register(draft), as_json)


def _metrics(path: Path | None) -> dict[str, float]:
    import msgspec

    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except UNREADABLE as error:
        raise SettingError(f'metrics are a JSON object of numbers; {path} gave {error}; write {{"auc": 0.9}}, say') from None


def _rows(path: Path, plan: Plan) -> GiveRows:
    """The rows of a file of features, with its column ``score``, if it has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from features.inputs.arrow import table_rows
    from features.inputs.columns import features_of
    from serving.models.admit import Given

    table = pq.read_table(path)

    def give(columns: tuple[str, ...]) -> Given:
        missing = [name for name in features_of(plan, columns) if name not in table.column_names]
        if missing:
            raise SettingError(
                f"a golden file has the model's inputs, as 'headrace features {plan.service}' writes them; {path} has no "
                f"{', '.join(missing)}; write it again"
            )
        known = SCORE in table.column_names and SCORE not in {column.name for column in plan.spine_source.columns}
        scores = table[SCORE].cast(pa.float64()).to_pylist() if known else None
        return Given(table_rows(table, plan, columns), scores)

    return give


def show_added(manifest: Manifest, as_json: bool) -> None:
    """Print what a new version takes and gives."""
    import msgspec

    from infra.cli import show

    if as_json:
        fields: dict[str, Any] = msgspec.to_builtins(manifest)
        show.json(fields)
        return
    golden, signature = manifest.golden, manifest.signature
    show.out.print(f"[bold]{manifest.name} v{manifest.version}[/]  {manifest.task} for {manifest.service}\n")
    rows = [
        (tensor.name, tensor.type, f"[n, {len(tensor.columns)}]" if tensor.matrix else "[n]", column)
        for tensor in signature.inputs
        for column in tensor.columns
    ]
    show.table("Inputs", ("input", "type", "shape", "feature"), [tuple(map(show.escape, row)) for row in rows])
    show.out.print()
    says = {signature.score[0]: f"score: {signature.score_text}"}
    says |= {name: f"{says[name]}; in outputs" if name in says else "in outputs" for name in signature.others}
    outputs = [
        (output.name, output.type, ", ".join(map(str, output.classes)), says.get(output.name, "follows from the score"))
        for output in signature.outputs
    ]
    show.table("Outputs", ("output", "type", "classes", "in a prediction"), [tuple(map(show.escape, row)) for row in outputs])
    show.out.print(
        f"\ntried on {golden.rows} rows; between batches of 1, 7 and 256 rows its scores differ by at most {golden.spread:.2g}"
    )
