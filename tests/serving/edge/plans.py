"""Plans of the contract as the runner reads them, and events as it is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from features.inputs.signature import Output, Signature, Tensor
from features.plan import Plan
from features.times import DAY_MS, EventTimes
from serving.edge import plan as edge
from serving.edge.headrace_edge import plan as runner
from serving.models.manifest import Golden, Manifest

SIGNATURE = Signature((Tensor("x", "float", (), matrix=True),), (Output("score", "float"),), ("score", 0))
TIMES = EventTimes(max_ahead_ms=100 * 365 * DAY_MS, max_age_days=100 * 365)
"""The cases go back to 1970, and beyond 2100."""
JSON = msgspec.json.Encoder(decimal_format="number").encode


def manifest_of(plan: Plan) -> Manifest:
    """Of a model that nobody runs."""
    known = {"sha256": "0" * 64, "plan": plan.digest, "created_at": 0, "golden": Golden("", 0, 0.0), "onnxruntime": ""}
    return Manifest(name="none", version=1, service=plan.service, signature=SIGNATURE, task="regression", **known)


def edge_plan(plan: Plan) -> runner.Plan:
    """A whole plan as the runner reads it from ``plan.json``."""
    return runner.read(edge.edge_plan(plan, plan, manifest_of(plan), TIMES))


def text(columns: Mapping[str, Any]) -> str:
    """An event as JSON, every digit of its decimals."""
    return JSON(dict(columns)).decode()
