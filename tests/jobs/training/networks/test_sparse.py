"""Sparse storage: fewer bytes of the same values, to the bit, however a file has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from features.inputs.session import open_session
from jobs.training.networks.graph import read_graph, with_constants
from jobs.training.networks.sparse import load, stored_sparsely
from tests.support.networks import inputs, mlp

pytestmark = pytest.mark.slow


def with_zeros(share: float) -> bytes:
    """A network of which this share of each layer's weights is 0, and one weight -0.0."""
    content, chance, changed = mlp(), np.random.default_rng(3), dict[str, Any]()
    for name, values in read_graph(content).constants.items():
        if values.ndim == 2:
            changed[name] = np.where(chance.random(values.shape) < share, np.float32(0), values)
            changed[name][0, 0] = -0.0
    return with_constants(content, changed)


def bits(content: bytes) -> bytes:
    """All that a model gives for some rows."""
    session = open_session(content)
    return b"".join(each.tobytes() for each in session.run(None, {session.get_inputs()[0].name: inputs(50)}))


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_onnx_runtime_gives_the_same_bits_of_fewer_bytes(share: float) -> None:
    """It takes six bytes for a weight that is not 0, and all values are there again as they were, signs of zero too."""
    plain = with_zeros(share)
    sparse = stored_sparsely(plain)
    assert bits(sparse) == bits(plain)
    before, after = read_graph(plain).constants, read_graph(sparse).constants
    assert {name: values.tobytes() for name, values in before.items()} == {
        name: values.tobytes() for name, values in after.items()
    }
    weights = [values for values in before.values() if values.ndim == 2 and values.size > 100]
    saved = sum(4 * values.size - 6 * int(np.count_nonzero(values.view(np.uint32))) for values in weights)
    assert len(plain) - len(sparse) == pytest.approx(saved, abs=200)


def test_a_file_that_would_not_be_smaller_stays_as_it_is() -> None:
    """A tensor with few zeros takes more as places and values."""
    assert stored_sparsely(mlp()) == mlp()
    assert stored_sparsely(with_zeros(0.2)) == with_zeros(0.2)
    assert stored_sparsely(stored_sparsely(with_zeros(0.9))) == stored_sparsely(with_zeros(0.9))


def test_places_of_rows_and_columns_are_read_too() -> None:
    """As other tools may write them: [count, rank] in place of one number each."""
    plain = with_zeros(0.9)
    model = load_model_from_string(plain)
    tensor = next(one for one in model.graph.initializer if one.name == "w1")
    values = numpy_helper.to_array(tensor)
    places = np.stack(np.nonzero(values), axis=1)
    indices = helper.make_tensor("", TensorProto.INT64, list(places.shape), places.reshape(-1).tolist())
    kept = numpy_helper.from_array(values[tuple(places.T)], "w1")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(kept, indices, list(values.shape)))
    model.graph.initializer.remove(tensor)
    found = {one.name: numpy_helper.to_array(one) for one in load(model.SerializeToString()).graph.initializer}
    assert (found["w1"] == values).all()
    assert bits(model.SerializeToString()) == bits(plain)
