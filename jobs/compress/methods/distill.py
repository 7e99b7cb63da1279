"""A small model that is taught the scores of a large one, or of several: knowledge distillation."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.special import expit

from features.errors import HeadraceError, SettingError
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods import texts_of
from jobs.compress.scored import dressed, shape_of
from jobs.compress.students import AGREEMENT, STUDENTS, Lesson, Size, Student, Taught
from jobs.compress.trees import rewritten
from jobs.training.fitted import Labels, onnx_scores


def compress(
    candidate: Candidate,
    learnt: Learnt,
    *,
    student: Student = "boosted",
    trees: int = 30,
    depth: int = 5,
    leaves: int = 16,
    units: int = 16,
    hard: float = 0.5,
    seed: int = 0,
) -> Candidate:
    """Teach a small model the scores of this one on all training rows, with or without a label.

    The method is Bucila, Caruana & Niculescu-Mizil's "Model compression" (2006), the weight of known labels beside the teacher's
    scores that of Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network" (2015, section 2), here in the targets'
    mean. The teacher is the candidate, or with `Learnt.teachers` the mean of all their scores. ``student``: boosted trees, one
    tree, a forest, an mlp or a cnn, whatever the teacher is. ``trees``, ``depth`` and ``leaves`` are the most that a student of
    trees has, ``units`` the mlp's hidden ones, or the cnn's filters. ``hard`` is the weight of a label that is known, from 0 to
    1.

    Raises `RefusedError` where the outputs are more than a score and its label, or a cnn has no lists to take, and
    `SettingError` for a parameter out of bounds.
    """
    for name, value, least in (("trees", trees, 1), ("depth", depth, 1), ("leaves", leaves, 2), ("units", units, 1)):
        if value < least:
            raise SettingError(f"distill has {name} of {least} or more; got {name}={value}; give more")
    if not 0 <= hard <= 1:
        raise SettingError(f"distill has a weight of hard labels from 0 to 1; got hard={hard:g}; give hard=0.3, say")
    shape = shape_of(candidate.onnx, learnt.x)
    lesson = Lesson(learnt.x, _taught(candidate, learnt), learnt.labels, learnt.task, hard, learnt.sequences)
    taught = STUDENTS[student](lesson, Size(trees, depth, leaves, units, seed))
    made = rewritten(dressed(taught.onnx, shape, log_odds=taught.log_odds))
    _check(made, taught, learnt)
    step = texts_of(
        student=student,
        trees=trees,
        depth=depth,
        leaves=leaves,
        units=units,
        hard=hard,
        seed=seed,
        teachers=1 + len(learnt.teachers),
    )
    if learnt.teachers:
        step["teachers_sha256"] = ",".join(hashlib.sha256(one).hexdigest() for one in learnt.teachers)
    return Candidate(made, (*candidate.steps, ("distill", step)))


def _taught(candidate: Candidate, learnt: Learnt) -> Labels:
    """The mean of the teachers' scores, [rows]. Raises `RefusedError` where one has no score for a row."""
    scores: Labels = np.mean([onnx_scores(one, learnt.x) for one in (candidate.onnx, *learnt.teachers)], axis=0)
    unscored = ~np.isfinite(scores)
    if unscored.any():
        raise RefusedError(
            f"a student learns the teacher's scores; got none for {unscored.sum():,} of {len(scores):,} rows; take a "
            "teacher that scores nulls"
        )
    return scores


def _check(made: bytes, taught: Taught, learnt: Learnt) -> None:
    """Raises `HeadraceError` where the student's ONNX does not give what its library gives."""
    expected = np.asarray(taught.predict(learnt.x), np.float64)
    if taught.log_odds:
        expected = expit(expected)
    apart = float(np.abs(onnx_scores(made, learnt.x) - expected).max())
    allowed = AGREEMENT * max(1.0, float(np.abs(expected).max()))
    if not apart <= allowed:
        raise HeadraceError(
            f"the scores of a student's ONNX equal its library's within {allowed:g}; got {apart:g} apart; the converter has a "
            "fault: report it"
        )
