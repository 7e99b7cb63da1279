"""``headrace tune``: how a model runs best on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.app import HERE, JsonOption, ProjectOption, app
from infra.cli.options import ModelArgument

if TYPE_CHECKING:
    from features.inputs.onnx import Onnx
    from jobs.compress.tune import Measured, Result
    from serving.models.tuned import Machine


@app.command(epilog="Example: headrace tune MODEL@production")
def tune(
    model: ModelArgument,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="Rows of a batch; repeat it. By default 1, 32, 256 and 2,000.", min=1, max=100_000, show_default=False),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="The most threads that are tried. By default all cores.", min=1, max=1024, show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each setting is measured, in turns.", min=8, max=1000)] = 21,
    forget: Annotated[bool, typer.Option("--forget", help="Measure nothing; run with the defaults here again.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Measure how a model runs best on this machine, and have scorers and the HTTP service here run it so.

    Optimisation of the graph, threads, installed providers, IO binding, rows at once and fixed shapes are measured against the
    defaults, in turns. What is better beyond noise is kept beside the version, for machines with this CPU, its cores and this
    ONNX Runtime; they use it when they next load the version.
    """
    from features.errors import SettingError
    from features.inputs.feeds import feeds
    from infra.cli import show
    from infra.cli.models import registry_at
    from infra.models import named
    from jobs.compress.tune import SIZES
    from jobs.compress.tune import tune as measure
    from serving.models import golden
    from serving.models.manifest import read_golden, read_onnx
    from serving.models.tuned import Tuned, this_machine

    registry, machine = registry_at(project), this_machine()
    found = named(registry, model)
    manifest, name = found.manifest, found.manifest.name
    if forget:
        registry.forget_tuned(name, manifest.version, machine)
        if as_json:
            show.json({"model": name, "version": manifest.version, "machine": machine, "execution": None})
        else:
            show.out.print(f"{name} v{manifest.version} runs with the defaults on {machine.text}", markup=False)
        return
    content, kept, sizes = read_onnx(found), golden.read(read_golden(found)), tuple(batch or SIZES)
    fed = feeds(manifest.signature.inputs, kept.rows)

    def agrees(onnx: Onnx) -> None:
        try:
            golden.replay(onnx, kept, manifest.onnxruntime)
            golden.replay_in_batches(onnx, kept, sizes, manifest.golden, manifest.onnxruntime)
        except SettingError as error:
            raise SettingError(str(error).partition(" (ONNX Runtime")[0]) from None

    with show.progress() as on_progress:
        result = measure(
            content,
            manifest.signature,
            fed,
            cores=threads or machine.cores,
            sizes=sizes,
            rounds=rounds,
            check=agrees,
            on_progress=on_progress,
        )
    won = result.won
    if won is None:
        registry.forget_tuned(name, manifest.version, machine)
    else:
        times = {str(rows): one.median for rows, one in won.ratios.items()}
        now = round(time.time() * 1000)
        registry.tune(name, manifest.version, Tuned(machine, manifest.sha256, won.execution, times, now))
    if as_json:
        show.json({"model": name, "version": manifest.version, "machine": machine, **_as_json(result)})
    else:
        _print(f"{name} v{manifest.version}", machine, result)


def _print(what: str, machine: Machine, result: Result) -> None:
    from infra.cli import show

    sizes = tuple(result.first[0].seconds)
    columns = ("setting", *(f"{size:,} row{'s' * (size != 1)}" for size in sizes), "")

    def table(title: str, measured: tuple[Measured, ...]) -> None:
        rows = [(one.name, *(_cell(one, size) for size in sizes), _verdict(one)) for one in measured]
        show.table(title, columns, rows, right=columns[1:-1])

    table(f"{what} on {machine.text}", result.first)
    for name, why in result.untried.items():
        show.out.print(f"not tried: {name}: {why}", markup=False)
    if result.second:
        show.out.print()
        table("What won alone, together and measured again", result.second)
    defaults = result.first[0].seconds
    fastest = ", ".join(f"{size / defaults[size]:,.0f} at {size:,}" for size in sizes)
    show.out.print(f"rows/s of the model alone, with the defaults: {fastest} rows a batch", markup=False)
    if result.won is None:
        show.out.print("the defaults are as good as anything that was tried: they stay", markup=False)
        return
    gains = ", ".join(f"{one.median - 1:+.0%} at {size:,}" for size, one in result.won.ratios.items())
    show.out.print(f"kept for such machines: {_changed(result.won)}; time of a batch {gains} rows", markup=False)
    if result.won.execution.threads > 1:
        show.out.print("further threads take cores from what else runs here; where that is much, give --threads 1", markup=False)


def _cell(one: Measured, size: int) -> str:
    """``81.3 µs -12%``, or the time alone of the defaults."""
    told = f"{one.seconds[size] * 1e6:,.1f} µs"
    ratio = one.ratios.get(size)
    if ratio is None:
        return told
    text = f"{told} {ratio.median - 1:+.0%}"
    return f"[green]{text}[/]" if ratio.better else f"[red]{text}[/]" if ratio.worse else f"[dim]{text}[/]"


def _verdict(one: Measured) -> str:
    if not one.ratios:
        return ""
    if one.wins:
        return "better"
    return "worse" if any(ratio.worse for ratio in one.ratios.values()) else "no difference"


def _changed(one: Measured) -> str:
    """What a setting has otherwise than the defaults: ``threads 2``."""
    import msgspec

    from features.inputs.session import DEFAULT

    usual = msgspec.structs.asdict(DEFAULT)
    return ", ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(one.execution).items() if value != usual[name])


def _as_json(result: Result) -> dict[str, Any]:
    won = result.won
    return {
        "settings": result.first,
        "again": result.second,
        "untried": result.untried,
        "execution": None if won is None else won.execution,
        "times": None if won is None else {str(size): one.median for size, one in won.ratios.items()},
    }
