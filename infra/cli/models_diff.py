"""``headrace models diff``: what is different between two versions of a model, and how far their scores agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from features.errors import DefinitionError, SettingError
from features.times import moment_text
from infra.cli.app import HERE, JsonOption, ProjectOption
from infra.cli.models import NameArgument, models_app, registry_at, rounded

if TYPE_CHECKING:
    from serving.models.manifest import Manifest, Model
    from serving.models.session import LoadedModel

BINS = 9
"""Of the histogram: an odd number, so that no difference is in the middle of one."""
BAR = 40
"""Characters of the longest bar."""


class Agreement(NamedTuple):
    """The scores of two versions for the same rows."""

    rows_of: int
    """The version whose golden batch they are."""
    first: list[float]
    second: list[float]

    @property
    def differences(self) -> list[float]:
        """The second's score less the first's, where both are numbers."""
        return [b - a for a, b in zip(self.first, self.second, strict=True) if math.isfinite(a) and math.isfinite(b)]


@models_app.command(epilog="Example: headrace models diff MODEL 6 7")
def diff(
    name: NameArgument,
    first: Annotated[int, typer.Argument(help="A version.", show_default=False)],
    second: Annotated[int, typer.Argument(help="Another version.", show_default=False)],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions: metrics, inputs, size, and their scores.

    Both score the rows that travel with one of them, its golden batch.
    """
    from infra.cli import show

    registry = registry_at(project)
    models = (registry.get(name, first), registry.get(name, second))
    manifests = tuple(model.manifest for model in models)
    sizes = [len(model.read("model.onnx")) for model in models]
    try:
        agreement, reason = _agreement(models), ""
    except SettingError as error:
        agreement, reason = None, str(error)
    if as_json:
        show.json(_as_json(manifests, sizes, agreement, reason))
        return
    columns = ("", f"v{first}", f"v{second}", "difference")
    same_plan = manifests[0].plan == manifests[1].plan
    facts = [
        ("made", *(moment_text(one.created_at) for one in manifests), ""),
        ("plan", *(one.plan[:12] for one in manifests), "" if same_plan else "another"),
        ("bytes", *(f"{size:,}" for size in sizes), f"{sizes[1] - sizes[0]:+,}"),
    ]
    show.table(name, columns, [*facts, *_metrics(manifests)], right=columns[1:])
    show.out.print()
    _show_inputs(*manifests)
    show.out.print()
    if agreement is None:
        show.out.print(f"no scores to compare: {reason}", markup=False)
    else:
        _show_agreement(agreement)


def histogram(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """``BINS`` bins of one width, as many on either side of 0: from, to, and how many values lie there.

    >>> [count for _, _, count in histogram([-9, 0, 0, 1, 9])]
    [1, 0, 0, 0, 3, 0, 0, 0, 1]
    """
    widest = max(map(abs, values))
    width = 2 * widest / BINS
    counts = [0] * BINS
    for value in values:
        counts[min(int((value + widest) / width), BINS - 1)] += 1
    return [(place * width - widest, (place + 1) * width - widest, count) for place, count in enumerate(counts)]


def _agreement(models: Sequence[Model]) -> Agreement:
    """Raises `SettingError` where neither version has rows with all inputs of the other, or one cannot be loaded here."""
    from serving.models import golden
    from serving.models.manifest import read_golden
    from serving.models.session import load_model

    first, second = (model.manifest for model in models)
    for model in models:
        own = model.manifest.inputs
        if not {*first.inputs, *second.inputs} <= {*own}:
            continue
        rows = [dict(zip(own, row, strict=True)) for row in golden.read(read_golden(model)).rows]
        scores = [_scores(load_model(one), rows) for one in models]
        return Agreement(model.manifest.version, scores[0], scores[1])
    raise SettingError("two versions are compared where one has all inputs of the other; each has some that the other lacks")


def _scores(loaded: LoadedModel, rows: Sequence[dict[str, Any]]) -> list[float]:
    """NaN for a row that the version does not hold: a null for an int64 input, say."""
    taken = [tuple(row[name] for name in loaded.manifest.inputs) for row in rows]
    try:
        return loaded.score(taken).scores
    except DefinitionError:
        return [score for row in taken for score in _score(loaded, row)]


def _score(loaded: LoadedModel, row: tuple[Any, ...]) -> list[float]:
    try:
        return loaded.score([row]).scores
    except DefinitionError:
        return [math.nan]


def _metrics(manifests: Sequence[Manifest]) -> list[tuple[str, ...]]:
    first, second = (one.metrics for one in manifests)
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys([*first, *second]):
        difference = f"{second[name] - first[name]:+.4g}" if name in first and name in second else ""
        rows.append((name.replace("_", " "), rounded(first.get(name)), rounded(second.get(name)), difference))
    return rows


def _inputs(first: Manifest, second: Manifest) -> dict[str, list[str]]:
    shared = [name for name in first.inputs if name in second.inputs]
    return {
        "both": shared,
        "first_only": [name for name in first.inputs if name not in shared],
        "second_only": [name for name in second.inputs if name not in shared],
    }


def _show_inputs(first: Manifest, second: Manifest) -> None:
    from infra.cli import show

    found = _inputs(first, second)
    if len(found["both"]) == len(first.inputs) == len(second.inputs):
        order = "in the same order" if first.inputs == second.inputs else "in another order"
        show.out.print(f"the same {len(first.inputs)} inputs, {order}")
        return
    only = ((first, found["first_only"]), (second, found["second_only"]))
    rows = [(f"v{one.version} only", name) for one, names in only for name in names]
    show.table(f"Inputs: {len(found['both'])} in both", ("", "input"), rows)


def _show_agreement(agreement: Agreement) -> None:
    from infra.cli import show

    differences = agreement.differences
    show.out.print(f"Scores of the {len(agreement.first)} golden rows of v{agreement.rows_of}", style="bold")
    if not differences:
        show.out.print("no row has a score of both")
        return
    if not any(differences):
        show.out.print("all are equal")
        return
    mean = sum(map(abs, differences)) / len(differences)
    show.out.print(f"largest difference {max(map(abs, differences)):.4g}, mean {mean:.4g}; second less first:\n")
    bins = histogram(differences)
    most = max(count for _, _, count in bins)
    for start, end, count in bins:
        bar = "█" * math.ceil(BAR * count / most)
        show.out.print(f"{start:>+9.4f} to {end:>+8.4f}  {count:>5}  {bar}", markup=False)


def _as_json(manifests: Sequence[Manifest], sizes: Sequence[int], agreement: Agreement | None, reason: str) -> dict[str, Any]:
    versions = [
        {"version": one.version, "bytes": size, "plan": one.plan, "metrics": one.metrics}
        for one, size in zip(manifests, sizes, strict=True)
    ]
    told: dict[str, Any] = {"model": manifests[0].name, "versions": versions, "inputs": _inputs(manifests[0], manifests[1])}
    if agreement is None:
        return told | {"scores": None, "reason": reason}
    differences = agreement.differences
    bins = [{"from": start, "to": end, "rows": count} for start, end, count in histogram(differences)] if any(differences) else []
    return told | {"scores": agreement._asdict() | {"histogram": bins}}
