"""The Open Inference Protocol, with tritonclient as a client, and by hand what that does not send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper

from features.service import Service
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from tests.serving.http.support import INPUTS, Running, serving
from tests.support.models import register, stumps
from tests.support.orders import PLAN

ECHOED = {
    "recent__sum_price": (TensorProto.DOUBLE, "FP64", np.array([[0.1], [-2.5], [1e300]])),
    "recent__last_size": (TensorProto.INT64, "INT64", np.array([[2**63 - 1], [-(2**63)], [0]])),
    "recent__last_web": (TensorProto.BOOL, "BOOL", np.array([[True], [False], [True]])),
    "recent__last_kind": (TensorProto.STRING, "BYTES", np.array([["a"], [""], ["ünï"]], np.object_)),
}
"""Inputs of every type that a model of features has; each comes back as it was."""


def echo() -> bytes:
    """A model that gives back its inputs, a price as float16 too, and as its score the price."""
    nodes = [helper.make_node("Identity", [name], [f"same_{name}"]) for name in ECHOED]
    nodes.append(helper.make_node("Cast", ["recent__sum_price"], ["score"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Cast", ["recent__sum_price"], ["half"], to=TensorProto.FLOAT16))
    graph = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, (kind, _, _) in ECHOED.items()],
        [
            *(helper.make_tensor_value_info(f"same_{name}", kind, [None, 1]) for name, (kind, _, _) in ECHOED.items()),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("half", TensorProto.FLOAT16, [None, 1]),
        ],
    )
    made: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    return made


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of orders, whose model is `echo`."""
    folder, plan = tmp_path_factory.mktemp("echo"), msgspec.structs.replace(PLAN, batch=(), on_demand=())
    register(folder, plan, echo(), score="score")
    with serving([Service(folder, plan, {}, {}, ())], folder) as made:
        yield made


@pytest.fixture
def client(echoing: Running) -> Iterator[Any]:
    """A client of it."""
    made = triton.InferenceServerClient(echoing.address)
    yield made
    made.close()


def inputs(binary: bool, rows: int = 3) -> list[Any]:
    """The tensors of `ECHOED`."""
    made = []
    for name, (_, datatype, values) in ECHOED.items():
        one = triton.InferInput(name, [rows, 1], datatype)
        one.set_data_from_numpy(values[:rows], binary_data=binary)
        made.append(one)
    return made


def as_texts(values: Any) -> Any:
    """BYTES come back as bytes from the binary extension."""
    texts = [[one.decode() if isinstance(one, bytes) else one for one in row] for row in values.tolist()]
    return np.array(texts, np.object_).reshape(values.shape)


@pytest.mark.slow
def test_the_server_and_its_models_are_described(client: Any) -> None:
    """Live, ready, metadata and index agree."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_repository_index() == [{"name": "orders", "version": "1", "state": "READY", "reason": ""}]
    assert client.is_model_ready("orders")
    assert client.is_model_ready("orders", "1")
    assert not client.is_model_ready("orders", "2")
    described = client.get_model_metadata("orders", "1")
    assert described["versions"] == ["1"]
    assert described["inputs"] == [{"name": name, "datatype": kind, "shape": [-1, 1]} for name, (_, kind, _) in ECHOED.items()]
    assert {"name": "half", "datatype": "FP16", "shape": [-1, 1]} in described["outputs"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_every_type_comes_back_as_it_went(client: Any, binary_in: bool, binary_out: bool) -> None:
    """As JSON and as bytes, either way, with the request's id and the model's version; half floats too."""
    wanted = [triton.InferRequestedOutput(f"same_{name}", binary_data=binary_out) for name in ECHOED]
    wanted.append(triton.InferRequestedOutput("half", binary_data=True))
    found = client.infer("orders", inputs(binary_in), outputs=wanted, request_id="r1")
    for name, (_, datatype, values) in ECHOED.items():
        came = found.as_numpy(f"same_{name}")
        assert (found.get_output(f"same_{name}")["datatype"], came.shape) == (datatype, (3, 1))
        assert np.array_equal(as_texts(came) if datatype == "BYTES" else came, values), name
    assert found.as_numpy("half").dtype == np.float16
    assert found.as_numpy("half")[1] == np.float16(-2.5)
    assert [found.get_response()[name] for name in ("id", "model_name", "model_version")] == ["r1", "orders", "1"]
    assert found.get_output("score") is None


def test_an_empty_batch_has_empty_outputs(client: Any) -> None:
    """Of the model's types and shapes."""
    found = client.infer("orders", inputs(binary=True, rows=0))
    assert found.as_numpy("score").shape == (0, 1)


@pytest.mark.parametrize(
    "kind", ["FP16", "FP32", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL"]
)
@pytest.mark.parametrize("binary", [True, False])
def test_a_float_takes_every_number(client: Any, kind: str, binary: bool) -> None:
    """Whatever type the client has them in."""
    given = inputs(binary=True, rows=1)
    given[0] = triton.InferInput("recent__sum_price", [1, 1], kind)
    given[0].set_data_from_numpy(np.array([[1]], triton.triton_to_np_dtype(kind)), binary_data=binary)
    assert client.infer("orders", given).as_numpy("same_recent__sum_price").tolist() == [[1.0]]


@pytest.mark.parametrize("binary", [True, False])
def test_a_whole_number_takes_all_that_it_holds(client: Any, binary: bool) -> None:
    """Of a type without a sign too, up to the last."""
    given = inputs(binary=True, rows=1)
    given[1] = triton.InferInput("recent__last_size", [1, 1], "UINT64")
    given[1].set_data_from_numpy(np.array([[2**63 - 1]], np.uint64), binary_data=binary)
    assert client.infer("orders", given).as_numpy("same_recent__last_size").tolist() == [[2**63 - 1]]


def body(**changes: Any) -> dict[str, Any]:
    """A request of one row in JSON; ``changes`` are laid over the input that they name."""
    values: dict[str, Any] = {
        "recent__sum_price": 0.5,
        "recent__last_size": 3,
        "recent__last_web": True,
        "recent__last_kind": "k",
    }
    made = [{"name": n, "shape": [1, 1], "datatype": kind, "data": [values[n]]} for n, (_, kind, _) in ECHOED.items()]
    return {"inputs": [one | changes.get(one["name"].removeprefix("recent__"), {}) for one in made]}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"sum_price": {"data": [1, 2]}}, "has 1 values; got 2"),
        ({"sum_price": {"shape": [2, 1], "data": [1, 2]}}, "as many rows"),
        ({"sum_price": {"shape": [1]}}, "the shape [n, 1]"),
        ({"sum_price": {"shape": [-1, 1]}}, "the shape [n, 1]"),
        ({"sum_price": {"data": ["1"]}}, "values of FP64"),
        ({"sum_price": {"data": [True]}}, "values of FP64"),
        ({"sum_price": {"datatype": "FP16", "data": [70000]}}, "beyond them"),
        ({"sum_price": {"datatype": "BF16"}}, "a datatype is one of"),
        ({"sum_price": {"datatype": "BYTES", "data": ["1"]}}, "is FP64; got BYTES"),
        ({"last_size": {"data": [2**63]}}, "values of INT64"),
        ({"last_size": {"data": [1.5]}}, "values of INT64"),
        ({"last_size": {"data": [None]}}, "values of INT64"),
        ({"last_size": {"datatype": "INT8", "data": [128]}}, "values of INT8"),
        ({"last_size": {"datatype": "UINT64", "data": [2**64 - 1]}}, "cannot hold"),
        ({"last_size": {"datatype": "UINT64", "data": [2**63]}}, "cannot hold"),
        ({"last_size": {"datatype": "FP64", "data": [2.0**63]}}, "cannot hold"),
        ({"last_size": {"datatype": "FP32", "data": [None]}}, "cannot hold"),
        ({"last_size": {"datatype": "FP32", "data": [0.5]}}, "cannot hold"),
        ({"last_web": {"data": [2]}}, "values of BOOL"),
        ({"last_web": {"datatype": "INT8", "data": [2]}}, "cannot hold"),
        ({"last_kind": {"data": [3]}}, "values of BYTES"),
        ({"last_kind": {"data": [["k"], "l"]}}, "neither"),
        ({"last_kind": {"name": "other"}}, "each of its inputs once"),
        ({"last_kind": {"parameters": {"binary_data_size": 99}}}, "behind the JSON"),
    ],
)
def test_what_does_not_fit_is_said(echoing: Running, changes: dict[str, Any], detail: str) -> None:
    """400, with what is wrong, where the protocol has it and as problem details."""
    response = echoing.request("POST", "/v2/models/orders/infer", body(**changes))
    assert response.status == 400, response.body
    assert detail in response.json["error"]
    assert response.json["detail"] == response.json["error"]


def test_a_null_is_a_float_that_is_none(echoing: Running) -> None:
    """There and back: responses are JSON, which has no NaN."""
    response = echoing.request("POST", "/v2/models/orders/infer", body(sum_price={"data": [[None]]})).json
    assert next(one["data"] for one in response["outputs"] if one["name"] == "score") == [None]


@pytest.mark.parametrize(
    ("length", "raw"),
    [
        (str(10**5 + 10), b'{"inputs":' + b"[" * 100_000),
        ("5", b"{}"),
        ("x", b"{}"),
        ("1", b"{}"),
        ("-1", b"{}"),
        ("2", b"{}"),
        ("9" * 5000, b"{}"),
        ("0" * 5000, b"{}"),
    ],
)
def test_a_header_that_lies_is_refused(echoing: Running, length: str, raw: bytes) -> None:
    """As a client's mistake."""
    response = echoing.request("POST", "/v2/models/orders/infer", raw=raw, headers={"Inference-Header-Content-Length": length})
    assert response.status == 400


def test_outputs_that_are_not_there_are_named(client: Any) -> None:
    """And so are models; tritonclient shows what it is told."""
    with pytest.raises(triton.InferenceServerException, match=r"outputs are .*; got 'none'"):
        client.infer("orders", inputs(binary=True), outputs=[triton.InferRequestedOutput("none")])
    with pytest.raises(triton.InferenceServerException, match="no model 'none' serves"):
        client.infer("none", inputs(binary=True))


@pytest.mark.slow
def test_the_index_is_what_serves(fraud: Service, models: Path) -> None:
    """After every load and unload: a canary that begins and ends."""
    registry = Registry(models)
    register(models, fraud.plan, stumps([0.3, 0.2, 0.1]), inputs=INPUTS, alias=None)

    def index() -> set[str]:
        return {one["version"] for one in running.request("POST", "/v2/repository/index").json}

    with serving([fraud], models) as running:
        assert index() == {"1"}
        for share, expected in ((0.5, {"1", "2"}), (0.0, {"1"})):
            registry.change("fraud", Change(action="canary", model="fraud", version=2, share=share, who="test"))
            while index() != expected:
                assert running.request("GET", "/v2/models/fraud/versions/1/ready").status == 200
        assert running.request("GET", "/v2/models/fraud/versions/2/ready").status == 404
