"""Models that are refused when they are added: the rule, what came and what to do, by the names of the inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from features.errors import DefinitionError, SettingError
from serving.models import admit as admitting
from serving.models.admit import Given, admit
from serving.models.manifest import Draft
from tests.support.models import stumps
from tests.support.orders import PLAN

TYPES = {"float": 1, "double": 11, "int64": 7, "bool": 9, "string": 8, "float16": 10, "int32": 6}
SUM = "recent__sum_price"


def model(
    inputs: Sequence[tuple[str, str, list[int | str | None]]],
    nodes: Sequence[Any] = (),
    outputs: Sequence[tuple[str, str, list[int | str | None]]] = (("score", "float", [None, 1]),),
    opset: int = 17,
    **extra: Any,
) -> Any:
    """A model with these inputs (name, type, shape) that adds up its first, unless ``nodes`` do something else."""
    first, _, shape = inputs[0]
    adding = [
        helper.make_node("Cast", [first], ["floats"], to=1),
        helper.make_node("ReduceSum", ["floats", "axes"], ["score"], keepdims=1)
        if len(shape) == 2
        else helper.make_node("Abs", ["floats"], ["score"]),
    ]
    outputs = outputs if len(shape) == 2 or nodes else [("score", "float", [None])]
    graph = helper.make_graph(
        list(nodes) or adding,
        "g",
        [helper.make_tensor_value_info(name, TYPES[kind], shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TYPES[kind], shape) for name, kind, shape in outputs],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])] if not nodes else extra.get("initializer", []),
    )
    operators = [helper.make_opsetid("", opset), helper.make_opsetid("own.operators", 1)]
    return helper.make_model(graph, opset_imports=operators, ir_version=8)


def add(made: Any, **options: Any) -> Draft:
    """The model, admitted."""
    return admit(made if isinstance(made, bytes) else made.SerializeToString(), PLAN, name="orders", created_at=0, **options)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([("x", "float", [None, 4])], {}, r"got 'x' of shape \[n, 4\] for \[n, 5\]; give its features in order with --inputs"),
        ([("x", "float", [None, 1])], {"inputs": ["recent__nothing"]}, "got recent__nothing; add it to the service"),
        ([("x", "int64", [None, 5])], {}, "takes a float or double matrix, or names the input as a feature; got 'x' of tensor"),
        ([("x", "float16", [None, 5])], {}, r"tensors of float, double, int64, bool, string; got 'x' of tensor\(float16\)"),
        ([("x", "float", [1, 5])], {}, r"got 'x' of shape \[1, 5\], which takes 1; convert the model with a free first dim"),
        ([("x", "float", [None, 5, 1])], {}, r"is \[n, columns\] or \[n\]; got 'x' of shape \[n, 5, 1\]"),
        ([(SUM, "float", [None, 1]), ("y", "float", [None, 2])], {}, r"several matrices are not taken.*got 'y' of shape"),
        ([(SUM, "float", [None, 2])], {}, rf"got '{SUM}' of shape \[n, 2\] for \[n, 1\]"),
        (
            [(SUM, "int64", [None, 1])],
            {},
            "int64 takes whole numbers .long. and booleans; got .* of type float64; convert .* float",
        ),
        ([("recent__count", "bool", [None])], {}, "type bool takes booleans; got 'recent__count' for .* of type int64"),
        ([("recent__last_tax", "int64", [None, 1])], {}, "got 'recent__last_tax' for 'recent__last_tax' of type decimal"),
        ([("recent__count", "string", [None, 1])], {}, "type string takes strings; got 'recent__count'"),
        ([("derived__half", "string", [None, 1])], {}, "type string takes strings; got 'derived__half'"),
        ([("recent__last_kind", "float", [None, 1])], {}, "of type string; make a number of it on demand"),
        ([("recent__last_at", "int64", [None, 1])], {}, "no input of a model is a time"),
        ([("x", "float", [None, 2])], {"inputs": [SUM, SUM]}, f"takes a feature once; got '{SUM}' twice"),
        ([("a", "float", [None]), ("b", "float", [None])], {"inputs": [SUM]}, "got 1 for a, b; give them in this order"),
    ],
)
def test_inputs_that_do_not_fit(inputs: Any, options: dict[str, Any], message: str) -> None:
    """By name, with the shape or the type that came."""
    with pytest.raises((SettingError, DefinitionError), match=message):
        add(model(inputs), **options)


def test_inputs_that_fit() -> None:
    """In other shapes and types than a float matrix: doubles, a list as a tensor or by its columns, and a free width."""
    for kind, shape in (("double", [None, 5]), ("float", ["N", "K"])):
        assert add(model([("x", kind, shape)])).manifest.inputs == add(stumps([0.1] * 5)).manifest.inputs  # type: ignore[list-item]
    whole = add(model([("recent__last_3_price", "float", [None, 3])])).manifest
    assert whole.inputs == ("recent__last_3_price_1", "recent__last_3_price_2", "recent__last_3_price_3")
    chosen = add(model([("x", "double", [None, 4])]), inputs=["recent__last_3_price", "recent__count"]).manifest
    assert chosen.inputs == (*whole.inputs, "recent__count")
    named = [("recent__last_3_price_3", "float", [None, 1]), ("recent__last_web", "bool", [None])]
    assert add(model(named)).manifest.inputs == ("recent__last_3_price_3", "recent__last_web")  # type: ignore[arg-type]
    by_place = add(model([("a", "int64", [None, 1]), ("b", "float", [None, 1])]), inputs=["recent__count", SUM]).manifest
    assert [tensor.name for tensor in by_place.signature.inputs] == ["a", "b"]
    assert by_place.inputs == ("recent__count", SUM)


def test_what_onnx_runtime_cannot_run() -> None:
    """No ONNX at all, an opset that is too new, an operator that nobody knows, and one of somebody's own."""
    x = [("x", "float", [None, 5])]
    cases = {
        "a model is ONNX that ONNX Runtime can load; .* convert it again": b"no model",
        "an opset that ONNX Runtime has; .* lower target_opset": model(x, opset=99),  # type: ignore[arg-type]
        "ONNX's own operators; .*No Op registered for Sun.* without custom operators": model(
            x,  # type: ignore[arg-type]
            [helper.make_node("Sun", ["x"], ["score"])],
        ),
        "ONNX's own operators; .*own.operators:Sum.* without custom": model(
            x,  # type: ignore[arg-type]
            [helper.make_node("Sum", ["x"], ["score"], domain="own.operators")],
        ),
    }
    for message, made in cases.items():
        with pytest.raises(SettingError, match=message):
            add(made)


def test_external_data_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even from the folder that the process is in, where ONNX Runtime would find it."""
    weights = np.ones((5, 1), np.float32)
    made = model(
        [("x", "float", [None, 5])],
        [helper.make_node("MatMul", ["x", "w"], ["score"])],
        initializer=[onnx.numpy_helper.from_array(weights, "w")],
    )
    tensor = made.graph.initializer[0]
    set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="a model is one file; got one with external data; save it with its weights within"):
        add(made)


def test_a_model_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is in the message."""
    monkeypatch.setattr(admitting, "LARGEST", 1000)
    with pytest.raises(SettingError, match=r"at most 1,000 bytes; got [\d,]+; make it smaller"):
        add(stumps([0.1] * 5))


def test_a_score_has_to_be_named_where_there_is_a_choice() -> None:
    """Two numbers, two columns that are no probabilities, none at all; and a name that is none."""
    x: Any = [("x", "float", [None, 5])]
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=1)
    largest = helper.make_node("ReduceMax", ["x"], ["largest"], axes=[1], keepdims=1)
    two = model(x, [mean, largest], [("mean", "float", [None, 1]), ("largest", "float", [None, 1])])
    with pytest.raises(SettingError, match="got mean, largest; say which with --score"):
        add(two)
    with pytest.raises(SettingError, match="got 'median'; it has mean, largest; name one"):
        add(two, score="median")
    manifest = add(two, score="largest").manifest
    assert (manifest.signature.score, manifest.signature.others) == (("largest", 0), ("mean",))
    pair = helper.make_node("Concat", ["mean", "largest"], ["pair"], axis=1)
    with pytest.raises(SettingError, match="got pair:0, pair:1; say which"):
        add(model(x, [mean, largest, pair], [("pair", "float", [None, 2])]))
    text = helper.make_node("Cast", ["mean"], ["text"], to=TensorProto.STRING)
    with pytest.raises(SettingError, match="no number, text of strings"):
        add(model(x, [mean, text], [("text", "string", [None, 1])]))


def test_an_output_that_is_no_row_for_each_row() -> None:
    """A mean over all rows would mix events."""
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1)
    with pytest.raises(SettingError, match=r"has a row for each.*got 'mean' of shape \[1, 5\] for 16 rows"):
        add(model([("x", "float", [None, 5])], [mean], [("mean", "float", [None, 5])]))


def test_numbers_that_are_not_finite() -> None:
    """On a row without nulls a model has a score; a row with nulls that has none is not kept."""
    log = helper.make_node("Log", [SUM], ["score"])
    made = model([(SUM, "float", [None, 1])], [log])
    with pytest.raises(SettingError, match=rf"finite numbers for its golden batch; got score = -inf for {{'{SUM}': 0.0}}"):
        add(made, give=lambda columns: Given([(1.0,), (0.0,)]))
    assert add(made, give=lambda columns: Given([(1.0,), (None,), (2.0,)])).manifest.golden.rows == 2
    for rows in ([(None,), (math.inf,)], []):  # made ones would say nothing of how the model does on rows as it knows them
        with pytest.raises(SettingError, match=rf"a golden batch is of given rows that can be kept; of {len(rows)} none has"):
            add(made, give=lambda columns, rows=rows: Given(rows))


def test_whole_numbers_that_float32_does_not_hold() -> None:
    """A model that learned from them would be given others; a double input takes them."""
    rows = [(2**24 + 1,)]
    for kind, whole in (("float", 2**24 + 1), ("float", 2**70 + 1), ("float", 2**100 + 1)):
        with pytest.raises(SettingError, match=rf"got {whole} in 'recent__count'; convert the model with a double input"):
            add(model([("recent__count", kind, [None, 1])]), give=lambda columns, whole=whole: Given([(whole,)]))
    for kind in ("double", "int64"):
        add(model([("recent__count", kind, [None, 1])]), give=lambda columns: Given(rows))


def test_a_conversion_that_gives_other_scores() -> None:
    """Where rows come with the library's scores, these are held against the ONNX model's."""
    rows = [(1.0,), (2.0,), (None,)]
    made = model([(SUM, "float", [None, 1])])
    add(made, give=lambda columns: Given(rows, [1.0, 2.00001, None]))
    with pytest.raises(SettingError, match=r"got 2 for 2\.5 in row 1, .*; convert it so that it does"):
        add(made, give=lambda columns: Given(rows, [1.0, 2.5, None]))
    with pytest.raises(SettingError, match=r"got nan for 0\.5 in row 2, {'recent__sum_price': None}; .* an imputer"):
        add(made, give=lambda columns: Given(rows, [1.0, 2.0, 0.5]))
