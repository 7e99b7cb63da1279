"""What a teacher's scores are taught to: each student a function, in a table by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.tree import DecisionTreeRegressor

from features.errors import SettingError
from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.compress.candidate import RefusedError
from jobs.training.fitted import Fitted, Labels
from jobs.training.networks import Sequences, check_extra
from jobs.training.scikit import fit_pipeline
from jobs.training.trainers import cnn as convolutions
from jobs.training.trainers import lightgbm

AGREEMENT = 1e-4
"""How far a student's ONNX may be from its library: log odds of up to 14 are added in float32 and in doubles."""
SURE, SUREST = 0.1, 1e-6
"""Chances whose log odds are taught are kept from 0 and 1 by so much of the rarer outcome's mean chance, and by so much at least:
a row that a teacher calls 1 in a million is no other lesson than one that it calls 1 in ten thousand."""


STEP = 0.003
"""A student cnn's first step size, larger than the trainer's: it is a smaller network, and scores are smoother than labels."""


class Lesson(msgspec.Struct, frozen=True):
    """What a student learns from."""

    x: Floats
    """[rows, inputs], NaN is null."""
    teacher: Labels
    """[rows]: the teacher's scores."""
    labels: Labels
    """[rows]; NaN where none is known."""
    task: Task
    hard: float
    """The weight of a known label, against that of the teacher's score, 1 - hard."""
    sequences: Sequences = ()
    """As `jobs.compress.candidate.Learnt` has them."""

    @property
    def targets(self) -> Labels:
        """[rows]: the teacher's scores and the known labels, mixed by their weights."""
        known = ~np.isnan(self.labels)
        return np.where(known, (1 - self.hard) * self.teacher + self.hard * np.where(known, self.labels, 0), self.teacher)

    @property
    def log_odds(self) -> bool:
        """Whether a student that can give any number is taught the targets' log odds: they are chances."""
        return self.task == "classification"

    @property
    def numbers(self) -> Labels:
        """[rows]: what such a student is taught, by squared errors."""
        return _log_odds(self.targets) if self.log_odds else self.targets


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


Student = Literal["boosted", "tree", "forest", "mlp", "cnn"]


def boosted(lesson: Lesson, size: Size) -> Taught:
    """LightGBM's boosted trees, fitted by squared errors, of a classification to the log odds.

    Ba & Caruana, "Do deep nets really need to be deep?" (2014, section 2.2) say why log odds and not chances.
    """
    fitted = lightgbm.fit(
        lesson.x,
        lesson.numbers,
        "regression",
        trees=size.trees,
        depth=size.depth,
        leaves=size.leaves,
        learning_rate=min(0.3, 10 / size.trees),
        seed=size.seed,
    )
    return Taught(onnx.load_model_from_string(fitted.onnx), fitted.predict, lesson.log_odds)


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
    """scikit-learn's network of one hidden layer, fitted as `boosted` is."""
    model = MLPRegressor(hidden_layer_sizes=(size.units,), random_state=size.seed, early_stopping=True, max_iter=100)
    return _of_scikit(lesson, model, lesson.numbers, scaled=True, log_odds=lesson.log_odds)


def cnn(lesson: Lesson, size: Size) -> Taught:
    """The trainer's network with one convolution over the lists, fitted as `boosted` is.

    Raises `RefusedError` where there are no lists, and where the extra is missing.
    """
    if not lesson.sequences:
        raise RefusedError(
            "a student cnn takes lists, features last_<n> of one <n> (docs/definitions.md); got a model without such inputs; "
            "take student=mlp"
        )
    try:
        check_extra("a student cnn")
    except SettingError as error:  # of this student: others may still do
        raise RefusedError(str(error)) from None
    fitted = convolutions.fit(
        lesson.x,
        lesson.numbers,
        "regression",
        lesson.sequences,
        layers=1,
        width=size.units,
        learning_rate=STEP,
        seed=size.seed,
    )
    return Taught(onnx.load_model_from_string(fitted.onnx), fitted.predict, lesson.log_odds)


STUDENTS: dict[Student, Callable[[Lesson, Size], Taught]] = {
    "boosted": boosted,
    "tree": tree,
    "forest": forest,
    "mlp": mlp,
    "cnn": cnn,
}
"""Each by its name, which `Student` lists too."""


def _of_scikit(lesson: Lesson, model: Any, targets: Labels, *, scaled: bool, log_odds: bool) -> Taught:
    fitted: Fitted = fit_pipeline(lesson.x, targets, "regression", model, scaled=scaled, agreement=AGREEMENT)
    return Taught(onnx.load_model_from_string(fitted.onnx), fitted.predict, log_odds)


def _log_odds(chances: Labels) -> Labels:
    """[n] → [n], of chances that are kept from being sure."""
    mean = float(chances.mean())
    least = max(SURE * min(mean, 1 - mean), SUREST)
    kept = np.clip(chances, least, 1 - least)
    found: Labels = np.log(kept) - np.log1p(-kept)
    return found
