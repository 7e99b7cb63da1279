"""What a teacher's scores are taught to: each student a function, in a table by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from lightgbm import Booster, Dataset, train
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.tree import DecisionTreeRegressor

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import INPUT, OPSET, Fitted, Labels
from jobs.training.scikit import fit_pipeline
from jobs.training.trainers.lightgbm import with_float32_thresholds

AGREEMENT = 1e-4
"""How far a student's ONNX may be from its library: log odds of up to 14 are added in float32 and in doubles."""
SURE = 1e-6
"""Chances are kept so far from 0 and 1 where log odds are made of them."""
STEADY = 1.0
"""What a boosted student's leaf weighs at least, and is held back by: with LightGBM's 0.001 and 0, leaves of rows of which the
teacher is sure had huge log odds, and 30 trees came to an average precision of 0.44 on the example, not 0.54."""
SAID = "objective=regression"
HARDEST = 1e-3
"""The least curvature of a row in boosting: a row of which all are sure would divide by nothing."""


class Lesson(msgspec.Struct, frozen=True):
    """What a student learns from."""

    x: Floats
    """[rows, inputs], NaN is null."""
    teacher: Labels
    """[rows]: the teacher's scores."""
    labels: Labels
    """[rows]; NaN where none is known."""
    task: Task
    temperature: float
    hard: float
    """The weight of a known label, against that of the teacher's score, 1 - hard."""

    @property
    def targets(self) -> Labels:
        """[rows]: the teacher's scores and the known labels, mixed by their weights."""
        known = ~np.isnan(self.labels)
        return np.where(known, (1 - self.hard) * self.teacher + self.hard * np.where(known, self.labels, 0), self.teacher)


class Size(msgspec.Struct, frozen=True):
    """How large a student may be; of each, what it means to a student that has no such thing is nothing."""

    trees: int
    depth: int
    leaves: int
    units: int
    seed: int


class Taught(msgspec.Struct, frozen=True):
    """A student."""

    onnx: onnx.ModelProto
    """One float32 input [n, inputs]; its first output is [n, 1]."""
    predict: Callable[[Floats], Any]
    """What its library gives for [n, inputs]: [n]."""
    log_odds: bool
    """Whether that is the log odds of the score."""


Student = Literal["boosted", "tree", "forest", "mlp"]


def boosted(lesson: Lesson, size: Size) -> Taught:
    """LightGBM's boosted trees. Of a classification their sum is the log odds, and what is minimised is Hinton's loss.

    (1 - hard) T² CE(σ(z/T), σ(s/T)) + hard CE(label, σ(s)) for the teacher's log odds z and the student's s, of Hinton, Vinyals &
    Dean, "Distilling the knowledge in a neural network" (2015, section 2), with the gradient that section 2.1 derives; of a row
    without a label the first term alone, with weight 1.
    """
    options: dict[str, Any] = {
        "max_depth": size.depth,
        "num_leaves": size.leaves,
        "learning_rate": min(0.3, 10 / size.trees),
        "min_sum_hessian_in_leaf": STEADY,
        "lambda_l2": STEADY,
        "seed": size.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    regression = lesson.task == "regression"
    start = lesson.targets.mean()
    first = float(start if regression else _log_odds(np.array([start]))[0])
    # What trees are fitted to starts at the mean, which becomes part of the first tree's leaves.
    data = Dataset(lesson.x, lesson.targets - first if regression else lesson.targets, free_raw_data=False)
    if regression:
        options |= {"objective": "regression", "boost_from_average": False}
    else:
        options |= {"objective": _hinton(lesson, first)}
    model = train(options, data, size.trees)
    booster = Booster(model_str=with_float32_thresholds(model.model_to_string()))
    # Named, for otherwise the name is random and so is the file's sha256.
    inputs = [(INPUT, FloatTensorType([None, lesson.x.shape[1]]))]
    content = convert_lightgbm(_as_regression(booster), name="model", initial_types=inputs, target_opset=OPSET, zipmap=False)
    _add(content, first)
    return Taught(content, lambda rows: booster.predict(rows, raw_score=True) + first, not regression)


def tree(lesson: Lesson, size: Size) -> Taught:
    """scikit-learn's decision tree, whose leaves are means of the targets: a chance needs no link."""
    model = DecisionTreeRegressor(max_depth=size.depth, max_leaf_nodes=size.leaves, random_state=size.seed)
    return _of_scikit(lesson, model, lesson.targets, scaled=False, log_odds=False)


def forest(lesson: Lesson, size: Size) -> Taught:
    """scikit-learn's random forest, of means as well."""
    model = RandomForestRegressor(
        n_estimators=size.trees, max_depth=size.depth, max_leaf_nodes=size.leaves, random_state=size.seed, n_jobs=1
    )
    return _of_scikit(lesson, model, lesson.targets, scaled=False, log_odds=False)


def mlp(lesson: Lesson, size: Size) -> Taught:
    """scikit-learn's network of one hidden layer, fitted to the log odds by squared errors.

    Ba & Caruana, "Do deep nets really need to be deep?" (2014, section 2.2); of a regression to the scores.
    """
    model = MLPRegressor(hidden_layer_sizes=(size.units,), random_state=size.seed, early_stopping=True, max_iter=100)
    classifies = lesson.task == "classification"
    return _of_scikit(
        lesson, model, _log_odds(lesson.targets) if classifies else lesson.targets, scaled=True, log_odds=classifies
    )


STUDENTS: dict[Student, Callable[[Lesson, Size], Taught]] = {"boosted": boosted, "tree": tree, "forest": forest, "mlp": mlp}
"""Each by its name, which `Student` lists too."""
TEMPERED = {"boosted"}
"""Those that a temperature means something to."""


def _of_scikit(lesson: Lesson, model: Any, targets: Labels, *, scaled: bool, log_odds: bool) -> Taught:
    fitted: Fitted = fit_pipeline(lesson.x, targets, "regression", model, scaled=scaled, agreement=AGREEMENT)
    return Taught(onnx.load_model_from_string(fitted.onnx), fitted.predict, log_odds)


def _hinton(lesson: Lesson, first: float) -> Callable[[Any, Any], tuple[Labels, Labels]]:
    """The gradient and the curvature of Hinton's loss, of rows that start at log odds ``first``."""
    known = ~np.isnan(lesson.labels)
    weight, labels = np.where(known, lesson.hard, 0), np.where(known, lesson.labels, 0)
    heat = lesson.temperature
    soft = _chance(_log_odds(lesson.teacher) / heat)

    def gradients(scores: Any, _: Any) -> tuple[Labels, Labels]:
        cool, warm = _chance(scores + first), _chance((scores + first) / heat)
        gradient = (1 - weight) * heat * (warm - soft) + weight * (cool - labels)
        curvature = (1 - weight) * warm * (1 - warm) + weight * cool * (1 - cool)
        return gradient, np.maximum(curvature, HARDEST * curvature.mean())

    return gradients


def _as_regression(booster: Booster) -> Booster:
    """The same trees said to be a regression's, whose sum the converter gives as it is: it refuses a loss of one's own."""
    lines = [line for line in booster.model_to_string().split("\n") if not line.startswith(("objective=", "[objective: "))]
    place = next(place for place, line in enumerate(lines) if line.startswith("feature_names="))
    return Booster(model_str="\n".join([*lines[:place], SAID, *lines[place:]]))


def _add(content: onnx.ModelProto, first: float) -> None:
    """Add a number to the score of a graph of trees: the node has a place for it."""
    for node in content.graph.node:
        if node.op_type == "TreeEnsembleRegressor":
            node.attribute.append(onnx.helper.make_attribute("base_values", [first]))


def _log_odds(chances: Labels) -> Labels:
    """[n] → [n], of chances that are kept from being sure."""
    kept = np.clip(chances, SURE, 1 - SURE)
    found: Labels = np.log(kept) - np.log1p(-kept)
    return found


def _chance(log_odds: Any) -> Labels:
    found: Labels = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    return found
