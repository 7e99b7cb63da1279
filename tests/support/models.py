"""Small ONNX models, made by hand, with XGBoost's two outputs: the label, and the probabilities of classes 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from onnx import TensorProto, checker, helper

from features.plan import Plan
from serving.models.admit import admit
from serving.models.manifest import Manifest
from serving.models.registry import Registry

THRESHOLDS = (0.5, 2.5, 6.5, 20.5)


def stumps(weights: Sequence[float]) -> bytes:
    """sigmoid(Σ ±weight) over trees of one branch, one for each input and threshold: plus where the input is above it, or NaN.

    Trees, not a linear model: ONNX Runtime's vector kernels may differ in the last bit with the number of rows,
    its trees do not.
    """
    nodes: list[dict[str, Any]] = []
    leaves: list[dict[str, Any]] = []
    branches = [(i, weight, threshold) for i, weight in enumerate(weights) for threshold in THRESHOLDS]
    for tree, (feature, weight, threshold) in enumerate(branches):
        branch = {"modes": "BRANCH_LEQ", "featureids": feature, "values": threshold, "truenodeids": 1, "falsenodeids": 2}
        leaf = {"modes": "LEAF", "featureids": 0, "values": 0.0, "truenodeids": 0, "falsenodeids": 0}
        nodes += [{"treeids": tree, "nodeids": node, **kind} for node, kind in enumerate((branch, leaf, leaf))]
        leaves += [{"treeids": tree, "nodeids": node, "ids": 0, "weights": w} for node, w in ((1, -weight), (2, weight))]
    attributes = {
        **{f"nodes_{name}": [node[name] for node in nodes] for name in nodes[0]},
        **{f"class_{name}": [leaf[name] for leaf in leaves] for name in leaves[0]},
    }
    ensemble = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1],
        post_transform="LOGISTIC",
        **attributes,
    )
    graph = helper.make_graph(
        [ensemble],
        "stumps",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(weights)])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
    )
    operators = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=8)
    checker.check_model(model)
    result: bytes = model.SerializeToString()
    return result


def register(
    folder: Path | str,
    plan: Plan,
    onnx: bytes,
    *,
    inputs: tuple[str, ...] | None = None,
    digest: str | None = None,
    alias: str | None = "production",
    score: str | None = None,
) -> Manifest:
    """Give the alias, where one is named, to a new model that was trained on the plan, or on another with that digest."""
    registry = Registry(folder)
    draft = admit(onnx, plan, name=plan.service, created_at=2, inputs=inputs, score=score, trained_from=0, trained_until=1)
    if digest:
        draft = msgspec.structs.replace(draft, manifest=msgspec.structs.replace(draft.manifest, plan=digest))
    manifest = registry.register(draft)
    if alias is not None:
        registry.set_alias(manifest.name, alias, manifest.version)
    return manifest
