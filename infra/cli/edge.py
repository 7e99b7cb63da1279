"""``headrace export-edge`` and ``edge-audit``: a model and its windows on a device, and what it said held against the cloud."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import SettingError
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible
from infra.cli.options import HistoryOption, ServiceArgument, histories

if TYPE_CHECKING:
    from features.service import Service
    from serving.edge.compare import Compared
    from serving.edge.export import Exported, GoldenEvent
    from serving.models.manifest import Model
    from serving.models.registry import Registry


Runner = Literal["python", "browser", "both"]


@app.command("export-edge", epilog="Example: headrace export-edge MODEL@3 --out bundle --sees SOURCE")
def export_edge(
    model: Annotated[
        str, typer.Argument(help="A model, with a version or an alias.", metavar="MODEL[@VERSION]", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, new or empty.", metavar="DIR", show_default=False)],
    sees: Annotated[
        list[str] | None,
        typer.Option(help="Another source whose events the device gets; several times.", metavar="SOURCE", show_default=False),
    ] = None,
    runner: Annotated[
        Runner, typer.Option(help="What runs it: Python, a page in a browser (npm fetches ONNX Runtime for it), or both.")
    ] = "python",
    golden: Annotated[int, typer.Option(help="About so many events are the golden vectors'.", min=10, max=100_000)] = 500,
    history: HistoryOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Write a folder that predicts on a device, without Kafka, Flink, Feast or a network.

    It has the model, its windows, a runner for Python with numpy and ONNX Runtime alone, or one for a browser, and golden
    vectors: events of the history, with features of the batch engine and scores of the registry's model, which the runner
    replays before it runs. Without a version it is the one in production, or else the newest.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registry_of
    from infra.settings import load_settings
    from serving.edge.export import PAGE, check_out

    where, others = folder(project), histories(history)
    check_out(out)
    settings = load_settings(where)
    chosen = _chosen(registry_of(where, settings), model)
    with interruptible(lambda: f"{out} was not written"), show.progress() as on_progress:
        from features.definitions.load import load  # slow: after all that is quickly refused

        service = with_settings(load(where).service(chosen.manifest.service), settings)
        exported, needs = _export(service, chosen, out, frozenset(sees or ()), golden, others, runner, on_progress)
    if as_json:
        import msgspec

        show.json({**msgspec.to_builtins(exported), "needs": needs})
        return
    placed = chosen.manifest.placed
    show.out.print(f"[bold]{show.escape(str(placed))}[/] in {show.escape(str(out))}, {sum(exported.files.values()) / 1e6:.2f} MB")
    show.out.print(f"  {exported.replayed:,} golden vectors, {exported.values:,} values of windows: the runner computes them all")
    show.out.print(f"  manifest.json has sha256 {exported.manifest_sha256}")
    for one in needs:
        show.out.print(f"  the device must see {show.escape(one)}")
    check = (
        f"serve the folder on localhost or by https, and open its {PAGE}"
        if runner == "browser"
        else f"python {shlex.quote(f'{out}/run.py')} --check"
    )
    show.out.print(f"Next: copy the folder; {check}; its README.md says more", markup=False)


def _chosen(registry: Registry, written: str) -> Model:
    """``MODEL``, ``MODEL@3`` or ``MODEL@staging``. Raises `SettingError` where there is none."""
    name, at, version = written.partition("@")
    if at:
        return registry.get(name, version)
    versions = registry.versions(name)
    if not versions:
        known = ", ".join(registry.names()) or "none yet: train one"
        raise SettingError(f"a model is one of the registry; got '{name}'; it has {known}")
    return registry.get(name, registry.aliases(name).get("production", versions[-1]))


def _export(
    service: Service,
    model: Model,
    out: Path,
    sees: frozenset[str],
    golden: int,
    others: dict[str, Any],
    runner: Runner,
    on_progress: Any,
) -> tuple[Exported, list[str]]:
    import msgspec

    from serving.edge import functions, javascript, plan
    from serving.edge.export import Browser, export
    from serving.models.manifest import read_onnx
    from serving.predict.predictor import check_model

    manifest = model.manifest
    check_model(manifest, service.plan)
    part = plan.narrowed(service.plan, manifest, sees)
    texts = functions.text_of(part.on_demand, service.functions) if part.on_demand else None
    browser = None
    if runner != "python":
        from infra.local import onnxruntime_web

        plan.check_browser(manifest)
        translated = None if texts is None else javascript.translated(texts)
        files = onnxruntime_web.files(lambda step: on_progress(step, 0, 0))
        browser = Browser(onnxruntime_web.VERSION, files, translated)
    others = {name: place for name, place in others.items() if name in {source.name for source in part.sources}}
    narrow = msgspec.structs.replace(service, plan=part)
    events = _golden(narrow, model, golden, others, on_progress)
    needs = plan.needs(part)
    written = plan.edge_plan(service.plan, part, manifest, service.event_times)
    return export(out, written, manifest, read_onnx(model), texts, events, needs, runner != "browser", browser), needs


def _golden(service: Service, model: Model, count: int, others: dict[str, Any], on_progress: Any) -> list[GoldenEvent]:
    """The golden vectors: history's features, and the scores of the model as the registry loads it."""
    from features.inputs.columns import features_of
    from jobs.history.golden_events import golden_events
    from serving.edge.export import GoldenEvent
    from serving.models.session import load_model

    plan = service.plan
    windows = [feature.name for feature in plan.window_features]
    wanted = list(dict.fromkeys([*windows, *features_of(plan, model.manifest.inputs)]))
    rows, table = golden_events(service, count, wanted, others, on_progress)
    scored = load_model(model).score_table(table, plan)
    scores, outputs = scored.scores.to_pylist(), None if scored.outputs is None else scored.outputs.to_pylist()
    features = table.select(windows).to_pylist() if windows else [{}] * table.num_rows
    found = []
    for row in rows:
        if row.row is None or scores[row.row] is None:  # where the model gives no score there is nothing to hold it to
            found.append(GoldenEvent(row.source, row.event))
            continue
        said = None if outputs is None else outputs[row.row]
        found.append(GoldenEvent(row.source, row.event, features[row.row], scores[row.row], said))
    return found


@app.command("edge-audit", epilog="Example: headrace edge-audit SERVICE state/outbox/SOURCE-*.jsonl")
def edge_audit(
    service: ServiceArgument,
    outbox: Annotated[list[Path], typer.Argument(help="Files of a device's outbox, of the spine.", metavar="OUTBOX…")],
    predictions: Annotated[
        str | None,
        typer.Option(help="A .jsonl of the cloud's predictions; none: the service's topic.", metavar="FILE", show_default=False),
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare what a device predicted with what the cloud predicted of the same events, once they are published.

    Inputs are held against one another to the bit, scores within the tolerance of a golden batch. The exit code is 1 where a
    score differs although both receipts are of one model and say that nothing is missing.
    """
    from infra.cli import show
    from infra.predicted import predicted
    from infra.settings import load_settings

    for path in outbox:
        if not path.is_file():
            raise SettingError(f"an outbox is a file of JSON lines that a runner wrote; there is no file {path}; name one")
    where = folder(project)
    with interruptible(lambda: "nothing was compared"), show.err.status("comparing"):
        from serving.edge.compare import compare

        records = predicted(where, load_settings(where), service, predictions)
        found = compare(outbox, (record.value for record in records))
    if as_json:
        import msgspec

        whole = msgspec.to_builtins(found)
        show.json({**whole, "missing": found.missing, "unexplained": found.unexplained})
    else:
        _print(found)
    if found.unexplained:
        raise typer.Exit(1)


def _print(found: Compared) -> None:
    from infra.cli import show
    from serving.edge.compare import CAUSES

    show.out.print(
        f"{found.events:,} predictions of the device, {found.compared:,} of them by the cloud too, {found.missing:,} not (yet)"
    )
    show.out.print(f"  {found.equal:,} scores are equal, the largest difference is {found.largest:.3g}")
    differing = sum(found.differing_values.values())
    show.out.print(f"  {found.values:,} inputs were compared to the bit, {differing:,} differ")
    if found.compared > found.equal:
        show.table(
            "", ("scores that differ, by cause", "events"), [(CAUSES[c], f"{n:,}") for c, n in found.causes.items()], ("events",)
        )
    if differing:
        show.table("", ("input", "differing"), [(name, f"{n:,}") for name, n in found.differing_values.items()], ("differing",))
    for one in found.examples:
        inputs = ", ".join(f"{name} {ours} there, {theirs} here" for name, (ours, theirs) in one.inputs.items())
        said = f"  event {one.event_id}: {one.edge:.6g} there, {one.cloud:.6g} here, {CAUSES[one.cause]} {inputs}".rstrip()
        show.out.print(said, markup=False)
