"""A student learns the scores of its teachers, also of rows without a label, and gives their outputs."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import numpy as np
import onnx
import pytest

from features.errors import SettingError
from features.inputs.session import open_session
from jobs.compress.candidate import Candidate, Learnt, RefusedError
from jobs.compress.methods.distill import compress
from jobs.compress.scored import scores_of, shape_of
from jobs.compress.students import STEADY, STUDENTS, Lesson, Size, Student, boosted
from jobs.training.trainers import lightgbm, linear, logistic, random_forest, xgboost

pytestmark = [
    pytest.mark.core,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),  # a small network on few rows stops where it stops
]


def learnt(task: Any = "classification", rows: int = 1500) -> Learnt:
    """Rows of four inputs, a tenth null, of which a third has a label."""
    random = np.random.default_rng(2)
    x = random.normal(size=(rows, 4)).astype(np.float32)
    amounts = x[:, 0] + x[:, 1] ** 2 + random.normal(size=rows) / 4
    x[random.random(x.shape) < 0.1] = np.nan
    labels = (amounts > 1).astype(np.float64) if task == "classification" else amounts.astype(np.float64)
    labels[rows // 3 :] = np.nan
    return Learnt(x, labels, task)


def trained(trainer: Any, of: Learnt, **given: Any) -> bytes:
    """A teacher, fitted to the rows with a label."""
    known = ~np.isnan(of.labels)
    found: bytes = trainer.fit(of.x[known], of.labels[known], of.task, **given).onnx
    return found


def near(made: Candidate, teacher: bytes, x: Any) -> float:
    """The correlation of a student's scores with its teacher's."""
    return float(np.corrcoef(scores_of(made.onnx, x), scores_of(teacher, x))[0, 1])


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
def test_a_student_does_not_ask_what_its_teacher_is(trainer: Any) -> None:
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
    found, mean = scores_of(made.onnx, of.x), (scores_of(first, of.x) + scores_of(second, of.x)) / 2
    apart = [float(np.abs(found - one).mean()) for one in (mean, scores_of(first, of.x), scores_of(second, of.x))]
    assert apart[0] < min(apart[1:]) / 2
    assert made.steps[0][1]["teachers"] == "2"


def test_hard_labels_pull_the_student_from_a_wrong_teacher() -> None:
    """A teacher that ranks the wrong way round is followed at hard=0, and not where its labels weigh all."""
    of = learnt()
    opposite = trained(random_forest, msgspec.structs.replace(of, labels=1 - of.labels), trees=10)
    known = ~np.isnan(of.labels)
    soft, hard = (scores_of(compress(Candidate(opposite), of, hard=weight).onnx, of.x) for weight in (0.0, 1.0))
    assert np.corrcoef(soft[known], of.labels[known])[0, 1] < -0.5
    assert np.corrcoef(hard[known], of.labels[known])[0, 1] > 0.5


def test_a_temperature_of_one_and_no_hard_labels_is_cross_entropy() -> None:
    """Leaves of one tree are what Newton's step gives: the start, and the sum of gradients over that of curvatures."""
    x = np.array([[0.0]] * 40 + [[1.0]] * 40, np.float32)
    teacher = np.array([0.2] * 40 + [0.6] * 40)
    taught = boosted(Lesson(x, teacher, np.full(80, np.nan), "classification", 1.0, 0.0), Size(1, 2, 2, 1, 0))
    start = np.log(0.4 / 0.6)
    expected = [start + 0.3 * 40 * (want - 0.4) / (40 * 0.4 * 0.6 + STEADY) for want in (0.2, 0.6)]
    assert taught.predict(x[[0, 79]]) == pytest.approx(expected, rel=1e-4)


def test_a_temperature_changes_what_is_learned_and_not_its_scale() -> None:
    """At 4 the student's log odds still are the teacher's: the graph is served at temperature 1."""
    of = learnt()
    teacher = trained(random_forest, of, trees=20)
    warm, cold = (scores_of(compress(Candidate(teacher), of, trees=60, temperature=t).onnx, of.x) for t in (4.0, 1.0))
    expected = scores_of(teacher, of.x)
    assert not np.array_equal(warm, cold)
    assert np.abs(warm - expected).mean() < 0.06
    assert np.abs(cold - expected).mean() < 0.06


def test_equal_data_give_equal_bytes() -> None:
    """Nothing in a student's graph is random beside its seed."""
    of = learnt()
    teacher = trained(random_forest, of, trees=5)
    for student in get_args(Student):
        assert compress(Candidate(teacher), of, student=student).onnx == compress(Candidate(teacher), of, student=student).onnx


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
        ({"temperature": 0.0}, "temperature=0"),
        ({"hard": 1.5}, "hard=1.5"),
        ({"student": "tree", "temperature": 2.0}, "leave it out"),
    ],
)
def test_parameters_have_bounds(bad: dict[str, Any], said: str) -> None:
    """What is out of them, or means nothing to the student, is refused."""
    with pytest.raises(SettingError, match=said):
        compress(Candidate(b""), learnt(), **bad)
