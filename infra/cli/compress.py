"""``headrace compress``: smaller and faster versions of a model, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import SettingError
from features.times import DAY_MS, moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption, app, folder, interruptible, warn
from infra.cli.options import ModelArgument, PictureOption, picture_file

if TYPE_CHECKING:
    from features.service import Service
    from jobs.compress.choose import Measured
    from jobs.compress.compress import Compression
    from jobs.training.config import TrainConfig
    from jobs.training.split import Split
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry


@app.command(epilog="Example: headrace compress MODEL@production --method quantize:kind=static --method quantize:kind=dynamic")
def compress(
    model: ModelArgument,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="What to try, several times; a chain with +. None: every method. docs/compression.md has them all.",
            metavar="NAME[:KEY=VALUE,…]",
            show_default=False,
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="A further model that distill learns from, several times: from the mean of all scores.",
            metavar="MODEL[@VERSION]",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="First day of training; none: that of the model.", metavar="DATE", show_default=False),
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="Days of training; none: as many as the model's, or 7.", min=1, show_default=False)
    ] = None,
    delay: Annotated[int, typer.Option(help="Days until labels are known.", min=0)] = 7,
    test_days: Annotated[int, typer.Option(help="Days of the test, after the delay.", min=1)] = 7,
    tolerance: Annotated[float, typer.Option(help="The share of the metric that may be lost.", min=0, max=1)] = 0.01,
    batch: Annotated[Literal["1", "32", "256"], typer.Option(help="The rows of a batch whose time counts.")] = "1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, and register nothing.")] = False,
    out: PictureOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a model smaller or faster in several ways, and measure each against it on the service's test rows.

    Every result that no other is better than in size, time and metric becomes a version, with its lineage. Nothing is promoted.
    """
    from infra.cli import show
    from infra.config import with_settings
    from infra.models import registering, registry_of
    from infra.settings import load_settings
    from jobs.compress.recipe import default_recipes, recipe

    where = folder(project)
    settings = load_settings(where)
    if out is not None:
        picture_file(out)
    recipes = tuple(map(recipe, method)) if method else default_recipes()
    registry = registry_of(where, settings)
    manifest, onnx = _model(registry, model)
    if manifest.service not in settings.train:
        raise SettingError(
            f"compression needs the label of the test; headrace.toml has no [train.{manifest.service}]; add it, with a label"
        )
    config = settings.train[manifest.service].config
    _check_label(manifest, config)
    split = _split(manifest, start, days, delay, test_days)
    teachers = tuple(_teacher(_model(registry, written), manifest, config, split) for written in teacher or ())
    if teachers and not any(name == "distill" for one in recipes for name, _ in one.steps):
        raise SettingError("a --teacher teaches what distill makes; got no --method with it; add --method distill")
    before = registry.versions(manifest.name)
    with interruptible(lambda: _done(registry, manifest.name, before)), show.progress() as on_progress:
        from features.definitions.load import load  # slow: after all that is quickly refused
        from jobs.compress.choose import GAIN
        from jobs.compress.compress import Original, registered
        from jobs.compress.compress import compress as run
        from jobs.training.keys import UNITS

        service = with_settings(load(where).service(manifest.service), settings)
        _check_plan(manifest, service)
        found = run(
            service,
            config,
            split,
            Original(onnx, manifest.signature),
            recipes,
            tolerance=tolerance,
            batch=int(batch),
            teachers=teachers,
            on_progress=on_progress,
        )
        versions: Mapping[int, Any] = {}
        if not dry_run:
            versions = registered(
                found,
                registering(registry),
                _lineage(manifest),
                plan=service.plan,
                name=manifest.name,
                inputs=manifest.inputs,
                score=manifest.signature.score_text,
                task=manifest.task,
                **_learned(manifest, split),
                created_at=int(time.time() * 1000),
            )
        if out is not None:
            from jobs.compress.picture import draw

            draw(found, f"{manifest.name} v{manifest.version}", out)
    if as_json:
        show.json(_as_json(manifest, found, versions))
    else:
        _print(manifest, found, versions)
        if out is not None:
            show.out.print(f"\n→ {show.escape(str(out))}")
    if _pruned_by_own(found, manifest, split):
        warn(
            "prune_trees judged by rows that the model learnt, which flatter its leaves; --from with the day after its training "
            "takes later rows, and a later test"
        )
    if found.units < UNITS and found.candidates:
        warn(f"the intervals are of {found.units} independent groups of test rows, and too narrow; take more --test-days")
    if found.rule.noise > GAIN:
        warn(
            f"the machine is busy: the original, measured twice, differs from itself by {found.rule.noise:.2f} ×; measure again "
            "when it is not"
        )
    if manifest.trained_until is None:
        model = f"{manifest.name} {manifest.version}"
        warn(f"nobody said on which days {model} was trained; a test that has some of them flatters it, and what was made of it")


def _model(registry: Registry, written: str) -> tuple[Manifest, bytes]:
    """``MODEL[@VERSION]`` and its bytes. Raises `SettingError` where there is none, or it has other inputs than one matrix."""
    from infra.models import named
    from serving.models.manifest import read_onnx

    found = named(registry, written)
    inputs = found.manifest.signature.inputs
    if len(inputs) != 1 or not inputs[0].matrix or inputs[0].type != "float":
        came = ", ".join(f"'{one.name}' of {one.type}" for one in inputs)
        raise SettingError(
            f"a model that is compressed has one float32 input [n, columns]; {found.manifest.name} {found.manifest.version} has "
            f"{came}; convert it with such an input, and add it again"
        )
    return found.manifest, read_onnx(found)


def _check_label(manifest: Manifest, config: TrainConfig) -> None:
    learned = manifest.lineage.get("label", config.label)
    if (learned, manifest.task) != (config.label, config.task):
        raise SettingError(
            f"a model is tested on what it learned; {manifest.name} {manifest.version} is a {manifest.task} of {learned}, "
            f"[train.{manifest.service}] says {config.task} of {config.label}; change the section, or train a model by it"
        )


def _check_plan(manifest: Manifest, service: Service) -> None:
    if manifest.plan != service.plan.digest:
        raise SettingError(
            f"a model is tested on the features that it learned; {manifest.name} {manifest.version} is of plan "
            f"{manifest.plan[:12]}, definitions.py has {service.plan.digest[:12]}; train a model of today's, or "
            "restore the definitions"
        )


def _split(manifest: Manifest, start: str | None, days: int | None, delay: int, test_days: int) -> Split:
    """The days of training, the model's own unless given, and those of the test.

    Raises `SettingError` where neither is known, or the test has days that the model was trained on.
    """
    from infra.cli.training import split_of

    model, first, until = f"{manifest.name} {manifest.version}", manifest.trained_from, manifest.trained_until
    if start is None:
        if first is None or until is None or first % DAY_MS or until % DAY_MS:
            raise SettingError(
                f"rows of training are those of the model's days; {model} does not say which; give their first with --from"
            )
        start = f"{datetime.fromtimestamp(first / 1000, UTC):%Y-%m-%d}"
        days = days or (until - first) // DAY_MS
    split = split_of(start, days or 7, delay, test_days)
    if until is not None and split.first_test_day * DAY_MS < until:
        raise SettingError(
            f"a model is tested on days after those that it learned; {model} learned until {moment_text(until)}, and the test "
            f"begins {moment_text(split.first_test_day * DAY_MS)}; take later days"
        )
    return split


def _teacher(model: tuple[Manifest, bytes], manifest: Manifest, config: TrainConfig, split: Split) -> bytes:
    """A further teacher's bytes. Raises `SettingError` where it takes other inputs, or learned something else, or later."""
    found, onnx = model
    of, until = f"{found.name} {found.version}", found.trained_until
    _check_label(found, config)
    if (found.plan, found.signature.columns) != (manifest.plan, manifest.signature.columns):
        raise SettingError(
            f"a teacher scores the model's own rows; {of} is of plan {found.plan[:12]} with {len(found.signature.columns)} "
            f"inputs, {manifest.name} {manifest.version} of {manifest.plan[:12]} with {len(manifest.signature.columns)}; take "
            "another --teacher"
        )
    end = (split.first_day + split.days) * DAY_MS
    if until is None or until > end:
        raise SettingError(
            f"what a teacher learned after the days of training, it could tell of the test; {of} learned until "
            f"{'nobody knows when' if until is None else moment_text(until)}, and they end {moment_text(end)}; take "
            "another --teacher"
        )
    return onnx


def _learned(manifest: Manifest, split: Split) -> dict[str, int | None]:
    """The days of the original's training and those that methods learned from, together; unknown where the original's are."""
    if manifest.trained_from is None or manifest.trained_until is None:
        return {"trained_from": None, "trained_until": None}
    return {
        "trained_from": min(manifest.trained_from, split.first_day * DAY_MS),
        "trained_until": max(manifest.trained_until, (split.first_day + split.days) * DAY_MS),
    }


def _pruned_by_own(found: Compression, manifest: Manifest, split: Split) -> bool:
    """Whether trees were pruned by rows of days that the original learnt."""
    pruned = any(name == "prune_trees" for one in found.candidates for name, _ in one.made.steps)
    return pruned and manifest.trained_until is not None and split.first_day * DAY_MS < manifest.trained_until


def _lineage(manifest: Manifest) -> dict[str, str]:
    """What a version that is made of another has of it."""
    kept = {name: text for name, text in manifest.lineage.items() if name in ("trainer", "label")}
    return {"from": f"{manifest.name}@{manifest.version}", "from_sha256": manifest.sha256, **kept}


def _done(registry: Registry, name: str, before: tuple[int, ...]) -> str:
    """What an interrupted compression has left in the registry."""
    new = sorted(set(registry.versions(name)) - set(before))
    return f"{', '.join(f'{name} v{version}' for version in new)} registered" if new else "nothing was registered"


def _as_json(manifest: Manifest, found: Compression, versions: Mapping[int, Manifest]) -> dict[str, Any]:
    import msgspec

    def fields(one: Measured) -> dict[str, Any]:
        whole: dict[str, Any] = msgspec.to_builtins(one, str_keys=True)
        del whole["made"]
        return whole

    candidates = [
        {
            **fields(one),
            "steps": [{"method": name, "parameters": values} for name, values in one.made.steps],
            "front": place in found.front,
            "version": versions[place].version if place in versions else None,
        }
        for place, one in enumerate(found.candidates)
    ]
    return {
        "model": manifest.name,
        "version": manifest.version,
        "original": fields(found.original),
        "candidates": candidates,
        "refused": msgspec.to_builtins(found.refused),
        "rule": msgspec.to_builtins(found.rule),
        "units": found.units,
        "recommendation": msgspec.to_builtins(found.recommendation),
    }


def _print(manifest: Manifest, found: Compression, versions: Mapping[int, Manifest]) -> None:
    from infra.cli import show
    from jobs.compress.words import COLUMNS, rows

    numbers = {place: made.version for place, made in versions.items()}
    show.out.print(f"[bold]{show.escape(manifest.name)} v{manifest.version}[/], and what was made of it\n")
    written = [tuple(map(show.escape, row)) for row in rows(found, numbers)]
    show.table("", COLUMNS, written, right=COLUMNS[2:])
    show.out.print(
        "\n[dim]*[/] no other is better in size, time and metric; intervals are of the difference to the original, 95 %, "
        "and of the test rows by which it is chosen"
    )
    if found.refused:
        show.out.print()
        show.table("Refused", ("method", "why"), [(show.escape(one.recipe), show.escape(one.why)) for one in found.refused])
    show.out.print(f"\n[bold]{show.escape(found.recommendation.sentence)}[/]")
