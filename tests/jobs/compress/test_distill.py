"""A student learns the scores of its teachers, also of rows without a label, and gives their outputs."""

from __future__ import annotations

import hashlib
from typing import Any, get_args

import msgspec
import numpy as np
import onnx
import pytest
from sklearn.metrics import average_precision_score

from features.errors import SettingError
from features.inputs.session import open_session
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods.distill import compress
from jobs.compress.scored import shape_of
from jobs.compress.students import STUDENTS, SURE, Lesson, Size, Student, boosted
from jobs.training.fitted import onnx_scores
from jobs.training.trainers import lightgbm, linear, logistic, random_forest, xgboost

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),  # a small network on few rows stops where it stops
]


def learnt(task: Any = "classification", rows: int = 1500) -> Learnt:
    """Rows of two lists of two values, a tenth null, of which a third has a label."""
    random = np.random.default_rng(2)
    x = random.normal(size=(rows, 4)).astype(np.float32)
    amounts = x[:, 0] + x[:, 1] ** 2 + random.normal(size=rows) / 4
    x[random.random(x.shape) < 0.1] = np.nan
    labels = (amounts > 1).astype(np.float64) if task == "classification" else amounts.astype(np.float64)
    labels[rows // 3 :] = np.nan
    return Learnt(x, labels, task, sequences=((0, 1), (2, 3)))


def trained(trainer: Any, of: Learnt, **given: Any) -> bytes:
    """A teacher, fitted to the rows with a label."""
    known = ~np.isnan(of.labels)
    found: bytes = trainer.fit(of.x[known], of.labels[known], of.task, **given).onnx
    return found


def near(made: Candidate, teacher: bytes, x: Any) -> float:
    """The correlation of a student's scores with its teacher's."""
    return float(np.corrcoef(onnx_scores(made.onnx, x), onnx_scores(teacher, x))[0, 1])


def outputs(content: bytes, x: Any) -> list[tuple[str, Any, Any]]:
    """Name, type and shape of what a model gives."""
    session = open_session(content)
    found = session.run(None, {session.get_inputs()[0].name: x})
    return [(one.name, raw.dtype, raw.shape) for one, raw in zip(session.get_outputs(), found, strict=True)]


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_student_follows_its_teacher_and_has_its_outputs(student: Student, task: str) -> None:
    """Scores that rank as the teacher's do, and the same names, types and shapes, probabilities that add up to 1."""
    of = learnt(task)
    teacher = trained(random_forest, of, trees=20)
    made = compress(Candidate(teacher), of, student=student, units=32)
    assert near(made, teacher, of.x) > 0.85
    assert outputs(made.onnx, of.x) == outputs(teacher, of.x)
    if task == "classification":
        label, chances = open_session(made.onnx).run(["label", "probabilities"], {"inputs": of.x})
        assert np.allclose(chances.sum(axis=1), 1)
        assert np.array_equal(label, chances[:, 1] > 0.5)
    assert [name for name, _ in made.steps] == ["distill"]
    assert made.steps[0][1]["student"] == student


@pytest.mark.parametrize("trainer", [lightgbm, logistic, xgboost])
def test_a_student_learns_from_a_teacher_of_any_kind(trainer: Any) -> None:
    """Trees learn a linear model's scores as they learn trees'."""
    of = learnt()
    teacher = trained(trainer, of)
    assert near(compress(Candidate(teacher), of, trees=60), teacher, of.x) > 0.95


def test_rows_without_a_label_teach() -> None:
    """With them a student is nearer to its teacher, on rows that neither saw."""
    of, new = learnt(rows=600), learnt(rows=3000).x[600:]
    teacher = trained(random_forest, learnt(rows=6000), trees=20)
    known = ~np.isnan(of.labels)
    alone = Learnt(of.x[known], of.labels[known], of.task)
    with_all, without = (near(compress(Candidate(teacher), rows), teacher, new) for rows in (of, alone))
    assert with_all > without


def test_several_teachers_teach_their_mean() -> None:
    """The student is nearest to the mean of their scores."""
    of = learnt("regression")
    first, second = trained(linear, of), trained(random_forest, of, trees=10)
    made = compress(Candidate(first), msgspec.structs.replace(of, teachers=(second,)), trees=100)
    found, mean = onnx_scores(made.onnx, of.x), (onnx_scores(first, of.x) + onnx_scores(second, of.x)) / 2
    apart = [float(np.abs(found - one).mean()) for one in (mean, onnx_scores(first, of.x), onnx_scores(second, of.x))]
    assert apart[0] < min(apart[1:]) / 2
    assert made.steps[0][1]["teachers"] == "2"
    assert made.steps[0][1]["teachers_sha256"] == hashlib.sha256(second).hexdigest()


def test_hard_labels_pull_the_student_from_a_wrong_teacher() -> None:
    """A teacher that ranks the wrong way round is followed at hard=0, and not where labels weigh all; unsaid, both do alike."""
    of = learnt()
    opposite = trained(random_forest, msgspec.structs.replace(of, labels=1 - of.labels), trees=10)
    known = ~np.isnan(of.labels)
    soft, hard = (onnx_scores(compress(Candidate(opposite), of, hard=weight).onnx, of.x) for weight in (0.0, 1.0))
    unsaid, half = (compress(Candidate(opposite), of, **given) for given in ({}, {"hard": 0.5}))
    assert unsaid == half
    assert np.corrcoef(soft[known], of.labels[known])[0, 1] < -0.5
    assert np.corrcoef(hard[known], of.labels[known])[0, 1] > 0.5


def test_log_odds_are_taught_by_squared_errors_and_sure_chances_kept_apart_by_the_rarer_outcomes() -> None:
    """Leaves of one tree: from the mean of the log odds 0.3 of the way to each side's own; a 0 is a tenth of the mean chance."""
    x = np.array([[0.0]] * 40 + [[1.0]] * 40, np.float32)
    teacher = np.array([0.0] * 40 + [0.6] * 40)
    taught = boosted(Lesson(x, teacher, np.full(80, np.nan), "classification", 0.0), Size(1, 2, 2, 1, 0))
    sides = np.log([SURE * 0.3 / (1 - SURE * 0.3), 0.6 / 0.4])
    assert taught.predict(x[[0, 79]]) == pytest.approx(sides.mean() + 0.3 * (sides - sides.mean()), rel=1e-6)


def test_a_boosted_student_ranks_a_rare_outcome_as_well_as_a_plain_regression_of_the_chances() -> None:
    """Of 1 in 200 rows, by a teacher that is sure of most, on rows that neither saw."""
    random = np.random.default_rng(5)
    x = random.normal(size=(30_000, 6)).astype(np.float32)
    amounts = x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + random.normal(size=len(x)) / 2
    labels = (amounts > np.quantile(amounts, 0.995)).astype(np.float64)
    half = len(x) // 2
    of = Learnt(x[:half], labels[:half], "classification")
    teacher = random_forest.fit(of.x, of.labels, of.task, trees=30).onnx
    made = onnx_scores(compress(Candidate(teacher), of).onnx, x[half:])
    plain = lightgbm.fit(of.x, onnx_scores(teacher, of.x), "regression", trees=30, depth=5, leaves=16, learning_rate=0.3)
    ranked = [average_precision_score(labels[half:], one) for one in (made, plain.predict(x[half:]))]
    assert ranked[0] > 0.98 * ranked[1]


@pytest.mark.parametrize("score", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("student", ["boosted", "tree", "forest"])
def test_a_teacher_that_says_the_same_of_all_rows_is_followed(student: Student, score: float) -> None:
    """Nothing is divided by, and no log is taken of, 0."""
    of = learnt(rows=300)
    same = Lesson(np.nan_to_num(of.x), np.full(300, score), of.labels, "classification", 0.0)
    taught = STUDENTS[student](same, Size(3, 3, 4, 4, 0))
    raw = np.asarray(taught.predict(same.x), np.float64)
    assert np.abs((1 / (1 + np.exp(-raw)) if taught.log_odds else raw) - score).max() < 0.02


def test_equal_data_give_equal_bytes() -> None:
    """Nothing in a student's graph is random beside its seed."""
    of = learnt()
    teacher = trained(random_forest, of, trees=5)
    for student in get_args(Student):
        assert compress(Candidate(teacher), of, student=student).onnx == compress(Candidate(teacher), of, student=student).onnx


def test_a_student_cnn_convolves_the_lists() -> None:
    """Its graph has a Conv over as many channels as lists, twice with what says which values are null."""
    of = learnt(rows=300)
    made = compress(Candidate(trained(random_forest, of, trees=5)), of, student="cnn", units=8)
    graph = onnx.load_model_from_string(made.onnx).graph
    (conv,) = (node for node in graph.node if node.op_type == "Conv")
    (weights,) = (one for one in graph.initializer if one.name == conv.input[1])
    assert list(weights.dims) == [8, 4, 5]


def test_a_student_cnn_without_lists_is_refused() -> None:
    """As one that cannot be: of several methods, the others are tried."""
    of = msgspec.structs.replace(learnt(rows=300), sequences=())
    with pytest.raises(RefusedError, match=r"a student cnn takes lists, features last_<n> of one <n>"):
        compress(Candidate(trained(random_forest, of, trees=5)), of, student="cnn")


def test_outputs_that_do_not_follow_from_the_score_are_refused() -> None:
    """A third class, or a text, is more than a student gives."""
    of = learnt()
    model = onnx.load_model_from_string(trained(logistic, of))
    model.graph.node.append(onnx.helper.make_node("Identity", ["inputs"], ["what_came"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("what_came", 1, [None, 4]))
    with pytest.raises((RefusedError, SettingError), match=r"what_came|one number that is the score"):
        shape_of(model.SerializeToString(), of.x)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"trees": 0}, "got trees=0"),
        ({"leaves": 1}, "got leaves=1"),
        ({"hard": 1.5}, "hard=1.5"),
    ],
)
def test_parameters_have_bounds(bad: dict[str, Any], said: str) -> None:
    """What is out of them, or means nothing to the student, is refused."""
    with pytest.raises(SettingError, match=said):
        compress(Candidate(b""), learnt(), **bad)
