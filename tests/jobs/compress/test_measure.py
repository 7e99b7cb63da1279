"""What is measured of a model: known values where there are such, and the same clock and rows for all."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from features.inputs.outputs import signature
from features.inputs.session import open_session
from features.inputs.signature import Signature, Tensor
from jobs.compress import measure
from jobs.compress.resident import growth
from tests.support.networks import INPUTS, inputs, mlp

pytestmark = pytest.mark.slow

MLP = mlp()


def signature_of(onnx: bytes, width: int = INPUTS) -> Signature:
    """What a network takes and gives."""
    taken = (Tensor("inputs", "float", tuple(f"v__{place}" for place in range(width)), matrix=True),)
    return signature(open_session(onnx), taken, {"inputs": inputs(4, width)})


def of_the_batch() -> bytes:
    """Each row's first number less the batch's largest."""
    nodes = [
        helper.make_node("ReduceMax", ["inputs"], ["most"], keepdims=0),
        helper.make_node("Sub", ["inputs", "most"], ["score"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("inputs", "score")]
    graph = helper.make_graph(nodes, "of_the_batch", ends[:1], ends[1:])
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()
    return content


def test_agreement_of_known_scores() -> None:
    """The largest and the mean difference; the order is the same but for the last two."""
    first, second = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.2, 0.5, 0.45])
    found = measure.agreement(first, second)
    assert (found.largest, found.mean) == (pytest.approx(0.2), pytest.approx(0.0625))
    assert found.rank_correlation == pytest.approx(1 - 6 * 2 / (4 * 15))


@given(arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 6).map(float)))
@settings(max_examples=40, deadline=None)
def test_ranks_are_those_of_pandas(values: np.ndarray) -> None:
    """Ties have their mean rank; and one score for all has no order."""
    import pandas as pd

    other = np.arange(len(values))[::-1].astype(float)
    found = measure.rank_correlation(values, other)
    if len(set(values)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(pd.Series(values).rank(), pd.Series(other).rank())[0, 1])


def test_a_score_that_depends_on_the_batch_is_seen() -> None:
    """A network's does by bits; one that takes the largest of the batch, by much."""
    assert measure.spread(measure.opened(MLP, signature_of(MLP)), inputs(100)) < measure.SPREAD
    odd = of_the_batch()
    assert measure.spread(measure.opened(odd, signature_of(odd, 1)), inputs(100, 1)) > 0.3


def test_the_median_time_is_that_of_the_clock() -> None:
    """A clock that goes on by 1 ms each time it is read: so does each batch take."""
    ticks = count(step=1_000_000)
    found = measure.latencies([MLP, MLP], signature_of(MLP), inputs(40), rounds={1: 3, 64: 2}, clock=lambda: next(ticks))
    assert found == [{1: 1.0, 64: 1.0}] * 2


def test_a_slower_model_is_measured_as_slower() -> None:
    """Sixteen times the work on 256 rows takes longer, by the real clock."""
    large = mlp((INPUTS, 512, 512, 1))
    small, slow = measure.latencies([MLP, large], signature_of(MLP), inputs(300), rounds={256: 15})
    assert slow[256] > 2 * small[256]


def test_memory_grows_with_the_weights() -> None:
    """A network of 16 MB takes at least that of a fresh process, the file beside it; a small one far less."""
    large = mlp((INPUTS, 2000, 2000, 1))
    assert len(large) > 16e6
    small, grown = growth(MLP), growth(large)
    assert small < 4e6
    assert 16e6 < grown < 80e6
