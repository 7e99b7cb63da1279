"""A model made smaller or faster, in several ways, and each measured against it on the service's test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from features.inputs.arrow import table_matrix
from features.inputs.matrix import Floats
from features.inputs.reference import Reference
from features.inputs.signature import Signature
from features.plan import Plan
from features.service import Service
from jobs.compress.bootstrap import RESAMPLES, draw, interval, main_metric, resampled, statistics
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.choose import Measured, Recommendation, Rule, front, recommend
from jobs.compress.measure import BATCHES, agreement, latencies, opened, scores_of, spread
from jobs.compress.recipe import Recipe, noted, text_of
from jobs.compress.resident import growth
from jobs.history.compute import Progress
from jobs.training.config import TrainConfig
from jobs.training.metrics import Doubles, measure
from jobs.training.reference import reference_of, watched
from jobs.training.rows import Rows, rows_of
from jobs.training.split import Split, test_rows
from jobs.training.train import counts, given_rows, golden_rows


class Original(msgspec.Struct, frozen=True):
    """The registered model that is to be made smaller."""

    onnx: bytes
    signature: Signature
    """One float32 matrix, and its outputs."""


class Refused(msgspec.Struct, frozen=True):
    """A recipe that the model cannot gain by."""

    recipe: str
    why: str


class Compression(msgspec.Struct, frozen=True):
    """A model beside what was made of it."""

    original: Measured
    candidates: tuple[Measured, ...]
    front: tuple[int, ...]
    """The candidates that none is better than in size, time and metric, by their place."""
    refused: tuple[Refused, ...]
    rule: Rule
    units: int
    """Groups, or blocks of rows, that the intervals were drawn of."""
    recommendation: Recommendation
    counts: Mapping[str, float]
    """Rows of training and test, as training counts them."""
    golden: list[tuple[float | None, ...]]
    """Test rows to try versions on."""
    reference: Callable[[bytes], Reference]
    """What live rows of a candidate are held against: the rows of training, and its own scores of later ones."""


class Judged(msgspec.Struct, frozen=True):
    """The test rows, in the order of time."""

    frame: pd.DataFrame
    """As `jobs.training.split.test_rows` gives it."""
    x: Floats
    """[rows, inputs] of the model."""


def compress(
    service: Service,
    config: TrainConfig,
    split: Split,
    original: Original,
    recipes: Sequence[Recipe],
    *,
    tolerance: float,
    batch: int = BATCHES[0],
    resamples: int = RESAMPLES,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Compression:
    """Follow each recipe, measure what it made, and recommend one or none.

    Recipes learn from rows of the training days of ``split``, and are measured on its test rows, the same for all. Raises
    `RefusedError` where each recipe is refused and there is one alone, and `SettingError` as `jobs.training.rows.rows_of` does.
    """
    told = on_progress or (lambda step, done, total: None)
    rows = rows_of(service, config, split, threads=threads, on_progress=on_progress)
    x = table_matrix(rows.table, service.plan, original.signature.columns)
    learnt, judged = _learnt(rows, x, split, config), _judged(service, rows, x, split, config)
    made, refused = _made(original, learnt, recipes, told)
    kept = Candidate(original.onnx)
    measured = _measured([("original", kept), *made], original.signature, judged, config, resamples, told)
    rule = Rule(main_metric(config.task), tolerance, batch)
    first, rest = measured[0], tuple(measured[1:])
    return Compression(
        original=first,
        candidates=rest,
        front=front(first, rest, rule),
        refused=tuple(refused),
        rule=rule,
        units=int(draw(judged.frame, 1).units.max()) + 1,
        recommendation=recommend(first, rest, rule),
        counts=counts(rows.frame["label"], rows.training, rows.test, config.task),
        golden=given_rows(golden_rows(judged.x)),
        reference=partial(_reference, service.plan, rows, x, split, original.signature),
    )


def registered(found: Compression, register: Callable[..., Any], lineage: Mapping[str, str], **known: Any) -> dict[int, Any]:
    """A version of each candidate on the front, and of the one to take, as ``register`` gives it, by the candidate's place.

    Beside ``lineage``, which is the same for all, it has ``method``, the methods' names; ``parameters``, the recipe that makes
    it again; and what the methods noted.
    """
    versions = {}
    for place in sorted({*found.front, *([] if found.recommendation.chosen is None else [found.recommendation.chosen])}):
        one = found.candidates[place]
        steps = one.made.steps
        method = {"method": "+".join(name for name, _ in steps), "parameters": one.recipe}
        versions[place] = register(
            one.made.onnx,
            golden_rows=found.golden,
            reference=found.reference(one.made.onnx),
            metrics={**one.metrics, **found.counts},
            lineage={**lineage, **method, **noted(steps)},
            **known,
        )
    return versions


def _reference(plan: Plan, rows: Rows, x: Floats, split: Split, signature: Signature, onnx: bytes) -> Reference:
    own = msgspec.structs.replace(rows, inputs=signature.columns, x=x)
    trained, later = watched(own, split)
    return reference_of(plan, own, trained, scores_of(opened(onnx, signature), x[later]), later)


def _learnt(rows: Rows, x: Floats, split: Split, config: TrainConfig) -> Learnt:
    """All rows of the training days that a float32 holds, those without a label too."""
    days = rows.frame["day"].between(split.first_day, split.first_day + split.days, inclusive="left").to_numpy()
    held = days & ~np.isinf(x).any(axis=1)
    return Learnt(x[held], rows.frame["label"].to_numpy(np.float64)[held], config.task)


def _judged(service: Service, rows: Rows, x: Floats, split: Split, config: TrainConfig) -> Judged:
    times = rows.table[service.plan.spine_source.time].to_numpy()[rows.test]
    order = np.argsort(times, kind="stable")
    return Judged(test_rows(rows.frame, split, config).iloc[order], x[rows.test][order])


def _made(
    original: Original, learnt: Learnt, recipes: Sequence[Recipe], told: Progress
) -> tuple[list[tuple[str, Candidate]], list[Refused]]:
    made: list[tuple[str, Candidate]] = []
    refused: list[Refused] = []
    for done, recipe in enumerate(recipes):
        told(f"making {recipe.text}", done, len(recipes))
        try:
            candidate = recipe.follow(Candidate(original.onnx), learnt)
            if candidate.onnx == original.onnx:
                raise RefusedError("it leaves this model as it is")
        except RefusedError as error:
            if len(recipes) == 1:
                raise
            refused.append(Refused(recipe.text, str(error)))
        else:
            made.append((recipe.text, candidate))
    return made, refused


def _measured(
    models: Sequence[tuple[str, Candidate]],
    signature: Signature,
    judged: Judged,
    config: TrainConfig,
    resamples: int,
    told: Progress,
) -> list[Measured]:
    """All models, by name, the original first."""
    steps = len(models) + len(BATCHES)
    times = latencies(
        [one.onnx for _, one in models],
        signature,
        judged.x,
        on_progress=lambda done, _: told("measuring time", done, steps),
    )
    draws = draw(judged.frame, resamples)
    first: tuple[Doubles, dict[str, Doubles]] | None = None
    found: list[Measured] = []
    for place, (name, one) in enumerate(models):
        told("measuring metrics", len(BATCHES) + place, steps)
        model = opened(one.onnx, signature)
        scores = scores_of(model, judged.x)
        by_rows = statistics(judged.frame, scores, config)
        metrics, values = measure(judged.frame, scores, config), resampled(by_rows, draws)
        measured = Measured(
            name=name,
            recipe=text_of(one.steps),
            made=one,
            size=len(one.onnx),
            memory=growth(one.onnx),
            milliseconds=times[place],
            metrics=metrics,
            spread=spread(model, judged.x),
        )
        if first is not None:
            base, of_base = first
            measured = msgspec.structs.replace(
                measured,
                intervals={
                    name: interval(metrics[name] - found[0].metrics[name], of_base[name], values[name]) for name in values
                },
                agreement=agreement(base, scores),
            )
        else:
            first = scores, values
        found.append(measured)
    return found
