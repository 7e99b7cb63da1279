"""What the runner feeds a model and reads of it, held against the one code of the cloud (features.inputs)."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DefinitionError
from features.inputs.feeds import feeds
from features.inputs.onnx import Onnx
from features.inputs.outputs import signature
from features.inputs.session import open_session
from features.inputs.signature import Kind, Tensor
from serving.edge.headrace_edge import model as edge
from serving.edge.headrace_edge import plan
from serving.edge.headrace_edge.errors import EdgeError, UnscorableError
from tests.support.models import stumps

VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)
KINDS: tuple[Kind, ...] = ("float", "double", "int64", "bool", "string")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.booleans(), st.lists(VALUES, min_size=1, max_size=3))
def test_a_model_is_fed_what_the_cloud_feeds_it(kind: Kind, matrix: bool, row: list[Any]) -> None:
    """The same bits of the same type and shape, and the same values refused. Texts in floats are refused at export."""
    if kind in ("float", "double"):
        row = [None if isinstance(value, str) else value for value in row]
    row = row if matrix else row[:1]
    names = tuple(f"v__{place}" for place in range(len(row)))
    try:
        expected = feeds([Tensor("x", kind, names, matrix)], [row])["x"]
    except DefinitionError:
        with pytest.raises(UnscorableError):
            edge._feed(plan.Tensor("x", kind, names, matrix), row)
        return
    found = edge._feed(plan.Tensor("x", kind, names, matrix), row)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tolist() == expected.tolist() or np.array_equal(found, expected, equal_nan=True)


def test_a_number_is_what_the_scorer_reads() -> None:
    """A decimal is the nearest double; one without places is whole."""
    assert edge.number(Decimal("0.10")) == 0.1
    assert edge.number([Decimal("7"), None]) == [7, None]
    assert type(edge.number(Decimal("7"))) is int
    assert (edge.number("x"), edge.number(None)) == ("x", None)


def session(onnx: bytes, inputs: int, score: str | None = None) -> tuple[edge.Session, Onnx]:
    """A model here and there."""
    opened = open_session(onnx)
    (one,) = opened.get_inputs()
    tensor = Tensor(one.name, "float", tuple(f"v__{place}" for place in range(inputs)), matrix=True)
    known = signature(opened, (tensor,), {one.name: np.ones((2, inputs), np.float32)}, score)
    outputs = tuple(plan.Output(o.name, o.type, o.classes, o.maps) for o in known.outputs)
    tensors = (plan.Tensor(tensor.name, tensor.type, tensor.columns, tensor.matrix),)
    model = plan.Model("m", 1, "", tensors, outputs, known.score, known.others, 1e-5, 1e-7)
    return edge.Session(onnx, model), Onnx(opened, known)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.floats(-30, 30, width=32), min_size=3, max_size=3))
def test_a_score_is_the_registrys(row: list[float | None]) -> None:
    """To the bit: the same file by the same ONNX Runtime."""
    score, outputs = STUMPS[0].score({f"v__{place}": value for place, value in enumerate(row)})
    expected = STUMPS[1].score([row])
    assert (score, outputs) == (expected.scores[0], {})


STUMPS = session(stumps([0.5, -0.25, 1.0]), 3)


def test_other_outputs_are_given_too() -> None:
    """Where a prediction has more to say than its score: classes by name."""
    here, there = session(stumps([0.5, -0.25, 1.0]), 3, score="label")
    row = [1.0, 7.0, None]
    score, outputs = here.score({f"v__{place}": value for place, value in enumerate(row)})
    expected = there.score([row])
    assert (score, outputs) == (expected.scores[0], (expected.outputs or [{}])[0])
    assert set(outputs["probabilities"]) == {"0", "1"}


def test_what_is_no_model_is_one_line() -> None:
    """ONNX Runtime's own words, and what to do."""
    known = plan.Model("m", 1, "", (), (), ("x", 0), (), 1e-5, 1e-7)
    with pytest.raises(EdgeError, match="install another version") as refused:
        edge.Session(b"no ONNX", known)
    assert "\n" not in str(refused.value)
    assert math.isfinite(known.tolerance)
