"""A model made smaller or faster, in several ways, and each measured against it on the service's test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import table_matrix
from features.inputs.matrix import Floats
from features.inputs.reference import Reference
from features.inputs.signature import Signature
from features.plan import Plan
from features.service import Service
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.choose import NOISE, Measured, Recommendation, Rule, front, recommend
from jobs.compress.judging import RESAMPLES, statistics, units_of
from jobs.compress.measure import BATCHES, agreement, latencies, opened, scores_of, spread
from jobs.compress.recipe import Recipe, noted, text_of
from jobs.compress.resident import growth
from jobs.history.compute import Progress
from jobs.training.bootstrap import Interval, bootstrap
from jobs.training.config import TrainConfig
from jobs.training.keys import independent, keys_of
from jobs.training.metrics import Doubles, main_metric, measure
from jobs.training.networks import Sequences, sequences_of
from jobs.training.reference import known_segments, reference_of, watched
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
    """Groups, keys or blocks of rows that the intervals were drawn of; of a classification those that have the rarer label."""
    recommendation: Recommendation
    counts: Mapping[str, float]
    """Rows of training and test, as training counts them."""
    golden: list[tuple[float | None, ...]]
    """Test rows to try versions on."""
    reference: Callable[[bytes], Reference]
    """What live rows of a candidate are held against: the rows of training, and its own scores of later ones."""


class Made(msgspec.Struct, frozen=True):
    """A model that scores the test rows."""

    name: str
    candidate: Candidate
    scores: Doubles
    """[rows]: finite."""


class Judged(msgspec.Struct, frozen=True):
    """The test rows, in the order of time."""

    frame: pd.DataFrame
    """As `jobs.training.split.test_rows` gives it; without a group, with the ``key`` of each row where features are of keys."""
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
    teachers: Sequence[bytes] = (),
    resamples: int = RESAMPLES,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Compression:
    """Follow each recipe, measure what it made, and recommend one or none.

    Recipes learn from rows of the training days of ``split``, those that distil from ``teachers`` too, which take the original's
    matrix; all are measured on the test rows of ``split``. Raises
    `RefusedError` where there is one recipe alone and it is refused, and `SettingError` where the original gives a test row no
    finite score, and as `jobs.training.rows.rows_of` does.
    """
    told = on_progress or (lambda step, done, total: None)
    rows = rows_of(service, config, split, threads=threads, on_progress=on_progress)
    x = table_matrix(rows.table, service.plan, original.signature.columns)
    sequences = _sequences(service.plan, original.signature)
    learnt = learnt_of(service.plan, rows, x, split, config, teachers, sequences)
    judged = _judged(service, rows, x, split, config)
    kept = _original(original, judged)
    made, refused = _made(original, learnt, judged, recipes, told)
    measured, again = _measured([kept, *made], original.signature, judged, config, resamples, told)
    rule = Rule(main_metric(config.task).key, tolerance, batch, noise(measured[0].milliseconds[batch], again[batch]))
    first, rest = measured[0], tuple(measured[1:])
    return Compression(
        original=first,
        candidates=rest,
        front=front(first, rest, rule),
        refused=tuple(refused),
        rule=rule,
        units=independent(units_of(judged.frame), judged.frame["label"].to_numpy(np.float64), config.task),
        recommendation=recommend(first, rest, rule),
        counts=counts(rows.frame["label"], rows.training, rows.test, config.task),
        golden=given_rows(golden_rows(judged.x)),
        reference=partial(_reference, service.plan, rows, x, split, original.signature, config.segments),
    )


def noise(milliseconds: float, again: float) -> float:
    """How far times are apart that are the same: those of one model, measured twice, or `NOISE` where that is more."""
    return max(NOISE, milliseconds / again, again / milliseconds)


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


def _reference(
    plan: Plan, rows: Rows, x: Floats, split: Split, signature: Signature, segments: Sequence[str], onnx: bytes
) -> Reference:
    own = msgspec.structs.replace(rows, inputs=signature.columns, x=x)
    trained, later = watched(own, split)
    return reference_of(
        plan,
        own,
        trained,
        scores_of(opened(onnx, signature), x[later]),
        later,
        [one for one in segments if one in known_segments(plan, signature.columns)],
    )


def _sequences(plan: Plan, signature: Signature) -> Sequences:
    """The lists of the model's columns that one convolution can take; none where there are none such."""
    try:
        return sequences_of(plan, signature.columns)
    except SettingError:
        return ()


def learnt_of(
    plan: Plan,
    rows: Rows,
    x: Floats,
    split: Split,
    config: TrainConfig,
    teachers: Sequence[bytes] = (),
    sequences: Sequences = (),
) -> Learnt:
    """All rows of the training days that a float32 holds, with a label or without, by time: files are in any order."""
    days = rows.frame["day"].between(split.first_day, split.first_day + split.days, inclusive="left").to_numpy()
    order = np.argsort(rows.table[plan.spine_source.time].to_numpy(), kind="stable")
    held = order[(days & ~np.isinf(x).any(axis=1))[order]]
    return Learnt(x[held], rows.frame["label"].to_numpy(np.float64)[held], config.task, tuple(teachers), sequences)


def _judged(service: Service, rows: Rows, x: Floats, split: Split, config: TrainConfig) -> Judged:
    times = rows.table[service.plan.spine_source.time].to_numpy()[rows.test]
    order = np.argsort(times, kind="stable")
    frame = test_rows(rows.frame, split, config)
    if config.group is None and (keys := keys_of(service.plan, rows.table.filter(pa.array(rows.test)), config)) is not None:
        frame = frame.assign(key=keys)
    return Judged(frame.iloc[order], x[rows.test][order])


def _original(original: Original, judged: Judged) -> Made:
    scores = scores_of(opened(original.onnx, original.signature), judged.x)
    unscored = int((~np.isfinite(scores)).sum())
    if unscored:
        raise SettingError(
            f"a model is compressed that scores every test row; got no finite score for {unscored:,} of {len(scores):,}; add it "
            "again with an imputer before it, where rows have nulls"
        )
    return Made("original", Candidate(original.onnx), scores)


def _made(
    original: Original, learnt: Learnt, judged: Judged, recipes: Sequence[Recipe], told: Progress
) -> tuple[list[Made], list[Refused]]:
    made: list[Made] = []
    refused: list[Refused] = []
    for done, recipe in enumerate(recipes):
        told(f"making {recipe.text}", done, len(recipes))
        try:
            candidate = recipe.follow(Candidate(original.onnx), learnt)
            scores = _tried(candidate, original, judged, made)
        except RefusedError as error:
            if len(recipes) == 1:
                raise
            refused.append(Refused(recipe.text, str(error)))
        else:
            made.append(Made(recipe.text, candidate, scores))
    return made, refused


def _tried(candidate: Candidate, original: Original, judged: Judged, others: Sequence[Made]) -> Doubles:
    """Its scores of the test rows. Raises `RefusedError` where it is none, or not another one."""
    if candidate.onnx == original.onnx:
        raise RefusedError("it leaves this model as it is")
    twin = next((one.name for one in others if one.candidate.onnx == candidate.onnx), None)
    if twin is not None:
        raise RefusedError(f"it makes the same model as {twin}")
    scores = scores_of(opened(candidate.onnx, original.signature), judged.x)
    unscored = int((~np.isfinite(scores)).sum())
    if unscored:
        raise RefusedError(f"what it makes has no finite score for {unscored:,} of {len(scores):,} test rows")
    return scores


def _measured(
    models: Sequence[Made],
    signature: Signature,
    judged: Judged,
    config: TrainConfig,
    resamples: int,
    told: Progress,
) -> tuple[list[Measured], Mapping[int, float]]:
    """All models, the original first, and the original's times once more: it takes its turns twice."""
    steps = len(models) + len(BATCHES)
    *times, again = latencies(
        [one.candidate.onnx for one in (*models, models[0])],
        signature,
        judged.x,
        on_progress=lambda done, _: told("measuring time", done, steps),
    )
    intervals = _intervals(models, judged, config, resamples, told)
    found = []
    for place, made in enumerate(models):
        told("measuring memory", len(BATCHES) + place, steps)
        one = made.candidate
        found.append(
            Measured(
                name=made.name,
                recipe=text_of(one.steps),
                made=one,
                size=len(one.onnx),
                memory=growth(one.onnx),
                milliseconds=times[place],
                metrics=measure(judged.frame, made.scores, config),
                spread=spread(opened(one.onnx, signature), judged.x),
                intervals=intervals[place - 1] if place else {},
                agreement=agreement(models[0].scores, made.scores) if place else None,
            )
        )
    return found, again


def _intervals(
    models: Sequence[Made], judged: Judged, config: TrainConfig, resamples: int, told: Progress
) -> list[dict[str, Interval]]:
    """For each model but the first, of each metric, how far it is from the first's on the same draws."""
    if len(models) == 1:
        return []
    metrics = [statistics(judged.frame, made.scores, config) for made in models]

    def apart(weights: Doubles) -> Doubles:
        first, *others = (np.array([metric(weights) for metric in of_model.values()]) for of_model in metrics)
        return np.concatenate([other - first for other in others])

    found = iter(
        bootstrap(
            apart,
            [units_of(judged.frame)],
            resamples=resamples,
            on_draw=lambda done, total: told("drawing test rows", done, total),
        )
    )
    return [{name: next(found) for name in metrics[0]} for _ in models[1:]]
